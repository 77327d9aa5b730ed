"""The base of all settings, which refuse unknown keys, and the messages for wrong values."""

import difflib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from detoxlab.errors import ConfigError, DataError, MissingFileError, UnknownNameError
from detoxlab.locations import meant

if TYPE_CHECKING:  # the class of models has no public name
    from pydantic._internal._model_construction import ModelMetaclass as _OfModels
else:
    _OfModels = type(BaseModel)

S = TypeVar("S", bound="Settings")
Seed = Annotated[int, Field(description="of sampling and of every random choice")]


class _OwnErrors(_OfModels):
    """The class of settings whose construction raises our errors and not pydantic's."""

    def __call__(self, *args: Any, **values: Any) -> Any:
        """Settings with these values, for instance `Limits(coverage=0.9)`."""
        try:
            return super().__call__(*args, **values)
        except pydantic.ValidationError as error:
            raise _explained(error, cast("type[BaseModel]", self), self.__name__) from None


DATE = "Write it as 2026-12-31."
REMEDIES = {
    "model_type": "It is a group: name a setting in it, {}.NAME.",
    "tuple_type": "Write a list: [a, b].",
    "date_from_datetime_parsing": DATE,
    "date_parsing": DATE,
}
"""The remedy for a value of the wrong form, by pydantic's name of the error."""


class Settings(BaseModel, metaclass=_OwnErrors):
    """Frozen settings; an unknown key is an error, and a refused value is never printed.

    Construction raises `ConfigError` for a value or key that is not valid.

    >>> class Threshold(Settings):
    ...     value: float = Field(0.5, le=1)
    >>> Threshold(value=2)
    Traceback (most recent call last):
    detoxlab.errors.ConfigError: Threshold: value: Input should be less than or equal to 1
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def parse(kind: type[S], content: Mapping[str, Any], *, place: str) -> S:
    """`content` as settings of type `kind`; the first error becomes one `ConfigError`.

    >>> class Sampler(Settings):
    ...     top_p: float = 1.0
    >>> parse(Sampler, {"topp": 0.9}, place="recipe.yaml")
    Traceback (most recent call last):
    detoxlab.errors.ConfigError: recipe.yaml: unknown key 'topp'. Did you mean 'top_p'?
    """
    try:
        return kind.model_validate(content)
    except pydantic.ValidationError as error:
        raise _explained(error, kind, place) from None


def read_yaml(path: Path, *, noun: str) -> dict[str, Any]:
    """The mapping in a YAML or JSON file; `noun` names in errors the content that is expected.

    Raises `MissingFileError`, `DataError` or `ConfigError`, with file and line.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such {noun}", remedy=f"{meant(path)}Give a YAML file.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        remedy = "Check its brackets, quotes, colons and indentation there."
        raise ConfigError(f"{path}{line}: not valid YAML", remedy=remedy) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start})") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: is no {noun}: a mapping of keys is expected")
    return content


def field_at(kind: type[BaseModel], path: str) -> FieldInfo:
    """The field with this dotted name in settings of a kind.

    Raises `UnknownNameError` with the nearest name where there is none.

    >>> class Inner(Settings):
    ...     k: int = Field(1, description="samples")
    >>> class Outer(Settings):
    ...     sampling: Inner | None = None
    >>> field_at(Outer, "sampling.k").description
    'samples'
    """
    group, _, rest = path.partition(".")
    if group not in kind.model_fields:
        raise UnknownNameError("setting", group, kind.model_fields)
    field = kind.model_fields[group]
    inner = model_in(field.annotation)
    if not rest:
        return field
    if inner is None:
        raise UnknownNameError("setting", path, [group])
    return field_at(inner, rest)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The settings in an annotation: itself, or the first ones inside; None without any.

    >>> model_in(int | None), model_in(tuple[Settings, ...])
    (None, <class 'detoxlab.settings.Settings'>)
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model), None)


def without_none(annotation: Any) -> Any:
    """An annotation without None as an alternative.

    >>> without_none(int | None), without_none(str)
    (<class 'int'>, <class 'str'>)
    """
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    rest = [one for one in get_args(annotation) if one is not type(None)]
    return Union[tuple(rest)]  # noqa: UP007


def _explained(error: pydantic.ValidationError, kind: type[BaseModel], place: str) -> ConfigError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_at(kind, first["loc"][:-1])
        nearest = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        inside = [path for path in _paths(kind) if path.rpartition(".")[2] == first["loc"][-1]]
        near = nearest[0] if nearest else inside[0] if inside else ""
        hint = f"Did you mean {near!r}?" if near else f"Known: {', '.join(known)}."
        return ConfigError(f"{place}: unknown key {where!r}", remedy=hint)
    if first["type"] == "missing":
        return ConfigError(f"{place}: {where} is not given", remedy=f"Add --set {where}=VALUE.")
    cause = first["msg"].removeprefix("Value error, ")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    remedy = REMEDIES.get(first["type"], "").format(where)
    return ConfigError(f"{place}: {where + ': ' if where else ''}{cause}{more}", remedy=remedy)


def _paths(kind: type[BaseModel], prefix: str = "", depth: int = 2) -> list[str]:
    """The dotted names of the fields inside groups, to a depth.

    >>> class Inner(Settings):
    ...     k: int = 1
    >>> class Outer(Settings):
    ...     sampling: Inner = Inner()
    >>> _paths(Outer)
    ['sampling', 'sampling.k']
    """
    found = []
    for name, field in kind.model_fields.items():
        found.append(f"{prefix}{name}")
        inner = model_in(field.annotation)
        is_list = get_origin(without_none(field.annotation)) in (dict, tuple)
        if inner and depth and not is_list:
            found += _paths(inner, f"{prefix}{name}.", depth - 1)
    return found


def _keys_at(kind: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The known keys of the settings at `loc` inside `kind`."""
    model: type[BaseModel] = kind
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            model = model_in(model.model_fields[part].annotation) or model
    return sorted(model.model_fields)
