"""`detoxlab sweep`."""

from typing import Annotated

import typer

from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.answers import Answer, answers
from detoxlab.cli.common.benches import MEASURED
from detoxlab.cli.common.fields import Given, argument, from_fields
from detoxlab.cli.measuring import with_prompts
from detoxlab.recipe.sweeping import SweepSettings

SWEPT = {
    "--budget": "budgets",
    "--cost": "costs",
    "--strengths": "strengths",
    "--tries": "tries",
    **{flag: path for flag, path in MEASURED.items() if path != "strength"},
}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(sweep)


@answers
@from_fields(asked=(SweepSettings, SWEPT))
def sweep(
    model: Annotated[str, argument(SweepSettings, "model")],
    out: arg.Out,
    asked: Given,
    set_: arg.Set = [],
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> Answer:
    """Find the strength of a treatment that spends a budget of perplexity.

    --cost wikitext2=FILE --budget wikitext2=1.02,1.05 finds two strengths: with the first,
    perplexity on the text rises by two per cent. Every strength on the way is measured on the
    prompts, which should not be those of the comparison, and shows its toxicity.
    """
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.settings import parse

    given = with_overrides({"model": model} | asked, set_)
    settings = parse(SweepSettings, with_prompts(given), place="sweep")
    if not dry_run:
        arg.begin(f"sweep {model}", out)
    from detoxlab.cli.common.show import sweep_answer
    from detoxlab.pipeline.preflight import check_sweep
    from detoxlab.pipeline.sweeping import planned, sweep_model

    if dry_run:
        return Answer.of_plan(planned(settings), check_sweep(settings, out, resume=resume))
    return sweep_answer(sweep_model(settings, out, resume=resume))
