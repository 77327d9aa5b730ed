"""`detoxlab doctor`: tells what this machine can do."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from detoxlab.cli.common.answers import Answer, answers

if TYPE_CHECKING:
    from detoxlab.pipeline.doctor import Check


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(doctor)


@answers
def doctor(
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough", help="also try: bfloat16, 8 and 4 bits, the model and scorers inside"
        ),
    ] = False,
) -> Answer:
    """Say what is installed, what this machine can do, and what to install for the rest.

    ok: it is there. --: it is not there, and only some commands need it. !!: repair it.
    """
    from detoxlab.cli.common.tables import console
    from detoxlab.pipeline.doctor import checks

    found = list(checks(thorough=thorough))

    def show() -> None:
        mark = {"ok": "[green]ok[/]", "absent": "[yellow]--[/]", "broken": "[red]!![/]"}
        for one in found:
            line = escape(f"{one.name}: {one.finding}")
            console().print(f"{mark[one.state]:>4} {line}", highlight=False)
        typer.echo(_summary(found))

    def end() -> None:
        if any(one.state == "broken" for one in found):
            raise typer.Exit(1)

    return Answer({"checks": found}, show, end)


def _summary(found: "Sequence[Check]") -> str:
    """The one sentence that matters."""
    broken = [one.name for one in found if one.state == "broken"]
    if broken:
        return f"not ready: repair {', '.join(broken)} (!!)"
    return "ready: all that detoxlab needs is there"
