"""The steps of a training: batches of like length, AdamW, the best epoch kept, resumable.

Batches and dropout depend on (seed, step) alone, so that a resumed training gives the same bytes
as an uninterrupted one on the same machine and number of threads.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from detoxlab.errors import TrainingError
from detoxlab.internals.torch import computes_bfloat16
from detoxlab.progress import progress
from detoxlab.scorer_training import Optimisation
from detoxlab.scorers.base import FloatArray
from detoxlab.scorers.forward import logits_of, padded
from detoxlab.scorers.trained import logits_from
from detoxlab.scorers.training.checkpoints import load_state, save_state
from detoxlab.scorers.training.model import learnt_parameters

CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"
POOL = 64  # batches that are sorted by length together
BETAS = (0.9, 0.98)
LOG_EVERY = 20
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Examples:
    """Token ids of N texts, their goals (N, A) with NaN for no label, and the weights of both.

    `order` lists the texts of an epoch by index; a repeated text stands there several times.
    """

    token_ids: Sequence[Sequence[int]]
    goals_NA: FloatArray
    weights_N: FloatArray
    weights_A: FloatArray
    order: Sequence[int]


@dataclass
class State:
    """The place of a training: steps done, the best epoch, and the seconds and tokens so far."""

    step: int = 0
    best_step: int = 0
    best_loss: float = float("inf")
    tokens: int = 0
    seconds: float = 0.0
    model_seconds: float = 0.0
    epochs: list[dict[str, float]] = field(default_factory=list)


def masked_loss(
    logits_BA: torch.Tensor, goals_BA: torch.Tensor, weights_BA: torch.Tensor
) -> torch.Tensor:
    """Mean over the labelled cells of weight × binary cross-entropy, in nats.

    A goal of NaN is no label: its cell adds nothing to the sum, the count, or the gradient.
    """
    known_BA = ~torch.isnan(goals_BA)
    losses_BA = nn.functional.binary_cross_entropy_with_logits(
        logits_BA, torch.where(known_BA, goals_BA, 0.5), reduction="none"
    )
    return (losses_BA * weights_BA * known_BA).sum() / known_BA.sum().clamp(min=1)


def epoch_batches(
    order: Sequence[int], lengths: Sequence[int], batch_size: int, seed: int, epoch: int
) -> list[list[int]]:
    """The batches of an epoch in random order, each of texts of like length.

    >>> epoch_batches([0, 1, 2, 3], [9, 2, 8, 1], 2, seed=0, epoch=0)
    [[2, 0], [3, 1]]
    """
    rng = np.random.default_rng([seed, epoch])
    drawn = [order[place] for place in rng.permutation(len(order))]
    batches: list[list[int]] = []
    for start in range(0, len(drawn), batch_size * POOL):
        pool = sorted(drawn[start : start + batch_size * POOL], key=lambda at: lengths[at])
        batches += [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
    return [batches[place] for place in rng.permutation(len(batches))]


def learning_rate(step: int, steps: int, settings: Optimisation) -> float:
    """The rate of a step: it rises over the warm-up, then falls linearly towards 0.

    >>> settings = Optimisation(learning_rate=1.0, warmup=0.2)
    >>> [round(learning_rate(step, 10, settings), 3) for step in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.125]
    """
    rising = max(1, round(settings.warmup * steps))
    falling = (steps - step) / max(1, steps - rising)
    return settings.learning_rate * min((step + 1) / rising, falling)


class Training:
    """One training of a classifier, with its files in `folder`."""

    def __init__(
        self,
        model: Any,
        train: Examples,
        validation: Examples,
        settings: Optimisation,
        *,
        pad_id: int,
        seed: int,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.model, self.settings = model.to(device), settings
        self.train, self.validation = train, validation
        self.pad_id, self.seed, self.folder, self.device = pad_id, seed, folder, device
        self.learnt = learnt_parameters(model)
        self.optimizer = _optimizer(list(self.learnt.values()), settings)
        self.lengths = [len(ids) for ids in train.token_ids]
        self.per_epoch = -(-len(train.order) // settings.batch_size)
        self.steps = self.per_epoch * settings.epochs
        asked = settings.bf16
        self.bf16 = asked == "on" or (asked == "auto" and computes_bfloat16(device))
        self.state = State()

    def run(self, report: Report) -> State:
        """Train to the end, from the last checkpoint; the model has the best epoch's weights.

        `report` gets a row every `LOG_EVERY` steps and one for each epoch. Raises `TrainingError`
        when the loss is no number.
        """
        self._resume()
        batches: list[list[int]] = []
        with _own_randomness(), progress("training", self.steps, done=self.state.step) as advance:
            while self.state.step < self.steps:
                epoch, at = divmod(self.state.step, self.per_epoch)
                if not batches or at == 0:
                    batches = epoch_batches(
                        self.train.order, self.lengths, self.settings.batch_size, self.seed, epoch
                    )
                loss = self._timed_step(batches[at])
                self._after_step(loss, report)
                speed = self.state.tokens / max(self.state.seconds, 1e-9)
                advance(1, f"loss {loss:.3f}, {speed:,.0f} tokens/s")
        self._take_best()
        return self.state

    def validation_logits(self) -> FloatArray:
        """(N, A) logits of the validation texts, in the precision of the training."""
        self.model.eval()
        with self._autocast():
            logits_NA = logits_of(
                logits_from(self.model),
                self.validation.token_ids,
                pad_id=self.pad_id,
                max_tokens=max(map(len, self.validation.token_ids)),
                device=self.device,
            )
        self.model.train()
        return logits_NA

    # --- inside ---

    def _timed_step(self, batch: Sequence[int]) -> float:
        started = time.perf_counter()
        torch.manual_seed((self.seed << 32) + self.state.step)
        loss = self._step(batch)
        self.state.step += 1
        self.state.seconds += time.perf_counter() - started
        return loss

    def _step(self, batch: Sequence[int]) -> float:
        rate = learning_rate(self.state.step, self.steps, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        ids_BT, mask_BT = padded([self.train.token_ids[i] for i in batch], self.pad_id)
        goals_BA, weights_BA = self._goals(self.train, batch)
        before = time.perf_counter()
        with self._autocast():
            logits_BA = logits_from(self.model)(ids_BT.to(self.device), mask_BT.to(self.device))
        loss = masked_loss(logits_BA.float(), goals_BA, weights_BA)
        loss.backward()  # type: ignore[no-untyped-call]
        value = float(loss.detach())
        self.state.model_seconds += time.perf_counter() - before
        nn.utils.clip_grad_norm_(self.learnt.values(), self.settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.state.tokens += int(mask_BT.sum())
        if not np.isfinite(value):
            raise TrainingError(
                f"the loss of step {self.state.step + 1} is {value}",
                remedy="Lower the learning rate, or set bf16 to off.",
            )
        return value

    def _goals(self, examples: Examples, batch: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        weights_BA = np.outer(examples.weights_N[batch], examples.weights_A)
        arrays = (examples.goals_NA[batch], weights_BA)
        goals, weights = (torch.tensor(one, dtype=torch.float32) for one in arrays)
        return goals.to(self.device), weights.to(self.device)

    def _after_step(self, loss: float, report: Report) -> None:
        state = self.state
        ends_epoch = state.step % self.per_epoch == 0
        if state.step % LOG_EVERY == 0:
            rate = self.optimizer.param_groups[0]["lr"]
            report({"step": state.step, "loss": round(loss, 6), "learning_rate": rate})
        if ends_epoch:
            self._end_epoch(report)
        if ends_epoch or state.step % self.settings.checkpoint_every == 0:
            self._save()

    def _end_epoch(self, report: Report) -> None:
        state = self.state
        every = range(len(self.validation.token_ids))
        goals_NA, weights_NA = self._goals(self.validation, every)
        logits_NA = torch.tensor(self.validation_logits(), dtype=torch.float32).to(self.device)
        loss = round(float(masked_loss(logits_NA, goals_NA, weights_NA)), 6)
        row = {"step": state.step, "validation_loss": loss}
        state.epochs.append(row)
        report(row)
        if loss < state.best_loss:
            state.best_step, state.best_loss = state.step, loss
            save_state(self.folder / BEST, self.learnt, row)

    def _save(self) -> None:
        moments = {
            f"{kind}/{name}": self.optimizer.state[parameter][kind]
            for name, parameter in self.learnt.items()
            for kind in ("exp_avg", "exp_avg_sq", "step")
        }
        save_state(self.folder / CHECKPOINT, {**self.learnt, **moments}, asdict(self.state))

    def _resume(self) -> None:
        if not (self.folder / CHECKPOINT).is_file():
            return
        tensors, state = load_state(self.folder / CHECKPOINT)
        self.state = State(**state)
        for name, parameter in self.learnt.items():
            parameter.data.copy_(tensors[name])
            self.optimizer.state[parameter] = {
                kind: tensors[f"{kind}/{name}"].to(_home(kind, self.device))
                for kind in ("step", "exp_avg", "exp_avg_sq")
            }

    def _take_best(self) -> None:
        tensors, _ = load_state(self.folder / BEST)
        for name, parameter in self.learnt.items():
            parameter.data.copy_(tensors[name])

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


def _home(kind: str, device: torch.device) -> torch.device:
    """The device of a part of AdamW's state; a fused one on a GPU keeps its step count there."""
    return device if kind != "step" or device.type == "cuda" else torch.device("cpu")


def _optimizer(parameters: Sequence[nn.Parameter], settings: Optimisation) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices alone."""
    matrices = [one for one in parameters if one.ndim > 1]
    vectors = [one for one in parameters if one.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=BETAS, fused=True)


@contextlib.contextmanager
def _own_randomness() -> Iterator[None]:
    """torch's random numbers are the caller's again after the block."""
    with torch.random.fork_rng():
        yield
