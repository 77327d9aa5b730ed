"""`detoxlab measure` and `detoxlab score`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from detoxlab.cli import arguments as arg
from detoxlab.cli.fields import Given, argument, from_fields
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.recipe.scoring import ScoreSettings

MEASURED = {
    "--prompts": "prompts.source",
    "--prompts-path": "prompts.path",
    "--column": "prompts.columns",
    "--where": "prompts.where",
    "--limit": "prompts.limit",
    "--protocol": "protocol",
    "--k": "sampling.k",
    "--max-new-tokens": "sampling.max_new_tokens",
    "--judge": "judge",
    "--second": "second",
    "--hate": "hate",
    "--scorer": "scorers",
    "--batch-size": "batch_size",
    **arg.STEERED,
    **arg.READ_AS,
    **arg.INTERVALS,
}
OF_A_FILE = {
    "--prompt-column": "prompt_column",
    "--response-column": "response_column",
    "--id-column": "id_column",
    "--score-column": "score_columns",
    "--missing-value": "missing_values",
    "--repeats": "repeats",
    "--hate": "hate",
    "--seed": "seed",
}
SCORED_BY = {"--scorer": "scorers", "--judge": "judge", "--second": "second"}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(measure)
    app.command()(score)


@from_fields(asked=(MeasureSettings, MEASURED))
def measure(
    model: Annotated[str, argument(MeasureSettings, "model")],
    out: arg.Out,
    asked: Given,
    set_: arg.Set = [],
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> None:
    """Draw generations from a model, score them, and measure their toxicity with its guards."""
    from detoxlab.cli.show import show_plan, show_run
    from detoxlab.pipeline import measure_model
    from detoxlab.pipeline.preflight import check_measure
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.settings import parse

    given = with_overrides({"model": model} | asked, set_)
    settings = parse(MeasureSettings, _with_prompts(given), place="measure")
    if dry_run:
        arg.say_unchecked(check_measure(settings, out, resume=resume))
        show_plan(settings, out)
        return
    show_run(measure_model(settings, out, resume=resume))


def _with_prompts(given: Given) -> Given:
    """The embedded prompts where neither prompts nor a protocol, which has its own, are named."""
    prompts = given.get("prompts") or {}
    if "protocol" in given or {"source", "path"} & prompts.keys():
        return given
    return {**given, "prompts": {"source": "embedded", **prompts}}


@from_fields(asked=(ScoreSettings, OF_A_FILE | SCORED_BY))
def score(
    responses: Annotated[
        Path, typer.Argument(help="a file of responses, or a saved run to score once more")
    ],
    asked: Given,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="the run folder to make (for a file)")
    ] = None,
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> None:
    """Score responses that were drawn elsewhere, or a saved run by another scorer, in place.

    In a saved run, --judge and --second may name a scorer that it has scores of already.
    """
    from detoxlab.runs import is_run

    if is_run(responses):
        _score_run(responses, out, asked, dry_run)
    else:
        _score_file(responses, out, asked, resume, dry_run)


def _score_file(
    responses: Path, out: Path | None, asked: Given, resume: bool, dry_run: bool
) -> None:
    from detoxlab.cli.show import show_run
    from detoxlab.errors import ConfigError
    from detoxlab.pipeline import score_file
    from detoxlab.pipeline.importing import check_file

    if out is None:
        raise ConfigError("score: --out is missing", remedy="Name a run folder with --out.")
    if dry_run:
        typer.echo(check_file(responses, out, resume=resume, **asked))
        return
    show_run(score_file(responses, out, resume=resume, **asked))


def _score_run(path: Path, out: Path | None, asked: Given, dry_run: bool) -> None:
    from detoxlab.cli.show import show_run
    from detoxlab.pipeline import score_again
    from detoxlab.pipeline.rescoring import check_again
    from detoxlab.runs import Run

    given = asked if out is None else {"out": out, **asked}
    arg.refuse(given, {"--out": "out"} | OF_A_FILE, f"{path} is a run, which is scored in place")
    roles: dict[str, Any] = {"scorers": (), **asked}
    if dry_run:
        names = check_again(Run.open(path), **roles)
        typer.echo(f"would score {path} by {', '.join(names) or 'what it has'} and measure again")
        return
    show_run(score_again(path, **roles))
