"""`detoxlab explain`."""

from pathlib import Path
from typing import Annotated

import typer

from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.answers import Answer, answers
from detoxlab.cli.common.fields import Given, argument, from_fields
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


@answers
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
) -> Answer:
    """Say how much each model still listens to its prompt, on the same text and on its own.

    The models' responses are attributed token by token; nothing is generated.
    """
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.settings import parse

    given = with_overrides({"runs": tuple(runs)} | asked, set_)
    settings = parse(ExplainSettings, given, place="explain")
    if not dry_run:
        arg.begin(f"explain {', '.join(runs)}", out)
    from detoxlab.cli.common.compared import explained_answer
    from detoxlab.explanations.measured.inseq import write_inseq
    from detoxlab.pipeline.explaining import check_explain, explain_runs, planned

    if dry_run:
        return Answer.of_plan(planned(settings), check_explain(settings, out, resume=resume))
    run = explain_runs(settings, out, resume=resume)
    return explained_answer(run, write_inseq(run, inseq) if inseq else [])
