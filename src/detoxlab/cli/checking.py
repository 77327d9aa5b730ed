"""`detoxlab doctor`: tells what this machine can do."""

import typer


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(doctor)


def doctor() -> None:
    """Say what is installed, what this machine can do, and what to install for the rest."""
    from detoxlab.cli.show import console
    from detoxlab.pipeline.doctor import checks

    worst = 0
    for check in checks():
        mark = {"ok": "[green]ok[/]", "absent": "[yellow]--[/]", "broken": "[red]!![/]"}
        console().print(f"{mark[check.state]:>4} {check.name}: {check.finding}", highlight=False)
        worst = max(worst, check.state == "broken")
    if worst:
        raise typer.Exit(1)
