"""`detoxlab demo` and `detoxlab run`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from detoxlab.cli import arguments as arg
from detoxlab.cli.fields import Given, from_fields
from detoxlab.data.settings import PromptSettings

DEMO = Path(__file__).parent.parent / "assets" / "demo.yaml"


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(demo)
    app.command()(run)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="the run folder to make")] = Path("demo"),
) -> None:
    """Show every step on the embedded model: measure, fine-tune, measure, compare, report.

    Needs no network, no key and no GPU. Run again, it goes on where it stopped.
    """
    # So small a model is faster on one thread than on two that wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _run(DEMO, out, [], resume=True)


@from_fields(asked=(PromptSettings, {"--limit": "limit"}))
def run(
    recipe: Annotated[Path | None, typer.Argument(help="A YAML recipe")] = None,
    *,
    asked: Given,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="the run folder; else runs/<recipe's name>")
    ] = None,
    set_: arg.Set = [],
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="print the recipe's JSON schema and exit")
    ] = False,
) -> None:
    """Run a recipe: base and variants on one bench, compared in one report."""
    from detoxlab.errors import ConfigError

    if schema:
        _print_schema()
        return
    if recipe is None:
        raise ConfigError("run: no recipe named", remedy="Give a YAML file, e.g. recipes/….yaml.")
    limits = [f"prompts.{name}={value}" for name, value in asked.items()]
    _run(recipe, out, [*set_, *limits], resume=resume, dry_run=dry_run)


def _run(
    path: Path, out: Path | None, overrides: list[str], *, resume: bool, dry_run: bool = False
) -> None:
    from detoxlab.cli.show import show_comparison, show_explained
    from detoxlab.pipeline import run_recipe
    from detoxlab.pipeline.experiment import check, plan
    from detoxlab.recipe.load import load_recipe

    recipe = load_recipe(path, overrides)
    folder = out or Path("runs") / recipe.name
    if dry_run:
        arg.say_unchecked(check(recipe, folder, resume=resume))
        typer.echo(plan(recipe, folder))
        return
    result = run_recipe(recipe, folder, resume=resume)
    for comparison in result.comparisons:
        show_comparison(comparison)
    if result.explained:
        show_explained(result.explained)
    typer.echo(f"report: {result.report}")


def _print_schema() -> None:
    import json

    from detoxlab.recipe.experiment import Recipe

    typer.echo(json.dumps(Recipe.model_json_schema(), indent=1))
