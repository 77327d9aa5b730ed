"""The answer of a command: text for people, or with --json one JSON document.

    @answers
    def doctor() -> Answer:
        found = list(checks())
        return Answer(found, lambda: show_checks(found))

docs/json.md has the document of each command.
"""

import contextlib
import dataclasses
import inspect
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from detoxlab.records import to_json

FLAG = "--json"
Json = Annotated[
    bool,
    typer.Option(FLAG, help="print one JSON document on stdout and nothing else (docs/json.md)"),
]


@dataclass(frozen=True)
class Answer:
    """The result of a command: `content` for programs, `show` prints it for people.

    `content` is made of mappings, lists, plain values, paths and records. `stays` goes on
    after the answer was printed, as a server does.
    """

    content: Any
    show: Callable[[], None]
    stays: Callable[[], None] = lambda: None

    @classmethod
    def of_text(cls, text: str, **content: Any) -> "Answer":
        """An answer that people read as this text."""
        return cls(content, lambda: typer.echo(text))

    @classmethod
    def of_nothing(cls) -> "Answer":
        """The answer of a process beside the main one, which prints nothing."""
        return cls(None, lambda: None)

    @classmethod
    def of_plan(cls, plan: str, unchecked: Iterable[str] = ()) -> "Answer":
        """The answer of a dry run: its plan, and the sources that were not looked at."""
        names = list(dict.fromkeys(unchecked))
        said = f"not looked at, for the hub is not asked: {', '.join(names)}\n" if names else ""
        return cls.of_text(f"{said}{plan}", plan=plan, not_looked_at=names)


def answers(command: Callable[..., Answer]) -> Callable[..., None]:
    """The command with the option --json, which prints its answer.

    With --json, lines that the command or a library prints meanwhile go to stderr.
    """

    @wraps(command)
    def run(*, json: bool, **values: Any) -> None:
        with _only_answers(json):
            answer = command(**values)
        if not json:
            answer.show()
        elif answer.content is not None:
            typer.echo(document(answer.content))
        with _only_answers(json):
            answer.stays()

    run.__signature__ = _with_json(command)  # type: ignore[attr-defined]
    return run


def document(content: Any) -> str:
    """The content as JSON.

    >>> document({"run": Path("runs/base"), "value": None})
    '{\\n "run": "runs/base",\\n "value": null\\n}'
    """
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=_plain)


# --- inside ---


def _only_answers(json: bool) -> contextlib.AbstractContextManager[Any]:
    """Keeps stdout free of other lines."""
    return contextlib.redirect_stdout(sys.stderr) if json else contextlib.nullcontext()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _with_json(command: Callable[..., Answer]) -> inspect.Signature:
    option = inspect.Parameter(
        "json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json
    )
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
    ]
    return inspect.Signature([*kept, option])
