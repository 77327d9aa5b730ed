"""Trains by preferences: pairs as token ids, and TRL's trainers for them.

Imports transformers, peft and TRL, several seconds: import it only to train.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from torch import Tensor
from trl import DPOTrainer, KTOTrainer

from detoxlab.data import split_prompts
from detoxlab.data.split import PairSplit
from detoxlab.errors import TrainingError
from detoxlab.internals.transformers import use_one_gpu
from detoxlab.internals.trl import OwnRows, count_tokens, noted, token_log_probs
from detoxlab.methods.feedback.drawing import draw_responses, rank_pairs
from detoxlab.methods.loop.adapters import (
    check_can_train,
    finished_adapter,
    lora_config,
    record_start,
)
from detoxlab.methods.loop.log import out_of_patience
from detoxlab.methods.loop.run import Training, train_adapter
from detoxlab.methods.loop.trainer import (
    AdapterTrainer,
    LogCallback,
    trainer_arguments,
    validating,
)
from detoxlab.methods.preference.config import PreferenceConfig, PreferenceData
from detoxlab.methods.rows.dialogue import IGNORED
from detoxlab.methods.rows.pair import PairRow, build_pairs, pair_builder
from detoxlab.methods.rows.rejected import write_rejected
from detoxlab.models import LanguageModel
from detoxlab.records import Prompt
from detoxlab.runs import Run

Columns = dict[str, list[Any]]
PairFunction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class TrainerKind:
    """One of TRL's trainers, its settings, and the columns that it reads.

    `takes_single` says whether it learns from responses that have no partner.
    """

    trainer: Callable[..., Any]
    arguments: Callable[..., Any]
    settings: dict[str, Any]
    columns: Callable[[Sequence[PairRow]], Columns]
    takes_single: bool


class _OwnTokens(AdapterTrainer, OwnRows):
    """Mixed in before a trainer of TRL: rows are token ids, the validation loss a mean over rows.

    In several processes transformers would weigh a smaller last batch like all others.
    """

    compares = True

    def prediction_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        loss, *rest = super().prediction_step(model, inputs, *args, **kwargs)  # type: ignore[misc]
        self._validation.append((float(loss), len(inputs["input_ids"])))
        return loss, *rest

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        self._validation: list[tuple[float, int]] = []
        output = super().evaluation_loop(*args, **kwargs)  # type: ignore[misc]
        losses, rows = zip(*self._validation, strict=True)
        output.metrics["eval_loss"] = float(np.average(losses, weights=rows))
        return output


class PairTrainer(_OwnTokens, DPOTrainer):  # type: ignore[misc]
    """DPOTrainer on our rows."""


class OwnLossTrainer(PairTrainer):
    """A trainer of pairs with a loss of our own, without a reference model.

    `rewards(nats_N, tokens_N)` gives the rewards of N responses, from their log-probabilities
    summed over tokens and their lengths; `losses(chosen_B, rejected_B)` the losses of B pairs.
    """

    def __init__(self, *args: Any, rewards: PairFunction, losses: PairFunction, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.rewards, self.losses = rewards, losses

    def compute_loss(self, model: Any, inputs: Any, *_args: Any, **_kwargs: Any) -> Tensor:
        chosen_B, rejected_B = self.rewards(*response_log_probs(model, inputs)).chunk(2)
        self._note(inputs, chosen_B.detach(), rejected_B.detach())
        return self.losses(chosen_B, rejected_B).mean()

    def _note(self, inputs: Any, chosen_B: Tensor, rejected_B: Tensor) -> None:
        """Keep the figures that `PreferenceLog` names, as the trainers of TRL do."""
        figures = {
            "rewards/chosen": chosen_B,
            "rewards/rejected": rejected_B,
            "rewards/margins": chosen_B - rejected_B,
            "rewards/accuracies": (chosen_B > rejected_B).float(),
        }
        notes = noted(self, "train" if self.model.training else "eval")
        for name, values_B in figures.items():
            notes[name].append(self.accelerator.gather(values_B).mean().item())
        read = self.accelerator.gather(inputs["attention_mask"].sum()).sum().item()
        notes["num_tokens"] = [count_tokens(self, read if self.model.training else 0)]


def response_log_probs(model: Any, inputs: Any) -> tuple[Tensor, Tensor]:
    """(nats, tokens) of the responses in a batch: its chosen ones, then its rejected ones.

    Nats are log-probabilities summed over the response's tokens, below 0.
    """
    learnt_NT = inputs["completion_mask"]
    log_probs_NT = token_log_probs(
        model,
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        labels=inputs["input_ids"].masked_fill(learnt_NT == 0, IGNORED),
    )
    return log_probs_NT.sum(dim=1), learnt_NT[:, 1:].sum(dim=1)


class ResponseTrainer(_OwnTokens, KTOTrainer):  # type: ignore[misc]
    """KTOTrainer on our rows."""


class PreferenceLog(LogCallback):
    """The log of both trainers; a validation's row has the same names."""

    OWN = (
        ("rewards/margins", "margin"),
        ("rewards/accuracies", "preference_accuracy"),
        ("rewards/chosen", "chosen_reward"),
        ("rewards/rejected", "rejected_reward"),
        ("kl", "kl_per_response"),
    )
    NAMES = (*LogCallback.NAMES, *OWN, *((f"eval_{theirs}", ours) for theirs, ours in OWN))


def pair_columns(rows: Sequence[PairRow]) -> Columns:
    """The columns that the DPO trainer reads."""
    return {
        "prompt_ids": [list(row.prompt_ids) for row in rows],
        "chosen_ids": [list(row.chosen_ids) for row in rows],
        "rejected_ids": [list(row.rejected_ids) for row in rows],
    }


def response_columns(rows: Sequence[PairRow], seed: int) -> Columns:
    """The columns that the KTO trainer reads, shuffled by `seed`, as it keeps their order.

    To estimate the divergence, each prompt is joined with the response of the row before; the
    first row takes the last row's.
    """
    examples = [(row.prompt_ids, row.chosen_ids, True) for row in rows if row.chosen_ids]
    examples += [(row.prompt_ids, row.rejected_ids, False) for row in rows if row.rejected_ids]
    order = np.random.default_rng(seed).permutation(len(examples))
    prompts, responses, labels = zip(*(examples[index] for index in order), strict=True)
    completions = [list(ids) for ids in responses]
    return {
        "prompt_ids": [list(ids) for ids in prompts],
        "completion_ids": completions,
        "KL_completion_ids": [completions[place - 1] for place in range(len(completions))],
        "label": list(labels),
    }


def row_lengths(columns: Columns) -> list[int]:
    """Tokens of each row: of its prompt with the longest of its responses.

    >>> row_lengths({"prompt_ids": [[5, 6]], "chosen_ids": [[7]], "rejected_ids": [[7, 8, 9]]})
    [5]
    """
    responses = [ids for name, ids in columns.items() if name.endswith("_ids")]
    prompts = columns["prompt_ids"]
    return [
        len(prompt) + max(len(ids[at]) for ids in responses if ids is not prompts)
        for at, prompt in enumerate(prompts)
    ]


@dataclass(frozen=True)
class TrainingPairs:
    """The training and validation pairs of one run, and (id, reason) of those left out."""

    train: Sequence[PairRow]
    validation: Sequence[PairRow]
    rejected: Sequence[tuple[str, str]]

    def record(self) -> dict[str, Any]:
        """The record of the data in `run.json`."""
        every = [*self.train, *self.validation]
        content = json.dumps([(row.prompt_ids, row.chosen_ids, row.rejected_ids) for row in every])
        return {
            "train_pairs": len(self.train),
            "validation_pairs": len(self.validation),
            "rejected_pairs": len(self.rejected),
            "rejected_reasons": dict(Counter(reason for _, reason in self.rejected)),
            "longest_row": max(row.length for row in every),
            "rows_sha256": hashlib.sha256(content.encode()).hexdigest(),
        }


def fit_pairs(
    config: PreferenceConfig,
    lm: LanguageModel,
    data: PreferenceData,
    run: Run,
    method: str,
    kind: TrainerKind,
) -> Path:
    """The folder of the adapter that prefers the chosen responses.

    It is the adapter of the checkpoint with the lowest validation loss. `lm` itself is left as it
    was. `method` is its name in the run's record. See `Method.fit` for resuming and errors.
    """
    if done := finished_adapter(run):
        return done
    check_can_train(config, lm)
    if isinstance(data, PairSplit):
        pairs, source = given_pairs(config, lm, data, kind), "pairs"
    else:
        pairs, source = sampled_pairs(config, lm, data, run), "prompts"
    record_start(run, lm, method, pairs.record())
    write_rejected(run, pairs.rejected, source)
    columns = kind.columns(pairs.train)
    steps = config.total_steps(len(columns["prompt_ids"]))

    def make(folder: Path, resumes: bool) -> Any:
        validates = bool(pairs.validation)
        arguments = kind.arguments(
            **trainer_arguments(config, lm, folder, steps=steps or 1),
            **validating(config, validates=validates, resumes=resumes),
            **kind.settings,
            max_length=None,
            disable_dropout=False,  # it misses dropout outside of nn.Dropout: `compares` does it
        )
        held_out = Dataset.from_dict(kind.columns(pairs.validation)) if validates else None
        trainer = kind.trainer(
            model=lm.model,
            args=use_one_gpu(arguments),
            processing_class=lm.tokenizer,
            train_dataset=Dataset.from_dict(columns),
            eval_dataset=held_out,
            peft_config=lora_config(config, lm.model),
        )
        trainer.group_by_length(config, row_lengths(columns))
        return trainer

    stops = out_of_patience(config.patience)
    training = Training(config, lm, steps, make, stops=stops, log_callback=PreferenceLog)
    return train_adapter(training, run)


def given_pairs(
    config: PreferenceConfig, lm: LanguageModel, data: PairSplit, kind: TrainerKind
) -> TrainingPairs:
    """The rows of given pairs; `TrainingError` when none is left to learn from."""
    max_length = min(config.max_length, lm.context_length)
    builder = pair_builder(
        lm, chat=config.chat, max_length=max_length, takes_single=kind.takes_single
    )
    train, not_train = build_pairs(builder, data.train)
    validation, not_validation = build_pairs(builder, data.validation)
    pairs = TrainingPairs(train, validation, [*data.rejected, *not_train, *not_validation])
    return _some(pairs, "Give pairs with two different responses, or raise max_length.")


def sampled_pairs(
    config: PreferenceConfig, lm: LanguageModel, prompts: Sequence[Prompt], run: Run
) -> TrainingPairs:
    """Pairs of the model's own responses; `TrainingError` when none is left to learn from."""
    drawn = draw_responses(
        lm, prompts, config.draws, config.reward, run, chat=config.chat, seed=config.seed
    )
    rows, rejected = rank_pairs(drawn, config.margin)
    _, held_out = split_prompts(prompts, validation=config.validation, seed=config.seed)
    aside = {prompt.id for prompt in held_out}
    pairs = TrainingPairs(
        [row for row in rows if row.pair_id not in aside],
        [row for row in rows if row.pair_id in aside],
        rejected,
    )
    return _some(pairs, "Give more prompts, raise draws.k, or lower margin.")


def _some(pairs: TrainingPairs, remedy: str) -> TrainingPairs:
    if pairs.train:
        return pairs
    reasons = Counter(reason for _, reason in pairs.rejected).most_common(1)
    cause = f" ({reasons[0][0]})" if reasons else ""
    raise TrainingError(
        f"no pair to learn from: {len(pairs.rejected)} were left out{cause}", remedy=remedy
    )
