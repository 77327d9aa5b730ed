"""Trains by PPO: draw, reward, compare, learn, step after step.

The run around it (checkpoints, resuming, log, Ctrl-C, the best adapter) is that of all
trainings: `PPOTrainer` looks to it like a trainer of transformers. Imports torch and peft, which
takes seconds: import this file only to train.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, get_scheduler

from detoxlab import processes
from detoxlab.errors import TrainingError
from detoxlab.methods.feedback.reward import Reward
from detoxlab.methods.feedback.rollout import prompts_record, steps_per_pass
from detoxlab.methods.feedback.stop import best_step, stop_reason
from detoxlab.methods.loop.adapters import check_can_train, finished_adapter, record_start
from detoxlab.methods.loop.checkpoints import keep_only
from detoxlab.methods.loop.finite import driven_too_far
from detoxlab.methods.loop.run import Training, train_adapter
from detoxlab.methods.loop.samples import SampleLog
from detoxlab.methods.loop.trainer import LogCallback
from detoxlab.methods.ppo.config import PPOConfig
from detoxlab.methods.ppo.losses import (
    adapted_coefficient,
    clipped_share,
    entropy,
    log_probs_of,
    masked_mean,
    policy_loss,
    value_loss,
)
from detoxlab.methods.ppo.policy import Policy
from detoxlab.methods.ppo.rollout import (
    Experience,
    RewardFunction,
    Sampler,
    chunks,
    gather_experience,
)
from detoxlab.methods.ppo.state import PPOState, load_checkpoint, save_adapter, save_checkpoint
from detoxlab.models import LanguageModel
from detoxlab.records import Prompt
from detoxlab.runs import Run

Figures = dict[str, float]


def fit_adapter(
    config: PPOConfig,
    lm: LanguageModel,
    prompts: Sequence[Prompt],
    run: Run,
    reward: RewardFunction | None = None,
) -> Path:
    """The folder of the adapter that learnt from its own responses to the prompts.

    It is that of the saved step with the highest reward before a stop rule was broken. `reward`
    replaces the one in `config`. `lm` itself is left as it was. See `Method.fit` for resuming
    and errors.
    """
    if done := finished_adapter(run):
        return done
    check_can_train(config, lm)
    _check_shares(config, len(prompts))
    record_start(run, lm, "ppo", prompts_record(prompts))
    judge = reward or Reward(config.reward, asked=prompts)
    steps = total_steps(config, len(prompts))
    samples = SampleLog(run.path, every=config.samples_every)

    def make(folder: Path, _resumes: bool) -> PPOTrainer:
        return PPOTrainer(config, lm, prompts, judge, steps=steps, folder=folder, samples=samples)

    def best(rows: Sequence[Mapping[str, Any]]) -> int | None:
        last = rows[-1]["step"] if rows else None
        return best_step(rows, config.stop, config.save_steps, last)

    return train_adapter(
        Training(
            config,
            lm,
            steps,
            make,
            best=best,
            stops=lambda rows: stop_reason(rows, config.stop),
            log_callback=PPOLogCallback,
        ),
        run,
    )


def _check_shares(config: PPOConfig, prompts: int) -> None:
    """Raise `TrainingError` where processes with a sharded base would make unequal passes."""
    responses = min(config.rollout.prompts, prompts) * config.rollout.k
    update, count = config.batch_size * config.gradient_accumulation, processes.count()
    if processes.shards_base() and (responses % count or update % count):
        raise TrainingError(
            f"{responses} responses per step, {update} per update: {count} processes with a "
            "sharded base need equal shares",
            remedy="Choose multiples of their number for rollout.prompts and batch_size.",
        )


def total_steps(config: PPOConfig, prompts: int) -> int:
    """The number of steps that `config` makes on so many prompts."""
    if config.max_steps is None:
        return steps_per_pass(prompts, config.rollout.prompts)
    return config.max_steps


class PPOLogCallback(LogCallback):
    """Writes all figures of a step: PPO uses the names of `train.jsonl` already."""

    def named(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in logs.items() if key not in ("num_tokens", "epoch")}


class PPOTrainer:
    """PPO on one model, with the interface of transformers' trainers that `train_adapter` uses.

    `folder` keeps two checkpoints: the newest, and the one that `best(log history)` names. Each
    of several processes draws and learns from a share of the responses and scores all of them;
    all have the same weights after every update.
    """

    best: Callable[[Sequence[Mapping[str, Any]]], int | None]

    def __init__(
        self,
        config: PPOConfig,
        lm: LanguageModel,
        prompts: Sequence[Prompt],
        reward: RewardFunction,
        *,
        steps: int,
        folder: Path,
        samples: SampleLog,
    ) -> None:
        self.config = config
        self.steps = steps
        self.folder = folder
        self.samples = samples
        self.reward = reward
        self.policy = Policy(lm, config)
        self.sampler = Sampler(self.policy, config, prompts)
        self.optimizer = _optimizer(self.policy, config)
        self.scheduler = get_scheduler(
            config.scheduler,
            self.optimizer,
            num_warmup_steps=math.ceil(config.warmup_ratio * steps),
            num_training_steps=steps,
        )
        self.state = PPOState(config.kl_coefficient)
        self.control = TrainerControl()
        self.callbacks: list[TrainerCallback] = []
        self.tokens = 0

    # --- as a trainer of transformers ---

    def add_callback(self, callback: TrainerCallback) -> None:
        """Add a callback after the present ones."""
        self.callbacks.append(callback)

    def remove_callback(self, _kind: type[TrainerCallback]) -> None:
        """Do nothing: there are no callbacks but those that were added."""

    def train(self, resume_from_checkpoint: str | None = None) -> None:
        """Make steps to the end, or until a callback stops the training."""
        if resume_from_checkpoint:
            self.state = load_checkpoint(
                Path(resume_from_checkpoint), self.policy, self.optimizer, self.scheduler
            )
        self.samples.cut_after(self.state.global_step)
        self._call("on_train_begin")
        while self.state.global_step < self.steps and not self.control.should_training_stop:
            self._call("on_step_begin")
            figures = self.step()
            self._log(figures)
            self._call("on_step_end")
            if self._saves_now():
                self._checkpoint()

    def write_weights(self, folder: str) -> None:
        """Write the adapter into the folder of a checkpoint."""
        save_adapter(self.policy, Path(folder))

    # --- one step ---

    def step(self) -> Figures:
        """Draw, reward, compare and learn; returns the figures of the step.

        `loss` and its parts, `grad_norm` and `clipped` are means over the step's updates; the
        rest is of the policy before them.
        """
        clock = Clock(self.policy.lm.device)
        number, beta = self.state.global_step, self.state.kl_coefficient
        with clock.timing("generate"):
            draws = self.sampler.draw(number)
        with clock.timing("score"):
            rewards = self.reward(draws.prompts, draws.generations)
        with clock.timing("forward"):
            experience = gather_experience(
                self.policy, draws.responses, rewards.values_N, self.config, beta
            )
        rate = self.scheduler.get_last_lr()[0]
        with clock.timing("update"):
            learnt = self._learn(experience, number)
        self.scheduler.step()
        self.state.global_step = number + 1
        self.tokens += draws.tokens
        self.samples.add(number + 1, draws.prompts, draws.generations, rewards)
        seen = experience.log()
        self.state.kl_coefficient = self._next_beta(seen["kl"], len(draws.responses))
        return {
            **learnt,
            **rewards.log(),
            **seen,
            **draws.log(),
            "kl_coefficient": beta,
            "learning_rate": rate,
            **clock.seconds,
        }

    def _next_beta(self, kl: float, responses: int) -> float:
        config, beta = self.config, self.state.kl_coefficient
        if config.kl_target is None:
            return beta
        return adapted_coefficient(
            beta, kl, config.kl_target, responses=responses, horizon=config.kl_horizon
        )

    def _learn(self, experience: Experience, step: int) -> Figures:
        """Several passes of minibatches, shuffled by seed and step."""
        rng = np.random.default_rng([self.config.seed, step])
        size = self.config.batch_size * self.config.gradient_accumulation
        count = len(experience.responses)
        updates = [
            self._update(experience, rows)
            for _ in range(self.config.ppo_epochs)
            for rows in chunks(rng.permutation(count).tolist(), size)
        ]
        return {key: float(np.mean([one[key] for one in updates])) for key in updates[0]}

    def _update(self, experience: Experience, rows: Sequence[int]) -> Figures:
        """One gradient step; its loss is a mean over all tokens of all its forward passes.

        Each process adds the gradient of its share of the rows.
        """
        tokens = experience.mask_NT[list(rows)].sum()
        size = math.ceil(self.config.batch_size / processes.count())
        parts = [
            self._backward(experience.rows(part), tokens)
            for part in chunks(processes.share(rows), size)
        ]
        self._exchange_gradients()
        norm = torch.nn.utils.clip_grad_norm_(self.policy.weights, self.config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        parts = processes.gathered(parts)
        return {key: sum(one[key] for one in parts) for key in parts[0]} | {
            "grad_norm": norm.item()
        }

    def _exchange_gradients(self) -> None:
        """Sum the gradients over the processes; a process with an empty share adds zeros."""
        for weight in self.policy.weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        processes.add_up([weight.grad for weight in self.policy.weights if weight.grad is not None])

    def _backward(self, part: Experience, tokens: Tensor) -> Figures:
        """Add the gradient of this part's share of the loss; returns that share and its terms."""
        losses = ppo_losses(self.policy, part, self.config)
        if not bool(losses["loss"].isfinite()):
            place, value = f"{self.folder.parent}: loss", losses["loss"].item()
            step, rate = self.state.global_step + 1, self.config.learning_rate
            raise driven_too_far(place, value, step, rate)
        share = part.mask_NT.sum() / tokens
        (losses["loss"] * share).backward()  # type: ignore[no-untyped-call]
        return {key: (value.detach() * share).item() for key, value in losses.items()}

    # --- the run around it ---

    def _call(self, event: str, **more: Any) -> None:
        arguments = SimpleNamespace(fp16=False)
        for callback in self.callbacks:
            getattr(callback, event)(arguments, self.state, self.control, **more)

    def _log(self, figures: Figures) -> None:
        self.state.log_history.append({"step": self.state.global_step, **figures})
        epoch = self.state.global_step / self.sampler.steps_per_pass
        self._call("on_log", logs={**figures, "epoch": epoch, "num_tokens": self.tokens})

    def _saves_now(self) -> bool:
        step = self.state.global_step
        return step % self.config.save_steps == 0 or step == self.steps or self.control.should_save

    def _checkpoint(self) -> None:
        if processes.is_main():
            self._write_checkpoint()
        processes.barrier()
        self.control.should_save = False

    def _write_checkpoint(self) -> None:
        step = self.state.global_step
        try:
            save_checkpoint(self.folder, self.state, self.policy, self.optimizer, self.scheduler)
        except (SafetensorError, RuntimeError) as error:  # torch.save raises the latter
            raise TrainingError(
                f"{self.folder}: the checkpoint of step {step} cannot be written "
                f"({str(error).splitlines()[0][:120]})",
                remedy="Make room on the disk; --resume goes on from the checkpoint before it.",
            ) from error
        keep_only(self.folder, {step, self.best(self.state.log_history) or 0})


class Clock:
    """Wall-clock seconds by part, as `seconds_<part>`; waits for what a GPU still computes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: Figures = {}

    @contextlib.contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Add the time of the block to the part."""
        began = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        key = f"seconds_{part}"
        self.seconds[key] = round(self.seconds.get(key, 0.0) + time.perf_counter() - began, 4)


def ppo_losses(policy: Policy, part: Experience, config: PPOConfig) -> dict[str, Tensor]:
    """Mean losses over the tokens of `part`: `loss`, which is minimised, and its parts.

    `clipped` is the share of tokens whose ratio left the clip range.
    """
    batch = policy.batch(part.responses)
    outputs = policy.forward(batch)
    log_probs_BT = log_probs_of(outputs.logits_BTV, batch.tokens_BT)
    mask_BT = part.mask_NT
    policy_BT = policy_loss(log_probs_BT, part.log_probs_NT, part.advantages_NT, config.clip_range)
    value_BT = value_loss(
        outputs.values_BT, part.values_NT, part.returns_NT, config.value_clip_range
    )
    losses = {
        "policy_loss": masked_mean(policy_BT, mask_BT),
        "value_loss": masked_mean(value_BT, mask_BT),
    }
    loss = losses["policy_loss"] + config.value_coefficient * losses["value_loss"]
    if config.entropy_bonus:
        entropy_BT = entropy(outputs.logits_BTV)
        loss = loss - config.entropy_bonus * masked_mean(entropy_BT, mask_BT)
    with torch.no_grad():
        clipped = clipped_share(log_probs_BT, part.log_probs_NT, mask_BT, config.clip_range)
    return {"loss": loss, **losses, "clipped": clipped}


# --- inside ---


def _optimizer(policy: Policy, config: PPOConfig) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        [
            {"params": policy.adapter_weights, "lr": config.learning_rate},
            {"params": list(policy.value_head.parameters()), "lr": config.value_learning_rate},
        ],
        weight_decay=config.weight_decay,
    )
