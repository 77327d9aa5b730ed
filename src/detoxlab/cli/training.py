"""`detoxlab train METHOD`."""

from typing import Annotated

import typer

from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.answers import Answer, answers
from detoxlab.cli.common.fields import Given, argument, from_fields
from detoxlab.data.settings import DialogueSettings, PromptSettings
from detoxlab.errors import ConfigError
from detoxlab.recipe.learning import TrainSettings
from detoxlab.settings import Settings

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
    "--skip-nulls": "skip_nulls",
    "--validation": "validation",
}


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(train)


@answers
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
) -> Answer:
    """Make an adapter from a model by one of the methods; the base model is never touched.

    --set takes the method's hyperparameters, such as learning_rate=1e-3, and other settings.
    """
    if not dry_run:
        arg.begin(f"train {method} from {model}", out)
    from detoxlab import processes
    from detoxlab.pipeline import train_model
    from detoxlab.pipeline.preflight import check_train
    from detoxlab.pipeline.training import plan

    config = _config_of(method, model)
    named = {"method": method, "model": model} | _sources(method, sources, data | chosen)
    settings = _settings(named | asked, set_, config)
    if dry_run:
        unchecked = check_train(settings, out, resume=resume)
        return Answer.of_plan(plan(settings), unchecked)
    with processes.joined(settings.device):
        run = train_model(settings, out, resume=resume)
        if not processes.is_main():
            return Answer.of_nothing()
    from detoxlab.cli.common.ending import next_after_training

    command = next_after_training(run)
    return Answer.of_text(f"run: {run.path}\nnext: {command}", run=run.path, next=command)


def _sources(method: str, named: Given, options: Given) -> Given:
    """The data by kind, all with the same options; by default embedded data of the usual kind."""
    from detoxlab.pipeline.learning import usual_source
    from detoxlab.recipe.learning import data_settings

    if not named:
        kind = usual_source(method)
        typer.echo(f"no data named: learning from the embedded {kind} (--{kind} FILE)", err=True)
    kinds = named or {usual_source(method): "embedded"}
    return {kind: data_settings(kind, source, options) for kind, source in kinds.items()}


def _config_of(method: str, model: str) -> type[Settings]:
    """The hyperparameters of a method; `ConfigError` where method and model were confused."""
    from detoxlab.methods import METHODS
    from detoxlab.registry import look_up

    if method not in METHODS and model in METHODS:
        raise ConfigError(
            f"train: {method!r} is no method, but {model!r} is one",
            remedy=f"The method comes first: detoxlab train {model} {method}.",
        )
    return look_up("method", method, METHODS).config


def _settings(given: Given, overrides: list[str], config: type[Settings]) -> TrainSettings:
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.settings import parse

    placed = arg.within("config", overrides, TrainSettings.model_fields, config.model_fields)
    return parse(TrainSettings, with_overrides(given, placed), place="train")
