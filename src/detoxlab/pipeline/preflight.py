"""Checks for every command that run before anything is loaded.

Each check raises the error that the work itself would end in, and returns the ids that it could
not check, as the hub is not asked. None imports torch, reads weights or writes a file.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from detoxlab.contest import WinRate
from detoxlab.data.reading import check_data, check_prompts
from detoxlab.encoders import check_encoder
from detoxlab.errors import ConfigError, ModelError
from detoxlab.evaluations import Evaluation, is_evaluated
from detoxlab.loading import ModelSettings
from detoxlab.locations import EMBEDDED
from detoxlab.methods import Method, load_method
from detoxlab.models.adapters.load import base_named_by, find_adapter
from detoxlab.models.gguf.files import checked_header, find_gguf
from detoxlab.models.sources import REMEDY, check_weights, read_config
from detoxlab.pipeline.learning import check_learnt, training_scorers
from detoxlab.pipeline.subjects import base_of_run, check_has_base, has_base, steered_run
from detoxlab.publish.export import check_free
from detoxlab.recipe.experiment import MAY_CHANGE, Recipe
from detoxlab.recipe.explaining import Explaining
from detoxlab.recipe.learning import Learning, TrainSettings
from detoxlab.recipe.measuring import MeasureSettings, Measuring, SubjectSettings
from detoxlab.runs import Run, is_run
from detoxlab.scorer_training import ScorerTraining
from detoxlab.scorers import check_scorer, single_scorers
from detoxlab.scorers.offline import OFFLINE
from detoxlab.steering import check_steering

Unchecked = list[str]


def check_measure(settings: MeasureSettings, out: Path | str, *, resume: bool) -> Unchecked:
    """Check `measure`: prompts, scorers, encoder, models; `out` is free or the same run."""
    Run.check_startable(out, kind="measure", config=settings.run_config(), resume=resume)
    served = settings.endpoint is not None
    return check_bench(settings) + ([] if served else check_subject(settings))


def check_train(settings: TrainSettings, out: Path | str, *, resume: bool) -> Unchecked:
    """Check `train`: method, hyperparameters, data, scorers, model, and `out`."""
    method = load_method(settings.method, {"seed": settings.seed, **settings.config})
    unchecked = check_learning(settings, method, "train")
    config = settings.run_config(method.config.model_dump(mode="json"))
    Run.check_startable(out, kind="train", config=config, resume=resume)
    return unchecked + check_model(settings)


def check_scorer_training(settings: ScorerTraining, out: Path | str, *, resume: bool) -> Unchecked:
    """Check `train scorer`: the data, the encoder, and `out`."""
    Run.check_startable(out, kind="scorer", config=settings.run_config(), resume=resume)
    sets = (*settings.data.values(), *settings.never.values())
    unchecked = [one for given in sets for one in check_data(given, "labelled")]
    if settings.encoder in OFFLINE:
        OFFLINE[settings.encoder].check()
        return unchecked
    return unchecked + check_model(ModelSettings(model=settings.encoder))


def check_recipe(
    recipe: Recipe, config: Mapping[str, Any], out: Path | str, *, resume: bool
) -> Unchecked:
    """Check `run`: the bench, the data and scorers of every variant, and `out`."""
    unchecked = []
    for variant in recipe.variants:
        method = load_method(variant.method, {"seed": recipe.seed, **variant.config})
        unchecked += check_learning(variant, method, f"variants.{variant.name}")
        _check_judges_apart(variant, method, recipe.judge, f"variants.{variant.name}")
    unchecked += check_bench(recipe) + check_model(recipe.base_model)
    if recipe.win_rate:
        unchecked += check_model(recipe.win_rate.judge)
    if recipe.explain:
        unchecked += check_explaining(recipe.explain, recipe.judge)
    Run.check_startable(out, kind="experiment", config=config, resume=resume, may_differ=MAY_CHANGE)
    return unchecked


def check_evaluate(
    settings: SubjectSettings,
    evaluations: Mapping[str, Evaluation],
    out: Path | str,
    *,
    seed: int,
    resume: bool,
) -> Unchecked:
    """Check `evaluate` with a run of its own: items, model, and `out`."""
    Run.check_startable(out, kind="evaluate", config=settings.run_config(), resume=resume)
    for evaluation in evaluations.values():
        evaluation.items(seed)
    return check_subject(settings)


def check_in_place(
    run: Run, settings: SubjectSettings, evaluations: Mapping[str, Evaluation], *, seed: int
) -> Unchecked:
    """Check `evaluate` in a measured run: items and model, where there is work left."""
    pending = [one for name, one in evaluations.items() if not is_evaluated(run, name, one, seed)]
    for evaluation in pending:
        evaluation.items(seed)
    return check_subject(settings) if pending else []


def check_win_rate(
    settings: WinRate, out: Path | str, config: Mapping[str, Any], *, resume: bool
) -> Unchecked:
    """Check `winrate`: the judge, and `out`."""
    Run.check_startable(out, kind="win-rate", config=config, resume=resume)
    return check_model(settings.judge)


def check_bench(settings: Measuring) -> Unchecked:
    """Check the prompts, scorers and encoder, the server or reference model of a bench."""
    names = (settings.judge, settings.second, settings.hate, *settings.scorers)
    unchecked = check_prompts(settings.prompts) + check_scorers(name for name in names if name)
    unchecked += _check_encoder(settings.encoder)
    if settings.reference:
        unchecked += check_model(settings.reference)
    if settings.endpoint and (key := settings.api_key_env) and not os.environ.get(key):
        raise ConfigError(f"the environment variable {key} is not set", remedy="Put the key there.")
    return unchecked


def check_explaining(settings: Explaining, judge: str) -> Unchecked:
    """Check the encoder and the scorer of words, which is the judge where none is named."""
    return _check_encoder(settings.encoder) + check_scorers([settings.toxic_words.scorer or judge])


def check_learning(settings: Learning, method: Method, place: str) -> Unchecked:
    """Check the data that a method learns from, and its scorers."""
    data = check_learnt(settings, place)
    return data + check_scorers(training_scorers(settings, method))


def check_scorers(names: Iterable[str]) -> Unchecked:
    """Check the names of scorers."""
    return [one for name in names for one in check_scorer(name)]


def check_subject(settings: SubjectSettings) -> Unchecked:
    """Check a model and its steerings."""
    for name in settings.steerings:
        check_steering(name)
    return check_model(settings)


def check_model(settings: ModelSettings) -> Unchecked:
    """Check a model: a complete folder or file; a run or adapter with its base; or a hub id."""
    ref, folder = settings.model, Path(settings.model)
    if ref == EMBEDDED:
        return []
    if not folder.exists():
        if ref.startswith(("/", ".", "~")) or ref.count("/") > 1:
            raise ModelError(f"{ref}: no such model folder", remedy=REMEDY)
        return [ref]
    if settings.base:
        check_has_base(ref, settings.base)
        return check_model(ModelSettings(model=settings.base))
    if file := find_gguf(folder):
        checked_header(file)
        return []
    if (folder / "config.json").is_file():
        return _check_plain(folder)
    return check_model(ModelSettings(model=_base_of(folder)))


def check_export(path: Path | str, output: Path | str, base: str | None) -> Unchecked:
    """Check `export`: an adapter of a train run with its base, or a model; a free `output`."""
    if not is_run(path):
        check_free(Path(output))
        return check_model(ModelSettings(model=str(path), base=base))
    run = Run.open(path)
    if run.info["kind"] != "train":
        raise ConfigError(f"{run.path}: is a {run.info['kind']} run", remedy="Give a run of train.")
    find_adapter(run.path)
    check_free(Path(output))
    return check_model(ModelSettings(model=str(run.path), base=base))


# --- inside ---


def _check_encoder(name: str | None) -> Unchecked:
    return [name] if name and check_encoder(name) else []


def _check_plain(folder: Path) -> Unchecked:
    read_config(folder, "config.json")
    check_weights(folder, safetensors_only=True)
    return []


def _base_of(folder: Path) -> str:
    """The base model of an adapter or of a run of `train`; `ModelError` for other folders."""
    if steered := steered_run(folder):
        check_steering(steered.steering)
        return base_of_run(steered.run)
    if not has_base(folder):
        raise ModelError(f"{folder}: not a model (no config.json in it)", remedy=REMEDY)
    return base_named_by(find_adapter(folder))


def _check_judges_apart(variant: Learning, method: Method, judge: str, place: str) -> None:
    learnt = map(single_scorers, training_scorers(variant, method))
    if single_scorers(judge) & frozenset().union(*learnt):
        raise ConfigError(
            f"{place}: trains on the scorer that judges ({judge})",
            remedy="Take another judge, or another scorer for the reward.",
        )
