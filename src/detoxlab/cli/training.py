"""`detoxlab train METHOD` and `detoxlab export`."""

from pathlib import Path
from typing import Annotated

import typer

from detoxlab.cli import arguments as arg
from detoxlab.cli.fields import Given, argument, from_fields
from detoxlab.data.settings import DialogueSettings, PromptSettings
from detoxlab.loading import ModelSettings
from detoxlab.recipe.learning import TrainSettings

SOURCES = {
    "--dialogues": "dialogues",
    "--pairs": "pairs",
    "--prompts": "prompts",
    "--texts": "texts",
}
OF_DATA = {
    "--data-path": "path",
    "--column": "columns",
    "--limit": "limit",
    "--validation": "validation",
}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(train)
    app.command()(export)


@from_fields(
    sources=(TrainSettings, SOURCES),
    data=(DialogueSettings, OF_DATA),
    chosen=(PromptSettings, {"--where": "where"}),
    asked=(TrainSettings, arg.READ_AS | {"--seed": "seed"}),
)
def train(
    method: Annotated[str, argument(TrainSettings, "method")],
    model: Annotated[str, argument(TrainSettings, "model")],
    out: arg.Out,
    sources: Given,
    data: Given,
    chosen: Given,
    asked: Given,
    set_: arg.Set = [],
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> None:
    """Make an adapter from a model by one of the methods; the base model is never touched.

    --set takes the method's hyperparameters, such as learning_rate=1e-3, and other settings.
    """
    from detoxlab import processes
    from detoxlab.pipeline import train_model
    from detoxlab.pipeline.preflight import check_train
    from detoxlab.pipeline.training import plan

    named = {"method": method, "model": model} | _sources(method, sources, data | chosen)
    settings = _settings(named | asked, set_)
    if dry_run:
        arg.say_unchecked(check_train(settings, out, resume=resume))
        typer.echo(plan(settings))
        return
    with processes.joined(settings.device):
        run = train_model(settings, out, resume=resume)
        if processes.is_main():
            typer.echo(f"run: {run.path}\nmeasure it: detoxlab measure {run.path} --out NEW")


def _sources(method: str, named: Given, options: Given) -> Given:
    """The data by kind, all with the same options; by default embedded data of the usual kind."""
    from detoxlab.pipeline.learning import usual_source
    from detoxlab.recipe.learning import data_settings

    kinds = named or {usual_source(method): "embedded"}
    return {kind: data_settings(kind, source, options) for kind, source in kinds.items()}


def _settings(given: Given, overrides: list[str]) -> TrainSettings:
    from detoxlab.methods import METHODS
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.registry import look_up
    from detoxlab.settings import parse

    config = look_up("method", given["method"], METHODS).config
    placed = arg.within("config", overrides, TrainSettings.model_fields, config.model_fields)
    return parse(TrainSettings, with_overrides(given, placed), place="train")


@from_fields(
    read_as=(ModelSettings, {"--base": "base", "--trust-remote-code": "trust_remote_code"})
)
def export(
    run: Annotated[
        Path, typer.Argument(help="a run folder of train, or a model such as a GGUF file")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="the model folder to make")],
    read_as: Given,
    merged: Annotated[
        bool, typer.Option("--merged/--adapter", help="merge the adapter into the weights")
    ] = True,
    original: Annotated[
        bool,
        typer.Option(
            "--original",
            help="of a quantised base, merge into its files' weights, not into those it trained "
            "with: another model than was measured.",
        ),
    ] = False,
    measured: Annotated[
        list[Path], typer.Option(help="measured runs for the card; the first is the baseline")
    ] = [],
    dry_run: arg.DryRun = False,
) -> None:
    """Write a model folder that plain transformers loads, with a card that holds the table."""
    from detoxlab.pipeline.preflight import check_export
    from detoxlab.pipeline.training import export_model

    if dry_run:
        arg.say_unchecked(check_export(run, output, read_as.get("base")))
        typer.echo(f"would write {'the merged model' if merged else 'the adapter'} to {output}")
        return
    written = export_model(
        run, output, merged=merged, original=original, measured=measured, **read_as
    )
    typer.echo(f"model: {written}")
