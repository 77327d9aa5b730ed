"""Trains regularised fine-tuning: SFT's trainer with one more term in its loss.

Imports transformers, peft and TRL, several seconds: import it only to train.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model
from transformers import TrainerCallback

from detoxlab import processes
from detoxlab.data.split import DialogueSplit, TextSplit
from detoxlab.errors import ConfigError, TrainingError
from detoxlab.internals.trl import DataCollatorForLanguageModeling
from detoxlab.methods.imitation.train import (
    Trainer,
    TrainingRows,
    dialogue_rows,
    row_trainer,
    text_rows,
)
from detoxlab.methods.loop.adapters import (
    ADAPTER,
    check_can_train,
    finished_adapter,
    lora_config,
    record_start,
)
from detoxlab.methods.loop.borrowed import borrowed_model, own_randomness, quiet_libraries
from detoxlab.methods.loop.checkpoints import last_complete
from detoxlab.methods.loop.log import out_of_patience
from detoxlab.methods.loop.run import Training, train_adapter
from detoxlab.methods.loop.trainer import Interruption, LogCallback
from detoxlab.methods.regularised.anchor import Snapshot
from detoxlab.methods.regularised.config import ANY_DOMAIN, RegularisedConfig
from detoxlab.methods.regularised.domain import constrained
from detoxlab.methods.regularised.forward import Joined
from detoxlab.methods.regularised.penalty import RowDomains, Terms
from detoxlab.methods.regularised.schedule import Regulariser
from detoxlab.methods.regularised.targets import ResponseSpan
from detoxlab.methods.regularised.worker import RemoteWorker, Work, run_worker
from detoxlab.methods.rows.dialogue import IGNORED
from detoxlab.methods.rows.rejected import write_rejected
from detoxlab.models import LanguageModel
from detoxlab.models.hidden import output_layer, watching_hidden_states
from detoxlab.processes.sharding import in_step
from detoxlab.runs import Run

FOLDER = "regulariser"
EXCHANGE = "exchange"  # in the run folder, while two processes share the work
SHARING = ("snapshot", "current")  # anchors with which they can, with the schedule parallel
DIALOGUES = "dialogues"


def fit_regularised(
    config: RegularisedConfig, lm: LanguageModel, data: DialogueSplit | TextSplit, run: Run
) -> Path:
    """The folder of the adapter of the last step.

    Texts bring their domains; all dialogues are of the domain "dialogues". The final heads
    are left in `auxiliary/DOMAIN`, the figures of each iteration in `iterations.jsonl`. A
    constraint that the anchor meets already changes nothing. Raises `TrainingError` when none
    of the anchor's responses is accepted; otherwise as `sft`.
    """
    if done := finished_adapter(run):
        return done
    check_can_train(config, lm)
    _check_processes(config)
    rows, row_domains = _rows(config, lm, data)
    steps = config.total_steps(len(rows.train))
    _check(config, row_domains)
    record_start(run, lm, "regularised", rows.record() | {"domains": row_domains.counts()})
    write_rejected(run, rows.rejected, rows.kind)
    chat = config.chat and isinstance(data, DialogueSplit)
    domains = constrained(config, row_domains.openings(), chat=chat)
    work = Work(domains, lm, output_layer(lm))
    exchange = run.path / EXCHANGE if processes.count() > 1 else None

    def make(folder: Path, resumes: bool) -> RegularisedTrainer:
        trainer = row_trainer(
            RegularisedTrainer,
            config,
            lm,
            rows,
            folder,
            steps=steps,
            resumes=resumes,
            collator=NumberedCollator,
            remove_unused_columns=False,
        )
        trainer.regulariser = Regulariser(
            config, lm, trainer, row_domains, steps, run, work, exchange
        )
        trainer.add_callback(IterationCallback(trainer.regulariser))
        if resumes and (start := last_complete(folder)):
            trainer.regulariser.load(start / FOLDER)
        return trainer

    training = Training(
        config,
        lm,
        steps,
        make,
        best=lambda _history: None,
        stops=out_of_patience(config.patience),
        log_callback=RegularisedLog,
    )
    if exchange is None or processes.shards_base():
        train_adapter(training, run)
        _clean(exchange)
        return run.path / ADAPTER
    with processes.independent():
        if processes.is_main():
            train_adapter(training, run)
            RemoteWorker(work, exchange).close()
        else:
            _run_worker(config, work, exchange)
    _clean(exchange)
    return run.path / ADAPTER


# --- several processes ---


def _clean(exchange: Path | None) -> None:
    """Remove the files by which processes exchange work, when all are done."""
    processes.barrier()
    if exchange and processes.is_main():
        shutil.rmtree(exchange, ignore_errors=True)


def _check_processes(config: RegularisedConfig) -> None:
    count = processes.count()
    if processes.shards_base():
        if config.kl_budget is not None:
            raise TrainingError(
                "kl_budget ends iterations in one process; the base is sharded among several",
                remedy="Leave it out, and set iterations.",
            )
        return
    can_share = config.schedule == "parallel" and config.anchor in SHARING
    if count > 2 or (count == 2 and not can_share):
        raise TrainingError(
            f"regularised with schedule {config.schedule} and anchor {config.anchor} cannot share "
            f"its work among {count} processes",
            remedy=f"Two can with schedule parallel and anchor {' or '.join(SHARING)}; start "
            "others without a launcher.",
        )


def _run_worker(config: RegularisedConfig, work: Work, exchange: Path) -> None:
    """Draw, label and fit for the main process, on a model with an adapter like its own."""
    lm = work.lm
    with (
        quiet_libraries(),
        own_randomness(lm.device),
        borrowed_model(lm),
        Interruption().heard(),
    ):
        get_peft_model(lm.model, lora_config(config, lm.model), autocast_adapter_dtype=True)
        run_worker(work, Snapshot(lm.model), exchange)


# --- the data ---


def _rows(
    config: RegularisedConfig, lm: LanguageModel, data: DialogueSplit | TextSplit
) -> tuple[TrainingRows, RowDomains]:
    length = config.draws.max_new_tokens
    if isinstance(data, TextSplit):
        rows, domain_of = text_rows(config, lm, data), {t.id: t.domain for t in data.train}
        starts = [config.prompt_tokens] * len(rows.train)
    else:
        rows, domain_of = dialogue_rows(config, lm, data), {}
        starts = [
            next(i for i, label in enumerate(row.labels) if label != IGNORED) for row in rows.train
        ]
    domains = tuple(domain_of.get(row.dialogue_id, DIALOGUES) for row in rows.train)
    spans = tuple(
        ResponseSpan.of_row(row, start, length) if start else None
        for row, start in zip(rows.train, starts, strict=True)
    )
    return rows, RowDomains(domains, spans)


def _check(config: RegularisedConfig, row_domains: RowDomains) -> None:
    config.check_amount(len(row_domains.domains))
    present = set(row_domains.domains)
    for name in config.domains:
        if name not in present | {ANY_DOMAIN}:
            raise ConfigError(
                f"domains.{name}: the data have no such domain",
                remedy=f"They have: {', '.join(sorted(present))}.",
            )
    if not row_domains.openings():
        raise ConfigError(
            "nothing that is learnt can be regularised: no text goes on after prompt_tokens",
            remedy="Set targets to all (of a text with a question only its answer is learnt).",
        )


class NumberedCollator(DataCollatorForLanguageModeling):  # type: ignore[misc]
    """TRL's collator, which adds the numbers of a batch's rows in the data."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        if "number" in examples[0]:
            batch["number"] = torch.tensor([example["number"] for example in examples])
        return batch


# --- the trainer ---


class RegularisedTrainer(Trainer):
    """SFT's trainer; in training, the regulariser's term is added to the loss."""

    regulariser: Regulariser

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        numbers = inputs.pop("number", None)
        if not self.model.training or numbers is None:
            return super().compute_loss(model, inputs, *args, **kwargs)
        penalty, lm = self.regulariser.penalty, self.regulariser.lm
        penalty.keep_targets()
        drawn = penalty.pick_anchor_samples()
        joined = Joined(model, penalty.rows_of(drawn), lm.pad_id)
        with watching_hidden_states(lm) as watched:
            loss = super().compute_loss(joined, inputs, *args, **kwargs)
        with self.accelerator.autocast(), in_step(lm.bare):  # as the outputs were made
            term = penalty.term(numbers.tolist(), drawn, joined.outputs, watched.take())
        learnt = kwargs.get("num_items_in_batch")
        if learnt is None:
            learnt = (inputs["labels"][:, 1:] != IGNORED).sum() * processes.count()
        return loss + term * processes.count() / learnt  # the trainer averages over processes

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs and (terms := self.regulariser.penalty.terms.of_all()).prefixes:
            logs["kl_to_target"] = terms.kl / terms.prefixes
            logs["kl_to_anchor"] = terms.moved / terms.prefixes
            logs["iteration"] = self.regulariser.flow.iteration
            self.regulariser.penalty.terms = Terms()
        super().log(logs, *args, **kwargs)

    def write_weights(self, folder: str, state_dict: Any = None) -> None:
        super().write_weights(folder, state_dict)
        self.regulariser.save(Path(folder) / FOLDER)


class RegularisedLog(LogCallback):
    """The log of SFT, with the regulariser's divergences."""

    NAMES = (
        *LogCallback.NAMES,
        ("kl_to_target", "kl_to_target"),
        ("kl_to_anchor", "kl_to_anchor"),
        ("iteration", "iteration"),
    )


class IterationCallback(TrainerCallback):  # type: ignore[misc]
    """Tells the regulariser that a step begins, and that all steps are done."""

    def __init__(self, regulariser: Regulariser) -> None:
        self.regulariser = regulariser

    def on_train_begin(self, *_args: Any, **_kwargs: Any) -> None:
        self.regulariser.resume()

    def on_step_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        self.regulariser.step_begins(state.global_step)

    def on_train_end(self, *_args: Any, **_kwargs: Any) -> None:
        self.regulariser.publish()
