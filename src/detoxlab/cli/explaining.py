"""`detoxlab explain`."""

from pathlib import Path
from typing import Annotated

import typer

from detoxlab.cli import arguments as arg
from detoxlab.cli.fields import Given, argument, from_fields
from detoxlab.recipe.explaining import ExplainSettings

ASKED = {
    "--method": "method",
    "--target": "target",
    "--limit": "limit",
    "--steps": "steps",
    "--samples": "samples",
    "--batch-size": "batch_size",
    "--device": "device",
    "--check": "faithfulness.prompts",
    **arg.INTERVALS,
}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(explain)


@from_fields(asked=(ExplainSettings, ASKED))
def explain(
    runs: Annotated[list[str], argument(ExplainSettings, "runs")],
    out: arg.Out,
    asked: Given,
    inseq: Annotated[
        Path | None,
        typer.Option(help="a folder for the scores as Inseq reads them, a file per model and text"),
    ] = None,
    set_: arg.Set = [],
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> None:
    """Say how much each model still listens to its prompt, on the same text and on its own.

    The models' responses are attributed token by token; nothing is generated.
    """
    from detoxlab.cli.show import show_explained
    from detoxlab.explanations.measured.inseq import write_inseq
    from detoxlab.pipeline.explaining import check_explain, explain_runs, planned
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.settings import parse

    given = with_overrides({"runs": tuple(runs)} | asked, set_)
    settings = parse(ExplainSettings, given, place="explain")
    if dry_run:
        arg.say_unchecked(check_explain(settings, out, resume=resume))
        typer.echo(planned(settings))
        return
    run = explain_runs(settings, out, resume=resume)
    show_explained(run)
    if inseq:
        for path in write_inseq(run, inseq):
            typer.echo(f"written: {path}")
