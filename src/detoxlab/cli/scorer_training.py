"""`detoxlab train scorer`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.answers import Answer, answers
from detoxlab.cli.common.fields import Given, from_fields
from detoxlab.errors import ConfigError
from detoxlab.scorer_training import LabelledSet, ScorerTraining
from detoxlab.settings import Settings


class Asked(Settings):
    """The options: settings that replace those of a recipe, or one table in place of a recipe."""

    training: ScorerTraining | None = None
    table: LabelledSet | None = None


ASKED = {
    "--encoder": "training.encoder",
    "--name": "training.name",
    "--attributes": "training.attributes",
    "--adaptation": "training.adaptation",
    "--epochs": "training.epochs",
    "--learning-rate": "training.learning_rate",
    "--seed": "training.seed",
    "--data": "table.source",
    "--data-path": "table.path",
    "--where": "table.where",
    "--limit": "table.limit",
}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("train scorer")(train_scorer)


@answers
@from_fields(asked=(Asked, ASKED))
def train_scorer(
    recipe: Annotated[
        Path | None,
        typer.Argument(
            help="a YAML recipe, or the name of one that comes along, such as hate-neural"
        ),
    ] = None,
    *,
    out: arg.Out,
    asked: Given,
    column: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=COLUMN", help="of --data: the column of `text`, or of an attribute"
        ),
    ] = [],
    set_: arg.Set = [],
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> Answer:
    """Make a scorer from an encoder: by a recipe, or from one table of texts with labels.

    --scorer takes the run folder, and plain transformers opens the folder `scorer` in it.
    """
    settings = _settings(recipe, out, asked, arg.pairs("--column", column), set_)
    if not dry_run:
        arg.begin("train scorer", out)
    from detoxlab.pipeline.preflight import check_scorer_training
    from detoxlab.pipeline.training import plan_scorer
    from detoxlab.pipeline.training import train_scorer as train

    if dry_run:
        unchecked = check_scorer_training(settings, out, resume=resume)
        is_known = set(unchecked) <= {settings.encoder}
        return Answer.of_plan(plan_scorer(settings) if is_known else "", unchecked)
    run = train(settings, out, resume=resume)
    scorer = run.path / "scorer"
    said = f"scorer: {scorer}\nuse it: --scorer {run.path}"
    return Answer.of_text(said, run=run.path, scorer=scorer)


def _settings(
    recipe: Path | None,
    out: Path,
    asked: Given,
    columns: dict[str, str],
    overrides: list[str],
) -> ScorerTraining:
    from detoxlab.recipe.load import SHIPPED, load_settings, recipe_file
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.settings import parse

    training, table = asked.get("training", {}), asked.get("table", {})
    if recipe is not None:
        if table or columns:
            raise ConfigError(
                "train scorer: a recipe and a table are given",
                remedy="Give the recipe alone, or --data with --column.",
            )
        file = recipe_file(recipe, SHIPPED / "scorers")
        return load_settings(ScorerTraining, file, overrides, given=training)
    if "source" not in table:
        raise ConfigError(
            "train scorer: no data named",
            remedy="Give a recipe (recipes/scorers/….yaml), or --data FILE with --column.",
        )
    named = training.get("attributes", ())
    data = {"table": _table(table, columns, named)}
    given = {"name": out.resolve().name, **training, "data": data}
    return parse(ScorerTraining, with_overrides(given, overrides), place="train scorer")


def _table(table: Given, columns: dict[str, str], attributes: Sequence[str]) -> Given:
    """The one data set of --data; an attribute without a column has its own name as column."""
    labels = {name: column for name, column in columns.items() if name != "text"}
    named = [part.strip() for one in attributes for part in one.split(",")]
    text = {"columns": {"text": columns["text"]}} if "text" in columns else {}
    if not (named or labels):
        raise ConfigError(
            "train scorer: no attribute named",
            remedy="Name columns of labels: --attributes hate, or --column hate=COLUMN.",
        )
    return {**table, **text, "labels": {name: name for name in named} | labels}
