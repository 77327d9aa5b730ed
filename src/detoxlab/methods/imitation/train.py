"""How methods of imitation train: responses as rows, and TRL's trainer for them.

Imports transformers, peft and TRL, several seconds: import it only to train.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from datasets import Dataset
from trl import SFTConfig as TrlConfig
from trl import SFTTrainer

from detoxlab.data.split import DialogueSplit, TextSplit
from detoxlab.errors import TrainingError
from detoxlab.internals.transformers import use_one_gpu
from detoxlab.internals.trl import DataCollatorForLanguageModeling
from detoxlab.methods.imitation.config import ImitationConfig
from detoxlab.methods.loop.adapters import (
    check_can_train,
    finished_adapter,
    lora_config,
    record_start,
)
from detoxlab.methods.loop.checkpoints import unchanged
from detoxlab.methods.loop.config import PassesConfig
from detoxlab.methods.loop.log import out_of_patience
from detoxlab.methods.loop.run import Training, train_adapter
from detoxlab.methods.loop.trainer import (
    AdapterTrainer,
    trainer_arguments,
    validating,
)
from detoxlab.methods.rows.dialogue import IGNORED, TokenRow, build_rows, row_builder, row_columns
from detoxlab.methods.rows.rejected import write_rejected
from detoxlab.methods.rows.text import build_text_rows
from detoxlab.models import LanguageModel
from detoxlab.runs import Run


class Trainer(AdapterTrainer, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer that weighs all validation tokens alike.

    transformers averages the validation loss over batches, so that it moves with the batch
    size; here it is the sum of nats over the number of tokens.
    """

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if not self.model.training:
            tokens = (inputs["labels"][:, 1:] != IGNORED).sum().item()
            self._validation.append((float(loss) * tokens, tokens))
        return loss

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        self._validation: list[tuple[float, int]] = []
        output = super().evaluation_loop(*args, **kwargs)
        nats, tokens = (sum(column) for column in zip(*self._validation, strict=True))
        output.metrics["eval_loss"] = nats / tokens
        return output


T = TypeVar("T", bound=Trainer)


@dataclass(frozen=True)
class TrainingRows:
    """The training and validation rows of one run, and the items rejected; `kind` names items."""

    train: Sequence[TokenRow]
    validation: Sequence[TokenRow]
    rejected: Sequence[tuple[str, str]]
    max_length: int
    kind: str = "dialogues"

    def record(self) -> dict[str, Any]:
        """The record of the data in `run.json`."""
        every = [*self.train, *self.validation]
        content = json.dumps([(row.input_ids, row.labels) for row in every])
        return {
            f"train_{self.kind}": len(self.train),
            f"validation_{self.kind}": len(self.validation),
            f"rejected_{self.kind}": len(self.rejected),
            "rejected_reasons": dict(Counter(reason for _, reason in self.rejected)),
            f"cut_{self.kind}": sum(row.cut for row in every),
            "learnt_tokens": sum(row.learnt for row in self.train),
            "max_length": self.max_length,
            "rows_sha256": hashlib.sha256(content.encode()).hexdigest(),
        }


def fit_split(
    config: ImitationConfig,
    lm: LanguageModel,
    data: DialogueSplit | TextSplit,
    run: Run,
    method: str,
    finish: Callable[[Path], None] = unchanged,
) -> Path:
    """The folder of the adapter that learnt the responses, or whole texts, of `data.train`.

    It is the adapter of the checkpoint with the lowest validation loss, or of the last
    step where there is no validation data. `lm` itself is left as it was. `method` is its name in
    the run's record; `finish` is that of `Training`. See `Method.fit` for resuming and errors.
    """
    if done := finished_adapter(run):
        return done
    check_can_train(config, lm)
    if isinstance(data, TextSplit):
        return fit_rows(config, lm, text_rows(config, lm, data), run, method, finish)
    return fit_rows(config, lm, dialogue_rows(config, lm, data), run, method, finish)


def fit_rows(
    config: PassesConfig,
    lm: LanguageModel,
    rows: TrainingRows,
    run: Run,
    method: str,
    finish: Callable[[Path], None] = unchanged,
) -> Path:
    """The adapter that learnt these rows, rewritten by `finish`."""
    record_start(run, lm, method, rows.record())
    write_rejected(run, rows.rejected, rows.kind)
    steps = config.total_steps(len(rows.train))

    def make(folder: Path, resumes: bool) -> Trainer:
        return row_trainer(Trainer, config, lm, rows, folder, steps=steps, resumes=resumes)

    stops = out_of_patience(config.patience)
    return train_adapter(Training(config, lm, steps, make, stops=stops, finish=finish), run)


def row_trainer(
    kind: type[T],
    config: PassesConfig,
    lm: LanguageModel,
    rows: TrainingRows,
    folder: Path,
    *,
    steps: int,
    resumes: bool,
    collator: type[DataCollatorForLanguageModeling] = DataCollatorForLanguageModeling,
    **arguments: Any,
) -> T:
    """A trainer of this kind for an adapter of `lm` on these rows, with checkpoints in `folder`.

    `arguments` are further ones of TRL's SFTConfig.
    """
    all_arguments = TrlConfig(
        **trainer_arguments(config, lm, folder, steps=steps or 1),
        **validating(config, validates=bool(rows.validation), resumes=resumes),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        **arguments,
    )
    held_out = Dataset.from_dict(row_columns(rows.validation)) if rows.validation else None
    trainer = kind(
        model=lm.model,
        args=use_one_gpu(all_arguments),
        processing_class=lm.tokenizer,
        data_collator=collator(pad_token_id=lm.pad_id),
        train_dataset=Dataset.from_dict(row_columns(rows.train)),
        eval_dataset=held_out,
        peft_config=lora_config(config, lm.model),
    )
    trainer.group_by_length(config, [len(row.input_ids) for row in rows.train])
    return trainer


def dialogue_rows(config: ImitationConfig, lm: LanguageModel, data: DialogueSplit) -> TrainingRows:
    """The rows of the dialogues; `TrainingError` when none is left to learn from."""
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
    return TrainingRows(train, validation, rejected, max_length)


def text_rows(config: ImitationConfig, lm: LanguageModel, data: TextSplit) -> TrainingRows:
    """The rows of the texts; `TrainingError` when none is left to learn from."""
    max_length = min(config.max_length, lm.context_length)
    whole = config.targets == "all"
    train, not_train = build_text_rows(lm, data.train, max_length, whole=whole)
    validation, not_validation = build_text_rows(lm, data.validation, max_length, whole=whole)
    if not train:
        raise TrainingError(
            "no text to learn from",
            remedy="Give texts of at least two tokens, and a max_length with room for a question.",
        )
    rejected = [*data.rejected, *not_train, *not_validation]
    return TrainingRows(train, validation, rejected, max_length, "texts")
