"""Runs a training from the state of its run folder to its end: resumes, logs, stops.

Imports transformers and peft, seconds: import it only to train.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback

from detoxlab import processes
from detoxlab.errors import TrainingError
from detoxlab.locations import absolute
from detoxlab.methods.loop import checkpoints
from detoxlab.methods.loop.adapters import ADAPTER, CHECKPOINTS
from detoxlab.methods.loop.borrowed import borrowed_model, own_randomness, quiet_libraries
from detoxlab.methods.loop.config import TrainingConfig
from detoxlab.methods.loop.finite import watched_log_probs
from detoxlab.methods.loop.log import TrainLog, best_step
from detoxlab.methods.loop.trackers import trackers
from detoxlab.methods.loop.trainer import FlowCallback, Interruption, LogCallback
from detoxlab.models import LanguageModel
from detoxlab.progress import progress, say
from detoxlab.runs import Run

History = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Training:
    """One training, described by a method that uses a trainer of transformers.

    `make(folder, resumes)` gives the trainer (an `AdapterTrainer`) with its checkpoints in
    `folder`. `best(log history)` is the step whose adapter counts, None for the last;
    `stops(log history)` the reason to end before `steps`, None to go on. `log_callback` knows the
    trainer's names for the figures; `callbacks(log)` are further callbacks. `finish(folder)`
    may rewrite the adapter that counts, before it is in its place.
    """

    config: TrainingConfig
    lm: LanguageModel
    steps: int
    make: Callable[[Path, bool], Any]
    best: Callable[[History], int | None] = best_step
    stops: Callable[[History], str | None] = lambda _history: None
    log_callback: type[LogCallback] = LogCallback
    callbacks: Callable[[TrainLog], Sequence[Any]] = lambda _log: ()
    finish: Callable[[Path], None] = checkpoints.unchanged


def train_adapter(training: Training, run: Run) -> Path:
    """The folder of the best adapter, in `run`; goes on from the last complete checkpoint."""
    lm, folder, adapter = training.lm, run.path / CHECKPOINTS, run.path / ADAPTER
    with (
        quiet_libraries(),
        own_randomness(lm.device),
        borrowed_model(lm),
        trackers(training.config.report_to if processes.is_main() else (), run.path) as send,
    ):
        state = _train(training, run, folder, TrainLog(run.path, send))
    history = state["log_history"]
    best = training.best(history) or state["global_step"]
    processes.barrier()
    if processes.is_main():
        best_path = checkpoints.checkpoint_path(folder, best)
        checkpoints.publish_adapter(
            best_path, adapter, absolute(lm.ref), lm.facts.get("revision"), training.finish
        )
    run.update(
        steps=state["global_step"],
        planned_steps=training.steps,
        best_step=best,
        best_eval_loss=_eval_loss_at(best, history),
        stopped_early=state["global_step"] < training.steps,
        stopped_because=training.stops(history),
    )
    if processes.is_main():
        shutil.rmtree(folder)
    processes.barrier()
    return adapter


# --- inside ---


def _train(training: Training, run: Run, folder: Path, log: TrainLog) -> dict[str, Any]:
    """The trainer's final state; its checkpoints hold the newest and the best adapter."""
    steps = training.steps
    start = checkpoints.last_complete(folder)
    untrained: dict[str, Any] = {"global_step": 0, "log_history": []}
    state = checkpoints.state_of(start) if start else untrained
    done = state["global_step"]
    processes.barrier()
    if processes.is_main():
        checkpoints.keep_only(folder, {done, training.best(state["log_history"]) or 0})
    log.cut_after(done if start else -1)
    if start and _is_over(training, state):
        return state
    interruption = Interruption()
    with interruption.heard(), progress("training", steps, done=done) as advance:
        callbacks = [
            training.log_callback(log, training.config.learning_rate),
            *training.callbacks(log),
            FlowCallback(training.stops, advance, log, interruption),
        ]
        trainer = training.make(folder, start is not None)
        trainer.best = training.best
        trainer.remove_callback(PrinterCallback)
        for callback in callbacks:
            trainer.add_callback(callback)
        if steps > 0:
            _run_trainer(trainer, start, training)
            state = dict(vars(trainer.state))
        elif processes.is_main():
            trainer.write_weights(str(checkpoints.checkpoint_path(folder, 0)))
    if processes.any_of(interruption.requested):  # in the last step too: more would follow it
        _report_interruption(run, state["global_step"], steps)
    if reason := training.stops(state["log_history"]):
        say(f"{run.path}: stopped at step {state['global_step']} of {steps}: {reason}")
    return state


def _run_trainer(trainer: Any, start: Path | None, training: Training) -> None:
    config = training.config
    watched = watched_log_probs(
        training.lm, config.learning_rate, lambda: int(trainer.state.global_step)
    )
    try:
        with watched:
            trainer.train(resume_from_checkpoint=str(start) if start else None)
    except torch.cuda.OutOfMemoryError:
        raise TrainingError(
            f"out of GPU memory with batch_size {config.batch_size}",
            remedy="Lower batch_size and raise gradient_accumulation as much, or set "
            "gradient_checkpointing.",
        ) from None


def _is_over(training: Training, state: Mapping[str, Any]) -> bool:
    if state["global_step"] >= training.steps:
        return True
    return training.stops(state["log_history"]) is not None


def _report_interruption(run: Run, step: int, steps: int) -> None:
    say(
        f"{run.path}: stopped at step {step} of {steps}, the checkpoint is saved; "
        "go on with --resume"
    )
    raise KeyboardInterrupt


def _eval_loss_at(step: int, history: History) -> float | None:
    found = [row["eval_loss"] for row in history if row["step"] == step and "eval_loss" in row]
    return float(found[0]) if found else None
