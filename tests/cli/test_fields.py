"""An option that names a field has no second default, text or range: all are the field's own."""

import ast
import re
from pathlib import Path
from typing import Any, Literal

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from detoxlab.cli import app
from detoxlab.cli.common.describing import describe
from detoxlab.cli.common.fields import FieldOption, Given, from_fields
from detoxlab.settings import Settings

CLI = Path(__file__).parents[2] / "src" / "detoxlab" / "cli"
COMMANDS: dict[str, Any] = {
    info.name or info.callback.__name__: info.callback
    for info in app.registered_commands
    if info.callback
}
GROUP = typer.main.get_command(app)
OPTIONS: list[tuple[str, FieldOption]] = [
    (name, option)
    for name, command in COMMANDS.items()
    for option in getattr(command, "field_options", ())
]


def built(command: str, parameter: str) -> Any:
    return next(one for one in GROUP.commands[command].params if one.name == parameter)


@pytest.mark.parametrize(
    ("command", "option"), OPTIONS, ids=[f"{name} {one.flag}" for name, one in OPTIONS]
)
def test_an_option_has_the_default_and_the_text_of_its_field(
    command: str, option: FieldOption
) -> None:
    shown = built(command, option.parameter)
    field = option.field
    assert shown.opts == [option.flag]
    assert shown.help == field.description
    assert shown.required == (field.is_required() and "." not in option.path)
    if isinstance(shown.default, list):
        assert shown.default == list(field.default or ())
    elif not field.is_required():
        assert shown.default == field.default


def test_the_daily_commands_show_fields() -> None:
    shown = {name for name, _ in OPTIONS}
    assert shown == {
        *(
            "run",
            "measure",
            "score",
            "train",
            "demo",
            "train scorer",
            "export",
            "publish",
            "evaluate",
            "audit",
        ),
        *("sweep", "winrate", "compare", "explain", "serve"),
    }


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_no_text_of_an_option_repeats_a_default(command: str) -> None:
    for one in GROUP.commands[command].params:
        text = getattr(one, "help", None) or ""
        assert "default" not in text
        if isinstance(one.default, int | float) and not isinstance(one.default, bool):
            assert str(one.default) not in re.findall(r"[\d.]+", text)


def test_text_is_read_as_settings_in_one_place() -> None:
    for path in CLI.glob("*.py"):
        names = [
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (getattr(node, "module", None), *(one.name for one in node.names))
        ]
        assert "yaml" not in names, path.name


class Inner(Settings):
    size: int = Field(3, ge=1, description="how large")
    words: tuple[str, ...] = Field((), description="some words")
    kind: Literal["a", "b"] = Field("a", description="which one")


class Outer(Settings):
    inner: Inner = Field(Inner(), description="a group")
    second: str | None = Field("x", description="another")


class Changed(Outer):
    second: str | None = Field("y", description="quite another")


TABLE = {
    "--size": "inner.size",
    "--word": "inner.words",
    "--kind": "inner.kind",
    "--second": "second",
}


def command_of(kind: type[Settings]) -> tuple[typer.Typer, list[Given]]:
    seen: list[Given] = []
    made = typer.Typer()

    @made.command()
    @from_fields(asked=(kind, TABLE))
    def command(asked: Given) -> None:
        seen.append(asked)

    return made, seen


def test_a_field_that_changes_changes_the_option_and_the_help() -> None:
    for kind, default, text in ((Outer, "x", "another"), (Changed, "y", "quite another")):
        page = CliRunner().invoke(command_of(kind)[0], ["--help"]).output
        assert re.search(rf"--second .*{text} +\[default: {default}\]", page), page
        described = {field.name: field for field in describe(kind)}
        assert (described["second"].default, described["second"].description) == (default, text)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ([], {}),
        (["--size", "3"], {"inner": {"size": 3}}),
        (["--word", "a", "--word", "b"], {"inner": {"words": ("a", "b")}}),
        (["--second", "none"], {"second": None}),
        (["--second", "x", "--kind", "b"], {"second": "x", "inner": {"kind": "b"}}),
    ],
)
def test_a_command_gets_what_was_given_and_nothing_else(arguments: list[str], given: Given) -> None:
    made, seen = command_of(Outer)
    assert CliRunner().invoke(made, arguments).exit_code == 0
    assert seen == [given]
