"""Checks for every command that run before anything is loaded.

Each check raises the error that the work itself would end in, and returns the ids that it could
not check, as the hub is not asked. None imports torch, reads weights or writes a file.
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from detoxlab.completions.names import is_served
from detoxlab.contest import WinRate
from detoxlab.data.reading import check_data, check_prompts
from detoxlab.encoders import check_encoder
from detoxlab.errors import ConfigError, ModelError
from detoxlab.evaluations import Evaluation, Perplexity, is_evaluated
from detoxlab.loading import ModelSettings
from detoxlab.locations import ALIKE, EMBEDDED
from detoxlab.methods import METHODS, Method, load_method
from detoxlab.models.adapters.load import base_named_by, find_adapter
from detoxlab.models.gguf.files import checked_header, find_gguf
from detoxlab.models.sources import check_weights, no_folder, no_model, read_config
from detoxlab.pipeline.learning import check_learnt, training_scorers
from detoxlab.pipeline.subjects import (
    base_of_run,
    check_has_base,
    check_strength,
    has_base,
    product_of,
    steered_run,
)
from detoxlab.publish.export import check_free
from detoxlab.recipe.experiment import MAY_CHANGE, Recipe, Variant
from detoxlab.recipe.explaining import Explaining
from detoxlab.recipe.learning import Learning, TrainSettings
from detoxlab.recipe.measuring import MeasureSettings, Measuring, SubjectSettings
from detoxlab.recipe.sweeping import Sweeping, SweepSettings
from detoxlab.registry import look_up
from detoxlab.runs import Run, is_run
from detoxlab.scorer_training import ScorerTraining
from detoxlab.scorers import check_scorer
from detoxlab.scorers.names import learnt_from
from detoxlab.scorers.offline import OFFLINE
from detoxlab.servers import check_recordable
from detoxlab.steering import FITTED_BY, STEERINGS, check_steering
from detoxlab.steering.activations.files import check_foldable, find_steering
from detoxlab.steering.names import EXPERTS, SteeringName

Unchecked = list[str]


def check_measure(settings: MeasureSettings, out: Path | str, *, resume: bool) -> Unchecked:
    """Check `measure`: prompts, scorers, encoder, models; `out` is free or the same run."""
    config, may_differ = settings.run_config(), settings.may_move
    Run.check_startable(out, kind="measure", config=config, resume=resume, may_differ=may_differ)
    served = settings.endpoint is not None
    unchecked = check_bench(settings) + _check_chooser(settings.by, settings.judge)
    return unchecked + ([] if served else check_subject(settings))


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
        unchecked += _check_variant(variant, recipe)
    unchecked += check_bench(recipe) + check_model(recipe.base_model)
    for bench in recipe.also.values():
        unchecked += check_bench(recipe.measure_settings(recipe.model, bench=bench))
    if recipe.win_rate:
        unchecked += _check_third_model(recipe.win_rate)
    if recipe.sweep:
        unchecked += check_prompts(recipe.sweep.prompts)
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


def check_sweep(settings: SweepSettings, out: Path | str, *, resume: bool) -> Unchecked:
    """Check `sweep`: the bench, the texts, the model, which must have a strength, and `out`."""
    Run.check_startable(out, kind="sweep", config=settings.run_config(), resume=resume)
    for text in evaluations_of_costs(settings).values():
        text.items(settings.seed)
    return check_bench(settings) + check_subject(settings.at(0.0).subject())


def evaluations_of_costs(settings: Sweeping) -> dict[str, Evaluation]:
    """The evaluation of perplexity of each text of a sweep, by name."""
    return {name: Perplexity(**text.model_dump()) for name, text in settings.costs.items()}


def check_win_rate(
    settings: WinRate, out: Path | str, config: Mapping[str, Any], *, resume: bool
) -> Unchecked:
    """Check `winrate`: the judge, and `out`."""
    Run.check_startable(out, kind="win-rate", config=config, resume=resume)
    return _check_third_model(settings)


def check_bench(settings: Measuring) -> Unchecked:
    """Check the prompts, scorers and encoder, the server or reference model of a bench."""
    names = (settings.judge, settings.second, settings.hate, *settings.scorers)
    unchecked = check_prompts(settings.prompts) + check_scorers(name for name in names if name)
    unchecked += _check_encoder(settings.encoder)
    served = settings.reference is not None and is_served(settings.reference.model)
    if settings.reference and not served:
        unchecked += check_model(settings.reference)
    for address in settings.endpoints:
        check_recordable(address)
    if settings.endpoints or served:
        _check_key(settings.api_key_env)
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
    check_strength(settings)
    for name in settings.steerings:
        check_steering(name)
    return check_model(settings)


def check_model(settings: ModelSettings) -> Unchecked:
    """Check a model: a complete folder or file; a run or adapter with its base; or a hub id."""
    ref, folder = settings.model, Path(settings.model)
    if settings.base:
        check_has_base(ref, settings.base)
        return check_model(ModelSettings(model=settings.base))
    if ref == EMBEDDED:
        return []
    if not folder.exists():
        if ref.startswith(("/", ".", "~")) or ref.count("/") > 1:
            raise no_folder(ref)
        if difflib.get_close_matches(ref, [EMBEDDED], cutoff=ALIKE):
            raise no_folder(ref)
        return [ref]
    if file := find_gguf(folder):
        checked_header(file)
        return []
    if (folder / "config.json").is_file():
        return _check_plain(folder)
    return check_model(ModelSettings(model=_base_of(folder)))


def check_export(path: Path | str, output: Path | str, base: str | None) -> Unchecked:
    """Check `export`: a model, or the product of a train run with its base; a free `output`."""
    if not is_run(path):
        check_free(Path(output))
        return check_model(ModelSettings(model=str(path), base=base))
    run = Run.open(path)
    if run.info["kind"] != "train":
        raise ConfigError(f"{run.path}: is a {run.info['kind']} run", remedy="Give a run of train.")
    _check_weights(run)
    check_free(Path(output))
    return check_model(ModelSettings(model=str(run.path), base=base))


# --- inside ---


def _check_variant(variant: Variant, recipe: Recipe) -> Unchecked:
    """Check a variant's training and changes; the data of steerings may be other variants'."""
    place = f"variants.{variant.name}"
    unchecked = _check_chooser(variant.by, recipe.judge)
    for name in variant.steerings:
        _check_steering_in(recipe, variant, name)
    if variant.model:
        unchecked += check_model(recipe.measure_settings(variant.model))
    learning = variant.learning()
    if learning is None:
        return unchecked
    method = load_method(learning.method, {"seed": recipe.seed, **learning.config})
    unchecked += check_learning(learning, method, place)
    _check_judges_apart(learning, method, recipe.judge, place)
    return unchecked


def _check_steering_in(recipe: Recipe, variant: Variant, name: str) -> None:
    """Check a steering of a variant, whose data are a path or a variant that is trained before."""
    parsed = SteeringName.parse(name)
    used = [one for one in parsed.places if one in recipe.methods]
    if not used:
        check_steering(name)
        return
    look_up("steering", parsed.kind, STEERINGS)
    before = [one.name for one in recipe.variants[: recipe.variants.index(variant)]]
    for one in used:
        place = f"variants.{variant.name}: steer {name}"
        if one not in before:
            raise ConfigError(f"{place}: {one} is trained after it", remedy="Let it stand before.")
        method = recipe.methods[one]
        if not _fits(method, parsed.kind):
            raise ConfigError(
                f"{place}: {parsed.kind} cannot use {one}, a training by {method}",
                remedy="See docs/steering.md for the trainings that a steering uses.",
            )


def _fits(method: str, kind: str) -> bool:
    """Whether a method makes the data of this kind of steering; kinds of packages may use any.

    >>> _fits("auxiliary", "nado"), _fits("sft", "dexperts"), _fits("caa", "dexperts")
    (True, True, False)
    """
    if kind in EXPERTS:
        return look_up("method", method, METHODS).makes == "adapter"
    return FITTED_BY.get(kind, method) == method


def _check_weights(run: Run) -> None:
    """Check that the product of a run can stand in weights: an adapter, an edit, some steerings."""
    product = product_of(run)
    if product == "head":
        raise ModelError(
            f"{run.path}: made the head of nado, which changes the next-token distribution",
            remedy=f"Use the run itself, as in detoxlab measure {run.path}.",
        )
    if product == "steering":
        check_foldable(find_steering(run.path))
    else:
        find_adapter(run.path)


def _check_chooser(chooser: str | None, judge: str) -> Unchecked:
    """Check the scorer that chooses the best of n; it must not judge."""
    if chooser is None:
        return []
    if learnt_from(judge, [chooser]):
        raise ConfigError(
            f"by {chooser}: it would choose the responses and judge them",
            remedy="Take another scorer to choose, or another judge.",
        )
    return check_scorers([chooser])


def _check_third_model(settings: WinRate) -> Unchecked:
    """Check the judge of win rates; nothing is asked of a server."""
    if not settings.served:
        return check_model(settings.judge)
    _check_key(settings.api_key_env)
    return []


def _check_key(name: str | None) -> None:
    if name and not os.environ.get(name):
        raise ConfigError(
            f"the environment variable {name} is not set", remedy="Put the key there."
        )


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
        raise no_model(folder)
    return base_named_by(find_adapter(folder))


def _check_judges_apart(learning: Learning, method: Method, judge: str, place: str) -> None:
    if learnt_from(judge, training_scorers(learning, method)):
        raise ConfigError(
            f"{place}: trains on the scorer that judges ({judge})",
            remedy="Take another judge, or another scorer for the reward.",
        )
