"""TRL's trainers with our checkpoints and without telemetry, and their callbacks.

Imports transformers, several seconds: import it only to train.
"""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch.utils.data import DataLoader
from transformers import TrainerCallback

from detoxlab import processes
from detoxlab.errors import TrainingError
from detoxlab.internals.transformers import CheckpointHooks, OwnOrder
from detoxlab.internals.trl import WithoutTelemetry, labelled_tokens_alone
from detoxlab.methods.loop.checkpoints import keep_only
from detoxlab.methods.loop.config import PassesConfig, TrainingConfig
from detoxlab.methods.loop.finite import driven_too_far
from detoxlab.methods.loop.log import TrainLog, best_step, figures
from detoxlab.methods.loop.order import LengthGroups
from detoxlab.methods.loop.quiet import train_without_noise
from detoxlab.models import LanguageModel
from detoxlab.processes.sharding import keep_parts
from detoxlab.progress import Advance, say

LARGE_VOCABULARY = 32_768
"""Words from which on the output layer costs more than to pick out the tokens that need it."""


class AdapterTrainer(WithoutTelemetry, CheckpointHooks, OwnOrder):
    """Mixed in before a trainer of TRL: it sends nothing and keeps two adapters, nothing else.

    On a quantised model TRL trains the adapter in bfloat16, which swallows small updates and is
    not the dtype in which PEFT computes once the adapter is loaded again: here it is float32.

    `best` chooses from the log history the step whose checkpoint is kept besides the newest.
    `compares` is true for methods that compare policies: the model then learns without dropout.
    """

    compares = False
    args: Any
    model: Any
    state: Any
    eval_dataset: Any
    data_collator: Any
    best: Callable[[Sequence[Mapping[str, Any]]], int | None] = staticmethod(best_step)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for weight in self.model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
        keep_parts(self.model)
        if self.compares:
            train_without_noise(self.model)

    def group_by_length(self, config: PassesConfig, lengths: Sequence[int]) -> None:
        """Take the rows, of these lengths in tokens, in batches of like length if so configured."""
        if config.group_by_length:
            self.order = LengthGroups(lengths, config.batch_size, config.seed)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As the trainer does; with a large vocabulary only tokens with a label get logits."""
        large = self.model.get_output_embeddings().weight.shape[0] >= LARGE_VOCABULARY
        with labelled_tokens_alone() if large else contextlib.nullcontext():
            return super().train(*args, **kwargs)  # type: ignore[misc]

    def create_model_card(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def write_weights(self, folder: str, state_dict: Any = None) -> None:
        self.model.save_pretrained(folder, state_dict=state_dict, save_embedding_layers=False)

    @contextlib.contextmanager
    def writing_checkpoint(self) -> Iterator[None]:
        try:
            yield
        except (SafetensorError, RuntimeError) as error:  # torch.save raises the latter
            raise TrainingError(
                f"{self.args.output_dir}: the checkpoint of step {self.state.global_step} cannot "
                f"be written ({str(error).splitlines()[0][:120]})",
                remedy="Make room on the disk; --resume goes on from the checkpoint before it.",
            ) from error
        processes.barrier()  # every process has written its random state
        if processes.is_main():
            kept = {self.state.global_step, self.best(self.state.log_history) or 0}
            keep_only(Path(self.args.output_dir), kept)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """All validation rows in every process: equal shares would count some rows twice."""
        if processes.count() == 1:
            return super().get_eval_dataloader(eval_dataset)  # type: ignore[misc]
        return DataLoader(
            eval_dataset or self.eval_dataset,
            batch_size=self.args.per_device_eval_batch_size,
            collate_fn=self.data_collator,
        )


class LogCallback(TrainerCallback):  # type: ignore[misc]
    """Writes `train.jsonl`, and stops a training when a number is no longer finite."""

    NAMES: tuple[tuple[str, str], ...] = (
        ("loss", "loss"),
        ("eval_loss", "eval_loss"),
        ("learning_rate", "learning_rate"),
        ("grad_norm", "grad_norm"),
        ("mean_token_accuracy", "token_accuracy"),
        ("eval_mean_token_accuracy", "token_accuracy"),
        ("entropy", "entropy"),
        ("eval_entropy", "entropy"),
    )

    def __init__(self, log: TrainLog, learning_rate: float) -> None:
        self.log = log
        self.learning_rate = learning_rate
        last = log.rows()[-1:]
        self.seconds_before = last[0]["seconds"] if last else 0.0
        self.tokens_before = last[0]["tokens"] if last else 0
        self.began = self.step_began = time.perf_counter()
        self.tokens = 0.0

    def on_train_begin(self, *_args: Any, **_kwargs: Any) -> None:
        self.began = time.perf_counter()

    def on_step_begin(self, *_args: Any, **_kwargs: Any) -> None:
        self.step_began = time.perf_counter()

    def on_log(self, args: Any, state: Any, _control: Any, logs: Any, **_kwargs: Any) -> None:
        if "loss" not in logs and "eval_loss" not in logs:
            return
        now = time.perf_counter()
        row = {"step": state.global_step, "epoch": round(logs.get("epoch") or 0.0, 4)}
        row |= self.named(logs)
        if "loss" in logs:
            new, self.tokens = logs["num_tokens"] - self.tokens, logs["num_tokens"]
            row["tokens_per_second"] = round(new / max(now - self.step_began, 1e-9), 1)
        row["tokens"] = int(self.tokens_before + self.tokens)
        row["seconds"] = round(self.seconds_before + now - self.began, 3)
        self.log.append(row)
        self._check(row, scaled=args.fp16)

    def named(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        """The trainer's figures under the names of `train.jsonl`."""
        return {ours: logs[theirs] for theirs, ours in self.NAMES if theirs in logs}

    def _check(self, row: dict[str, float], scaled: bool) -> None:
        """With float16 the gradient may overflow: the scaler skips such a step."""
        for name in ("loss", "eval_loss", "grad_norm"):
            if not math.isfinite(row.get(name, 0.0)) and not (scaled and name == "grad_norm"):
                place = f"{self.log.path.parent}: {name}"
                raise driven_too_far(place, row[name], int(row["step"]), self.learning_rate)


class FlowCallback(TrainerCallback):  # type: ignore[misc]
    """Moves the progress bar; stops when `stops(log history)` gives a reason or the user asks.

    The loss and the reward beside the bar are those of the newest row of the log.
    """

    def __init__(
        self,
        stops: Callable[[Sequence[Mapping[str, Any]]], str | None],
        advance: Advance,
        log: TrainLog,
        interruption: "Interruption",
    ) -> None:
        self.stops = stops
        self.advance = advance
        self.log = log
        self.interruption = interruption

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_kwargs: Any) -> None:
        self.advance(1)
        if processes.any_of(self.interruption.requested):
            control.should_save = control.should_training_stop = True

    def on_log(self, _args: Any, state: Any, control: Any, **_kwargs: Any) -> None:
        self.advance(0, figures(self.log.latest))
        if processes.any_of(self.stops(state.log_history) is not None):
            control.should_save = control.should_training_stop = True


class Interruption:
    """The first Ctrl-C asks to stop after the step; the second stops at once."""

    requested = False

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Listen for Ctrl-C in the block: in the main thread alone, and unless it is ignored."""
        previous = signal.getsignal(signal.SIGINT)
        here = threading.current_thread() is threading.main_thread()
        if not here or previous in (signal.SIG_IGN, None):
            yield
            return

        def handle(_signal: int, _frame: Any) -> None:
            self.requested = True
            signal.signal(signal.SIGINT, previous)
            say("\nstopping after this step; Ctrl-C again stops at once")

        signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


def trainer_arguments(
    config: TrainingConfig, lm: LanguageModel, folder: Path, *, steps: int
) -> dict[str, Any]:
    """The TrainingArguments of transformers for `steps` steps with checkpoints in `folder`."""
    on_gpu = lm.device.type == "cuda"
    half = lm.dtype is torch.float16
    has_bf16 = on_gpu and torch.cuda.is_bf16_supported() and not half
    return {
        "output_dir": str(folder),
        "max_steps": steps,
        "per_device_train_batch_size": share_of_batch(config.batch_size),
        "per_device_eval_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.scheduler,
        "warmup_steps": math.ceil(config.warmup_ratio * steps),
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "optim": "adamw_torch",
        "bf16": has_bf16 if config.bf16 == "auto" else config.bf16,
        "fp16": on_gpu and half,
        "use_cpu": lm.device.type == "cpu",
        "gradient_checkpointing": config.gradient_checkpointing,
        "seed": config.seed,
        "data_seed": config.seed,
        "logging_steps": 1,  # so that losses after a resumption are those of the whole run
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": config.save_steps,
        "save_total_limit": None,  # AdapterTrainer keeps the newest and the best
        "report_to": "none",  # `TrainLog` sends its rows to the trackers
        "disable_tqdm": True,
        "dataloader_pin_memory": on_gpu,
        "ddp_find_unused_parameters": False,  # every adapter weight is used in every step
    }


def share_of_batch(batch_size: int) -> int:
    """Each process's number of the `batch_size` rows of a batch; `TrainingError` if uneven."""
    share, left = divmod(batch_size, processes.count())
    if left:
        raise TrainingError(
            f"batch_size {batch_size} cannot be shared by {processes.count()} processes",
            remedy="It counts the rows of all processes: choose a multiple of their number.",
        )
    return share


def validating(config: TrainingConfig, *, validates: bool, resumes: bool) -> dict[str, Any]:
    """When the trainer validates: before the first step, and before every checkpoint."""
    return {
        "eval_strategy": "steps" if validates else "no",
        "eval_steps": config.save_steps,
        "eval_on_start": validates and not resumes,
    }
