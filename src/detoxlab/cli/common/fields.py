"""Options made from fields of settings, with the field's type, default and description.

    @from_fields(asked=(MeasureSettings, {"--judge": "judge", "--limit": "prompts.limit"}))
    def measure(model: str, asked: Given) -> None: ...

The command has one option per line of the table. It takes the fields that were given on the
command line as one mapping, here `{"prompts": {"limit": 5}}`; the settings have the other values.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from detoxlab.cli.common import arguments as arg
from detoxlab.data.where import Conditions
from detoxlab.recipe.overrides import value_of
from detoxlab.settings import field_at, model_in, without_none

Given = dict[str, Any]
Command = Callable[..., Any]
Table = Mapping[str, str]
SIMPLE = (bool, int, float)


@dataclass(frozen=True)
class FieldOption:
    """An option: its flag, and the field by its dotted name in settings of a kind."""

    flag: str
    kind: type[BaseModel]
    path: str

    @property
    def parameter(self) -> str:
        """The name of the command's parameter, as `max_new_tokens` for `--max-new-tokens`."""
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def field(self) -> FieldInfo:
        """The field of this option."""
        return field_at(self.kind, self.path)

    @property
    def value_type(self) -> Any:
        """The field's type without None."""
        return without_none(self.field.annotation)

    @property
    def holds_settings(self) -> bool:
        """Whether the field is a group of settings, which is given in braces."""
        return model_in(self.field.annotation) is not None

    def signature(self) -> inspect.Parameter:
        """The option as typer reads it from a command's signature."""
        option = typer.Option(self.flag, help=self.field.description, metavar=self._metavar())
        default, shown = self._default(), self._shown_type()
        optional = shown | None if default is None else shown
        return inspect.Parameter(
            self.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[optional, option],
        )

    def read(self, value: Any) -> Any:
        """A value from the command line in the form that the field takes.

        "none" is None for a field that has another default. A mapping in braces is read as YAML
        for a field that holds settings.
        """
        if isinstance(value, list):
            return self._read_all(value)
        if value == "none" and self.field.default is not None and self._is_optional():
            return None
        if isinstance(value, str) and value.startswith("{") and self.holds_settings:
            return value_of(value)
        return value

    def _read_all(self, values: Sequence[str]) -> Any:
        if self.value_type == Conditions:
            return arg.conditions(values)
        if get_origin(self.value_type) is not dict:
            return tuple(values)
        named = arg.pairs(self.flag, values)
        is_text = self.value_type == dict[str, str]
        return named if is_text else {name: value_of(text) for name, text in named.items()}

    def _default(self) -> Any:
        """The field's own default; None for a required field in a group that may be left out."""
        if self.field.is_required():
            return None if "." in self.path else inspect.Parameter.empty
        if self._shown_type() == list[str]:
            return list(self.field.default or ())
        return self.field.default

    def _shown_type(self) -> Any:
        if self.value_type in SIMPLE:
            return self.value_type
        kinds = {get_origin(one) for one in (self.value_type, *get_args(self.value_type))}
        return list[str] if kinds & {dict, tuple} else str

    def _metavar(self) -> str | None:
        if get_origin(self.value_type) is Literal:
            return "|".join(get_args(self.value_type))
        return "NAME=VALUE" if get_origin(self.value_type) is dict else None

    def _is_optional(self) -> bool:
        return bool(self.value_type != self.field.annotation)


def from_fields(**groups: tuple[type[BaseModel], Table]) -> Callable[[Command], Command]:
    """Gives a command one option per line of each table (flag: dotted name of a field).

    The options are kept as the command's attribute `field_options`.
    """
    options = {
        group: [FieldOption(flag, kind, path) for flag, path in table.items()]
        for group, (kind, table) in groups.items()
    }

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(context: typer.Context, **values: Any) -> Any:
            asked = {group: _given(context, options[group], values) for group in options}
            return command(**values, **asked)

        run.__signature__ = _signature(command, options)  # type: ignore[attr-defined]
        run.field_options = [one for group in options.values() for one in group]  # type: ignore[attr-defined]
        return run

    return decorate


def argument(kind: type[BaseModel], path: str) -> Any:
    """A positional argument with the text of a field."""
    return typer.Argument(help=field_at(kind, path).description)


def _given(context: typer.Context, options: Sequence[FieldOption], values: Given) -> Given:
    """The fields that stand on the command line, nested; they are taken out of `values`."""
    asked: Given = {}
    for option in options:
        value = values.pop(option.parameter)
        source = context.get_parameter_source(option.parameter)
        if source is not None and source.name == "COMMANDLINE":
            *groups, last = option.path.split(".")
            inside = asked
            for group in groups:
                inside = inside.setdefault(group, {})
            inside[last] = option.read(value)
    return asked


def _signature(command: Command, options: Mapping[str, Sequence[FieldOption]]) -> inspect.Signature:
    """The command's own parameters, and the options in place of each group."""
    kept = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
        if name in options:
            kept += [option.signature() for option in options[name]]
        else:
            kept.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    return inspect.Signature(kept)
