"""Trains: data and base model → adapter, in one run folder; exports it as a model folder.

Trains scorers: labelled texts and an encoder → a scorer, in one run folder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detoxlab import processes
from detoxlab.comparisons import Limits
from detoxlab.data.kinds import KINDS, summary
from detoxlab.errors import ConfigError
from detoxlab.methods import Method, load_method
from detoxlab.pipeline.comparing import compare_variants
from detoxlab.pipeline.learning import (
    check_amount,
    describe_data,
    read_data,
    source_kind,
    training_scorers,
)
from detoxlab.pipeline.measuring import finished_run
from detoxlab.pipeline.preflight import check_export, check_scorer_training, check_train
from detoxlab.pipeline.resources import measured_usage
from detoxlab.pipeline.subjects import date_record, dated, load_named
from detoxlab.publish.export import DType as ExportDType
from detoxlab.publish.export import export_adapter, export_merged, export_plain
from detoxlab.recipe.learning import TrainSettings
from detoxlab.records import to_json
from detoxlab.runs import Run, is_run
from detoxlab.runs.changes import shortened
from detoxlab.scorer_training import ScorerTraining
from detoxlab.scorers import load_scorer
from detoxlab.settings import parse

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel


def train_model(settings: TrainSettings, out: Path | str, *, resume: bool = False) -> Run:
    """The run at `out` with the adapter that the method made; the base model is untouched.

    Method and hyperparameters are checked before data and model are read. With `resume`,
    training goes on from its last checkpoint, and a finished run is returned as it is. Under
    `accelerate launch` every process calls this, and all work on the same run.
    """
    with processes.joined(settings.device):
        return _train(settings, out, resume)


def _train(settings: TrainSettings, out: Path | str, resume: bool) -> Run:
    method = _method(settings)
    config = settings.run_config(method.config.model_dump(mode="json"))
    if resume and (finished := finished_run(out, config)):
        return finished
    check_train(settings, out, resume=resume)
    settings = dated(settings, out, resume=resume)
    data = read_data(settings, settings.seed)
    check_amount(method, data)
    lm = load_named(settings)
    asked = _asked(lm, settings, chat=bool(getattr(method.config, "chat", False)))
    run = Run.start(out, kind="train", config=config, seed=settings.seed, resume=resume)
    with run.writing():
        run.check_asked(asked)
        run.update(
            **date_record(settings),
            asked=asked | _prompts_asked(run),
            processes=processes.count(),
            train_scorers=[load_scorer(name).id for name in training_scorers(settings, method)],
            **describe_data(settings),
        )
        before = run.info.get("training_seconds", 0.0)
        with measured_usage(lm.device.type) as usage:
            method.fit(lm, data, run)
        run.update(
            training_seconds=round(before + usage.seconds, 1), peak_memory_bytes=usage.peak_bytes
        )
    return run


def _prompts_asked(run: Run) -> dict[str, Any]:
    """The hash of the prompts to which a resumed run drew responses."""
    begun = run.info.get("asked") or {}
    return {"prompts_sha256": begun.get("prompts_sha256")}


def _asked(lm: "LanguageModel", settings: TrainSettings, *, chat: bool) -> dict[str, Any]:
    """The way dialogues are read, for the run's record; checks the chat template's roles."""
    if chat and KINDS[source_kind(settings)].conversations:
        lm.chat.check_exchange()
    return to_json(lm.asked(chat))


def plan(settings: TrainSettings) -> str:
    """The plan of `train` in words, after checking method, hyperparameters and data."""
    method = _method(settings)
    data = read_data(settings, settings.seed)
    check_amount(method, data)
    found = summary(source_kind(settings), data)
    return (
        f"would train {settings.method} on {settings.model}: {found}; "
        f"{shortened(method.config.model_dump(mode='json'), 400)}"
    )


def _method(settings: TrainSettings) -> Method:
    return load_method(settings.method, {"seed": settings.seed, **settings.config})


def train_scorer(settings: ScorerTraining, out: Path | str, *, resume: bool = False) -> Run:
    """The run at `out` with the scorer that the encoder became, in its folder `scorer`.

    With `resume`, training goes on from its last checkpoint and ends in the same bytes as one
    without a break; a finished run is returned as it is.
    """
    from detoxlab.scorers.training.rows import read_corpus
    from detoxlab.scorers.training.run import train_into

    config = settings.run_config()
    if resume and (finished := finished_run(out, config)):
        return finished
    check_scorer_training(settings, out, resume=resume)
    corpus = read_corpus(settings)
    run = Run.start(out, kind="scorer", config=config, seed=settings.seed, resume=resume)
    with run.writing():
        before = run.info.get("training_seconds", 0.0)
        with measured_usage(settings.device) as usage:
            train_into(run, settings, corpus)
        run.update(
            training_seconds=round(before + usage.seconds, 1), peak_memory_bytes=usage.peak_bytes
        )
    return run


def plan_scorer(settings: ScorerTraining) -> str:
    """The plan of `train scorer` in words, after reading all data."""
    from detoxlab.scorers.training.rows import read_corpus, summary

    corpus = read_corpus(settings)
    steps = sum(settings.data[one.set_name].repeat for one in corpus.train)
    lines = [
        f"would train {settings.name}@{settings.version} ({', '.join(settings.columns)}) from "
        f"{settings.encoder}, {settings.adaptation}: {settings.epochs} epochs of "
        f"{-(-steps // settings.batch_size)} steps",
        *summary(corpus),
    ]
    return "\n".join(lines)


def export_model(
    path: Path | str,
    output: Path | str,
    *,
    merged: bool = True,
    dtype: ExportDType = "float32",
    original: bool = False,
    base: str | None = None,
    trust_remote_code: bool = False,
    measured: Sequence[Path | str] = (),
) -> Path:
    """The model of the train run at `path` as a folder, with a card that holds its measurements.

    `path` may also be a model that is no run, such as a GGUF file: it is written as a plain
    folder (`export_plain`), and of the options only `dtype` and `trust_remote_code` apply.

    `measured` are run folders, the baseline first. By default, a train run in a recipe's folder
    uses that recipe's measured runs and limits. For the other options see `export_merged`.
    """
    check_export(path, output, base)
    if not is_run(path):
        said = {"adapter": not merged, "original": original, "measured": bool(measured)}
        _check_silent(path, said)
        return export_plain(path, output, dtype=dtype, trust_remote_code=trust_remote_code)
    run = Run.open(path)
    runs = [Run.open(one) for one in measured] or _measured_beside(run)
    limits = None if measured else _limits_beside(run)
    comparisons = compare_variants(runs[0], runs[1:], limits=limits) if runs else ()
    facts: dict[str, Any] = {
        "base": base,
        "measured": {one.name: one.measurements() for one in runs},
        "comparisons": comparisons,
    }
    if merged:
        return export_merged(
            run,
            output,
            dtype=dtype,
            original=original,
            trust_remote_code=trust_remote_code,
            **facts,
        )
    return export_adapter(run, output, **facts)


def _check_silent(path: Path | str, said: Mapping[str, bool]) -> None:
    """Raises `ConfigError` for options of a model that only apply to a run."""
    if names := [name for name, value in said.items() if value]:
        raise ConfigError(
            f"{path}: is no run of train, --{names[0]} does not apply",
            remedy="Give a run of train, or the model alone.",
        )


def _experiment_of(run: Run) -> Path:
    return run.path.resolve().parent.parent


def _limits_beside(run: Run) -> Limits | None:
    """The limits of the recipe that made this run, so that its card gives the report's verdict."""
    experiment = _experiment_of(run)
    if not is_run(experiment):
        return None
    return parse(Limits, Run.open(experiment).config.get("limits") or {}, place=str(experiment))


def _measured_beside(run: Run) -> list[Run]:
    """The baseline and this variant's measured run, if a recipe made them."""
    experiment = _experiment_of(run)
    folders = [experiment / "base", experiment / run.name]
    found = all((folder / "measurements.json").is_file() for folder in folders)
    return [Run.open(folder) for folder in folders] if found else []
