"""Trains: data and base model → adapter, in one run folder.

Trains scorers: labelled texts and an encoder → a scorer, in one run folder.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from detoxlab import processes
from detoxlab.data.kinds import KINDS, summary
from detoxlab.methods import Method, load_method
from detoxlab.pipeline.learning import (
    check_amount,
    describe_data,
    read_data,
    source_kind,
    training_scorers,
)
from detoxlab.pipeline.measuring import finished_run
from detoxlab.pipeline.preflight import check_scorer_training, check_train
from detoxlab.pipeline.subjects import date_record, dated, load_named
from detoxlab.recipe.learning import TrainSettings
from detoxlab.records import to_json
from detoxlab.runs import Run
from detoxlab.runs.changes import shortened
from detoxlab.runs.usage import TRAIN, recorded
from detoxlab.scorer_training import ScorerTraining
from detoxlab.scorers import load_scorer

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
        with recorded(run, TRAIN, lm.device.type):
            method.fit(lm, data, run)
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
    with run.writing(), recorded(run, TRAIN, settings.device):
        train_into(run, settings, corpus)
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
