"""How SFT trains: rows, TRL's trainer, checkpoints, and what goes into the run's record.

Imports transformers, peft and TRL, several seconds: import it only to train.
"""

import hashlib
import importlib.util
import json
import math
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, TaskType
from transformers import PrinterCallback
from transformers.pytorch_utils import Conv1D
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from detoxlab.errors import DependencyError, RunMismatchError, TrainingError
from detoxlab.methods import checkpoints
from detoxlab.methods.base import DialogueSplit
from detoxlab.methods.borrowed import borrowed_model, own_randomness, quiet_libraries
from detoxlab.methods.rows import Row, build_rows, row_builder
from detoxlab.methods.sft import SFTConfig
from detoxlab.methods.train_log import TrainLog, best_step, validations_since_best
from detoxlab.methods.trl_sft import (
    FlowCallback,
    Interruption,
    LogCallback,
    Trainer,
    training_arguments,
)
from detoxlab.models import LanguageModel
from detoxlab.progress import progress
from detoxlab.runs import Run

CHECKPOINTS, ADAPTER, REJECTED = "checkpoints", "adapter", "rejected.jsonl"


@dataclass(frozen=True)
class Rows:
    """The training and validation rows of one run, and the dialogues that made none."""

    train: Sequence[Row]
    validation: Sequence[Row]
    rejected: Sequence[tuple[str, str]]
    max_length: int

    def record(self) -> dict[str, Any]:
        """What `run.json` holds of the data."""
        every = [*self.train, *self.validation]
        content = json.dumps([(row.input_ids, row.labels) for row in every])
        return {
            "train_dialogues": len(self.train),
            "validation_dialogues": len(self.validation),
            "rejected_dialogues": len(self.rejected),
            "rejected_reasons": dict(Counter(reason for _, reason in self.rejected)),
            "cut_dialogues": sum(row.cut for row in every),
            "learnt_tokens": sum(row.learnt for row in self.train),
            "max_length": self.max_length,
            "rows_sha256": hashlib.sha256(content.encode()).hexdigest(),
        }


def fit_adapter(config: SFTConfig, lm: LanguageModel, data: DialogueSplit, run: Run) -> Path:
    """The adapter of `SFT.fit`."""
    adapter = run.path / ADAPTER
    if adapter.is_dir() and "best_step" in run.info:
        return adapter
    _check_can_train(config, lm)
    rows = _rows(config, lm, data)
    _record_start(run, lm, rows)
    steps = total_steps(config, len(rows.train))
    folder = run.path / CHECKPOINTS
    with quiet_libraries(), own_randomness(lm.device), borrowed_model(lm):
        state = _train(config, lm, rows, run, steps)
    best = best_step(state["log_history"]) or state["global_step"]
    checkpoints.publish_adapter(checkpoints.checkpoint_path(folder, best), adapter, _base_ref(lm))
    run.update(
        steps=state["global_step"],
        planned_steps=steps,
        best_step=best,
        best_eval_loss=_eval_loss_at(best, state["log_history"]),
        stopped_early=state["global_step"] < steps,
    )
    shutil.rmtree(folder)
    return adapter


def total_steps(config: SFTConfig, rows: int) -> int:
    """How many optimizer steps `config` makes on so many rows."""
    per_epoch = math.ceil(math.ceil(rows / config.batch_size) / config.gradient_accumulation)
    steps = math.ceil(config.epochs * per_epoch)
    return steps if config.max_steps is None else min(steps, config.max_steps)


# --- before training ---


def _check_can_train(config: SFTConfig, lm: LanguageModel) -> None:
    if hasattr(lm.model, "peft_config"):
        raise TrainingError(
            f"{lm.ref}: the model already carries an adapter",
            remedy="Merge it first: detoxlab export RUN --merged -o MODEL.",
        )
    for tracker in config.report_to:
        if importlib.util.find_spec(tracker) is None:
            raise DependencyError(
                f"report_to={tracker}: the package is not installed",
                remedy=f"pip install {tracker}, or leave the tracker out.",
            )


def _rows(config: SFTConfig, lm: LanguageModel, data: DialogueSplit) -> Rows:
    max_length = min(config.max_length, lm.context_length)
    builder = row_builder(lm, chat=config.chat, targets=config.targets, max_length=max_length)
    train, not_train = build_rows(builder, data.train)
    validation, not_validation = build_rows(builder, data.validation)
    rejected = [*data.rejected, *not_train, *not_validation]
    if not train:
        cause = f" ({Counter(r for _, r in rejected).most_common(1)[0][0]})" if rejected else ""
        raise TrainingError(
            f"no dialogue to learn from: {len(rejected)} were left out{cause}",
            remedy="Give dialogues that end with an assistant turn, or raise max_length.",
        )
    return Rows(train, validation, rejected, max_length)


def _record_start(run: Run, lm: LanguageModel, rows: Rows) -> None:
    record = rows.record()
    before = run.info.get("rows_sha256", record["rows_sha256"])
    if before != record["rows_sha256"]:
        raise RunMismatchError(
            f"{run.path}: the dialogues are not those that this training began with",
            remedy="Give the same data and model to resume, or choose another --out.",
        )
    if rows.rejected:
        lines = [json.dumps({"id": i, "reason": why}) + "\n" for i, why in rows.rejected]
        (run.path / REJECTED).write_text("".join(lines), encoding="utf-8")
        sys.stderr.write(f"{len(rows.rejected)} dialogues left out: see {run.path / REJECTED}\n")
    run.update(
        method="sft",
        base_model=_base_ref(lm),
        base_model_id=lm.id,
        model=lm.fingerprint(),
        adapter=ADAPTER,
        **record,
    )


def _base_ref(lm: LanguageModel) -> str:
    """What the user named; a path relative to the working folder, as in recipes."""
    return os.path.relpath(lm.ref) if Path(lm.ref).is_absolute() else lm.ref


# --- training ---


def _train(
    config: SFTConfig, lm: LanguageModel, rows: Rows, run: Run, steps: int
) -> dict[str, Any]:
    """The trainer's final state; its checkpoints hold the newest and the best adapter."""
    folder, log = run.path / CHECKPOINTS, TrainLog(run.path)
    start = checkpoints.last_complete(folder)
    state = checkpoints.state_of(start) if start else _untrained()
    done = state["global_step"]
    checkpoints.keep_only(folder, {done, best_step(state["log_history"]) or 0})
    log.cut_after(done if start else -1)
    if start and _is_over(state, steps, config.patience):
        return state
    interruption = Interruption()
    with interruption.heard(), progress("training", steps, done=done) as advance:
        callbacks = [
            LogCallback(log, config.learning_rate),
            FlowCallback(config.patience, advance, interruption),
        ]
        trainer = _trainer(config, lm, rows, folder, steps, resumes=start is not None)
        for callback in callbacks:
            trainer.add_callback(callback)
        if steps == 0:
            trainer._save(str(checkpoints.checkpoint_path(folder, 0)))
            return state
        _run_trainer(trainer, start, config)
    if interruption.requested and not _is_over(dict(vars(trainer.state)), steps, config.patience):
        _report_interruption(run, trainer.state.global_step, steps)
    return dict(vars(trainer.state))


def _untrained() -> dict[str, Any]:
    return {"global_step": 0, "log_history": []}


def _trainer(
    config: SFTConfig, lm: LanguageModel, rows: Rows, folder: Path, steps: int, *, resumes: bool
) -> Trainer:
    validates = bool(rows.validation)
    arguments = training_arguments(
        config, folder, steps=steps or 1, validates=validates, resumes=resumes, lm=lm
    )
    trainer = Trainer(
        model=lm.model,
        args=arguments,
        processing_class=lm.tokenizer,
        data_collator=DataCollatorForLanguageModeling(pad_token_id=lm.pad_id),
        train_dataset=_dataset(rows.train),
        eval_dataset=_dataset(rows.validation) if validates else None,
        peft_config=_lora(config, lm.model),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _lora(config: SFTConfig, model: Any) -> LoraConfig:
    modules = config.target_modules
    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=modules if isinstance(modules, str) else list(modules),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
    )


def _dataset(rows: Sequence[Row]) -> Dataset:
    return Dataset.from_dict(
        {
            "input_ids": [list(row.input_ids) for row in rows],
            "labels": [list(row.labels) for row in rows],
        }
    )


def _run_trainer(trainer: Trainer, start: Path | None, config: SFTConfig) -> None:
    try:
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    except torch.cuda.OutOfMemoryError:
        raise TrainingError(
            f"out of GPU memory with batch_size {config.batch_size}",
            remedy="Lower batch_size and raise gradient_accumulation as much, or set "
            "gradient_checkpointing.",
        ) from None


def _is_over(state: dict[str, Any], steps: int, patience: int) -> bool:
    if state["global_step"] >= steps:
        return True
    return bool(patience) and validations_since_best(state["log_history"]) >= patience


def _report_interruption(run: Run, step: int, steps: int) -> None:
    sys.stderr.write(
        f"{run.path}: stopped at step {step} of {steps}, the checkpoint is saved; "
        "go on with --resume\n"
    )
    raise KeyboardInterrupt


def _eval_loss_at(step: int, history: Sequence[dict[str, Any]]) -> float | None:
    found = [row["eval_loss"] for row in history if row["step"] == step and "eval_loss" in row]
    return float(found[0]) if found else None
