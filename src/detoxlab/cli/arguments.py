"""Options that several commands share, and how their text becomes settings."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from detoxlab.errors import ConfigError

Out = Annotated[Path, typer.Option("--out", "-o", help="The run folder to make.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run that is there.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")]
Seed = Annotated[int, typer.Option(help="Seed of sampling and of every random choice.")]
Limit = Annotated[int | None, typer.Option(help="A seeded sample of that many.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
DType = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Revision = Annotated[str | None, typer.Option(help="Revision of a hub model.")]
Base = Annotated[
    str | None,
    typer.Option(help="Where the base of an adapter or trained run is now, if it has moved."),
]
Strength = Annotated[float, typer.Option(help="Of steerings without one; 0 changes nothing.")]
Resamples = Annotated[int, typer.Option(help="Bootstrap resamples.")]

Steer = Annotated[
    list[str],
    typer.Option(
        help="KIND:WHERE, or KIND:WHERE@STRENGTH: nado:RUN, with a run of auxiliary. Several stack."
    ),
]
TrustRemoteCode = Annotated[
    bool, typer.Option(help="Run code that comes with the model. Know what you do.")
]
Quantisation = Annotated[
    str | None,
    typer.Option(help="int8, nf4, fp4 or none; or '{kind: nf4, double: false}'. See docs."),
]

TemplateOption = Annotated[
    list[str],
    typer.Option(help="name=value of a chat template's variable, e.g. enable_thinking=false."),
]
TemplateDate = Annotated[
    str | None,
    typer.Option(help="The day, as 2026-01-31, that a chat template reads as today; else today."),
]
ControlTokens = Annotated[
    str,
    typer.Option(help="What a text is that spells out a control token: text, or that token."),
]


def asking(options: Iterable[str], date: str | None, control_tokens: str) -> dict[str, Any]:
    """The settings of how a model is asked; values of options are read as YAML.

    >>> asking(["enable_thinking=false"], None, "text")["template_options"]
    {'enable_thinking': False}
    """
    named = pairs("--template-option", options)
    return {
        "template_options": {name: yaml.safe_load(value) for name, value in named.items()},
        "template_date": date,
        "control_tokens": control_tokens,
    }


def refuse(context: typer.Context, options: Iterable[str], reason: str) -> None:
    """Raises `ConfigError` for the first of the options that was given on the command line.

    `options` are parameters' names, such as `id_column`; `reason` says why it makes no sense.
    """
    for name in options:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = name.rstrip("_").replace("_", "-")
            raise ConfigError(f"--{option}: {reason}", remedy="Leave it out.")


def say_unchecked(names: Iterable[str]) -> None:
    """Print what a dry run could not look at."""
    if found := ", ".join(dict.fromkeys(names)):
        typer.echo(f"not looked at, for the hub is not asked: {found}")


def pairs(option: str, values: Iterable[str]) -> dict[str, str]:
    """`["a=b"]` as `{"a": "b"}`; `ConfigError` names the option otherwise.

    >>> pairs("--score-column", ["perspective=tox"])
    {'perspective': 'tox'}
    """
    result = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not (key and equals and rest):
            raise ConfigError(f"{option} {value}: not of the form name=value")
        result[key] = rest
    return result


def conditions(values: Iterable[str]) -> dict[str, Any]:
    """`--where` texts as conditions: `toxicity=0.5:1` is a range, anything else equality.

    What a word or number means is for the filter to tell: `label=1` may be of a text or a number.

    >>> conditions(["toxicity=0.5:1", "kind=hostile", "challenging=true", "label=1"])
    {'toxicity': (0.5, 1.0), 'kind': 'hostile', 'challenging': True, 'label': '1'}
    """
    result: dict[str, Any] = {}
    for key, value in pairs("--where", values).items():
        low, colon, high = value.partition(":")
        if not colon:
            result[key] = {"true": True, "false": False}.get(value, value)
            continue
        try:
            result[key] = (float(low or "-inf"), float(high or "inf"))
        except ValueError:
            raise ConfigError(f"--where {key}={value}: not a range low:high") from None
    return result


def settings_of(values: Iterable[str]) -> dict[str, Any]:
    """`--set key=value` texts as a mapping, values read as YAML; `a.b=1` sets b inside a.

    >>> settings_of(["learning_rate=1e-3", "draws.k=4", "draws.top_p=0.9"])
    {'learning_rate': 0.001, 'draws': {'k': 4, 'top_p': 0.9}}
    """
    result: dict[str, Any] = {}
    for key, value in pairs("--set", values).items():
        *groups, last = key.split(".")
        inside = result
        for group in groups:
            inside = inside.setdefault(group, {})
            if not isinstance(inside, dict):
                raise ConfigError(f"--set {key}: {group!r} is no group of settings")
        parsed = yaml.safe_load(value)
        inside[last] = _number(parsed) if isinstance(parsed, str) else parsed
    return result


def quantisation(value: str | None) -> Any:
    """The text of `--quantisation`, read as YAML; None and the word "none" as they are.

    >>> quantisation("nf4"), quantisation("{kind: nf4, double: false}"), quantisation(None)
    ('nf4', {'kind': 'nf4', 'double': False}, None)
    """
    return None if value is None else yaml.safe_load(value)


def model(value: str | None) -> Any:
    """The text of an option that names a further model: a name, or a mapping written as YAML.

    >>> model("org/judge"), model("{model: org/judge, revision: v1}")
    ('org/judge', {'model': 'org/judge', 'revision': 'v1'})
    """
    return yaml.safe_load(value) if value is not None and value.startswith("{") else value


def _number(text: str) -> float | str:
    """YAML 1.1 reads 1e-3 as text; people mean a number."""
    try:
        return float(text)
    except ValueError:
        return text
