"""Options that several commands share, and the functions that turn their text into settings."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from detoxlab.errors import ConfigError
from detoxlab.progress import say

OUT = ("--out", "--output", "-o")
Out = Annotated[Path, typer.Option(*OUT, help="the run folder to make")]
Resume = Annotated[bool, typer.Option("--resume", help="go on with the run that is there")]
All = Annotated[bool, typer.Option("--all", help="print every row, not the main ones alone")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done; do nothing")]
Set = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="any other setting by its dotted name; `detoxlab help settings` has all",
    ),
]

On = Annotated[
    str,
    typer.Option(
        "--on",
        metavar="ENGINE",
        help="where the work is done: local, or ray (this machine's processors, or the cluster "
        "that RAY_ADDRESS names)",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", help="of --on ray; none: one for each GPU, else for each CPU"),
]

# Flags of fields that several commands show, for `from_fields`.
READ_AS = {
    "--dtype": "dtype",
    "--quantisation": "quantisation",
    "--device": "device",
    "--base": "base",
    "--revision": "revision",
    "--trust-remote-code": "trust_remote_code",
    "--template-option": "template_options",
    "--template-date": "template_date",
    "--control-tokens": "control_tokens",
}
STEERED = {"--steer": "steer", "--strength": "strength", "--system": "system"}
INTERVALS = {"--resamples": "resamples", "--seed": "seed"}


def refuse(asked: Mapping[str, Any], table: Mapping[str, str], reason: str) -> None:
    """Raises `ConfigError` for the first option of a table whose field was given.

    `reason` says why the option makes no sense here.
    """
    for flag, path in table.items():
        if path in asked:
            raise ConfigError(f"{flag}: {reason}", remedy="Leave it out.")


def begin(work: str, out: Path | None = None) -> None:
    """Print at once what begins, on stderr: the libraries that it needs take seconds to load.

    Of several launched processes, which have not joined yet, the first alone prints it.
    """
    if os.environ.get("RANK", "0") == "0":
        say(f"{work}{f', into {out}' if out else ''} (loading takes a moment)")


def pairs(option: str, values: Iterable[str]) -> dict[str, str]:
    """`["a=b"]` as `{"a": "b"}`; `ConfigError` names the option otherwise.

    >>> pairs("--score-column", ["perspective=tox"])
    {'perspective': 'tox'}
    """
    result = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not (key and equals and rest):
            raise ConfigError(
                f"{option} {value}: not of the form name=value",
                remedy=f"Write {option} NAME={rest or key or 'VALUE'}.",
            )
        result[key] = rest
    return result


def conditions(values: Iterable[str]) -> dict[str, Any]:
    """`--where` texts as conditions: `toxicity=0.5:1` is a range, anything else equality.

    The filter decides whether a value is a text or a number, for instance in `label=1`.

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
            raise ConfigError(
                f"--where {key}={value}: not a range",
                remedy=f"Write --where {key}=LOW:HIGH with two numbers.",
            ) from None
    return result


def within(
    group: str, overrides: Iterable[str], outside: Iterable[str], inside: Iterable[str]
) -> list[str]:
    """`--set` texts put inside a group, except those whose key is known only outside of it.

    >>> within("config", ["epochs=2", "dtype=float16"], ["dtype", "config"], ["epochs"])
    ['config.epochs=2', 'dtype=float16']
    """
    outer = set(outside) - set(inside)
    return [
        one if one.partition("=")[0].partition(".")[0] in outer else f"{group}.{one}"
        for one in overrides
    ]
