"""`detoxlab measure` and `detoxlab score`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.answers import Answer, answers
from detoxlab.cli.common.benches import MEASURED
from detoxlab.cli.common.fields import Given, argument, from_fields
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.recipe.scoring import ScoreSettings
from detoxlab.workers import LOCAL, Workers, workers_on

OF_A_FILE = {
    "--prompt-column": "prompt_column",
    "--response-column": "response_column",
    "--id-column": "id_column",
    "--score-column": "score_columns",
    "--missing-value": "missing_values",
    "--repeats": "repeats",
    "--skip-nulls": "skip_nulls",
    "--hate": "hate",
    "--seed": "seed",
}
SCORED_BY = {"--scorer": "scorers", "--judge": "judge", "--second": "second"}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(measure)
    app.command()(score)


@answers
@from_fields(asked=(MeasureSettings, MEASURED))
def measure(
    model: Annotated[str, argument(MeasureSettings, "model")],
    out: arg.Out,
    asked: Given,
    set_: arg.Set = [],
    resume: arg.Resume = False,
    on: arg.On = LOCAL,
    workers: arg.Workers = None,
    dry_run: arg.DryRun = False,
    all_: arg.All = False,
) -> Answer:
    """Draw generations from a model, score them, and measure their toxicity with its guards."""
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.settings import parse

    there = workers_on(on, workers)
    given = with_overrides({"model": model} | asked, set_)
    settings = parse(MeasureSettings, with_prompts(given), place="measure")
    if not dry_run:
        arg.begin(f"measure {model}", out)
    from detoxlab.cli.common.show import plan_of, run_answer
    from detoxlab.pipeline import measure_model
    from detoxlab.pipeline.preflight import check_measure

    if dry_run:
        unchecked = check_measure(settings, out, resume=resume)
        return Answer.of_plan(plan_of(settings, out), unchecked)
    run = measure_model(settings, out, resume=resume, workers=there)
    return run_answer(run, everything=all_)


def with_prompts(given: Given) -> Given:
    """The embedded prompts where neither prompts nor a protocol, which has its own, are named."""
    prompts = given.get("prompts") or {}
    is_group = isinstance(prompts, dict)  # anything else is refused with the settings
    if "protocol" in given or not is_group or {"source", "path"} & prompts.keys():
        return given
    return {**given, "prompts": {"source": "embedded", **prompts}}


@answers
@from_fields(asked=(ScoreSettings, OF_A_FILE | SCORED_BY))
def score(
    responses: Annotated[
        Path, typer.Argument(help="a file of responses, or a saved run to score once more")
    ],
    asked: Given,
    out: Annotated[
        Path | None, typer.Option(*arg.OUT, help="the run folder to make (for a file)")
    ] = None,
    resume: arg.Resume = False,
    on: arg.On = LOCAL,
    workers: arg.Workers = None,
    dry_run: arg.DryRun = False,
    all_: arg.All = False,
) -> Answer:
    """Score responses that were drawn elsewhere, or a saved run by another scorer, in place.

    In a saved run, --judge and --second may name a scorer that it has scores of already.
    """
    if not dry_run:
        arg.begin(f"score {responses}", out)
    from detoxlab.runs import is_run

    there = workers_on(on, workers)
    if is_run(responses):
        return _score_run(responses, out, asked, there, dry_run, all_)
    return _score_file(responses, out, asked, there, resume, dry_run, all_)


def _score_file(
    responses: Path,
    out: Path | None,
    asked: Given,
    workers: Workers,
    resume: bool,
    dry_run: bool,
    everything: bool,
) -> Answer:
    from detoxlab.cli.common.show import run_answer
    from detoxlab.errors import ConfigError
    from detoxlab.pipeline import score_file
    from detoxlab.pipeline.importing import check_file

    if out is None:
        raise ConfigError("score: --out is missing", remedy="Name a run folder with --out.")
    if dry_run:
        return Answer.of_plan(check_file(responses, out, resume=resume, **asked))
    run = score_file(responses, out, resume=resume, workers=workers, **asked)
    return run_answer(run, everything=everything)


def _score_run(
    path: Path, out: Path | None, asked: Given, workers: Workers, dry_run: bool, everything: bool
) -> Answer:
    from detoxlab.cli.common.show import run_answer
    from detoxlab.pipeline import score_again
    from detoxlab.pipeline.rescoring import check_again
    from detoxlab.runs import Run

    given = asked if out is None else {"out": out, **asked}
    arg.refuse(given, {"--out": "out"} | OF_A_FILE, f"{path} is a run, which is scored in place")
    roles: dict[str, Any] = {"scorers": (), **asked}
    if dry_run:
        names = check_again(Run.open(path), **roles)
        return Answer.of_plan(
            f"would score {path} by {', '.join(names) or 'what it has'} and measure again"
        )
    return run_answer(score_again(path, workers=workers, **roles), everything=everything)
