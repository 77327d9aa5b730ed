"""Trains on groups of responses: TRL's trainers with our responses and our reward.

TRL asks its trainer to turn prompts into ids and ids into responses; both steps are replaced,
so that responses come from `generate`'s engine, drawn from the true policy under noise that
depends on the step alone. Everything after that, advantages, losses and the reference (the
adapter switched off: no second copy of the weights), is TRL's.

Imports transformers, peft and TRL, several seconds: import it only to train.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOTrainer, RLOOTrainer

from detoxlab.errors import TrainingError
from detoxlab.generate import LocalEngine
from detoxlab.internals.transformers import use_one_gpu
from detoxlab.internals.trl import GroupResponses, OwnResponses, PlainResponses, noted
from detoxlab.methods.feedback.reward import Reward, Rewards
from detoxlab.methods.feedback.rollout import prompts_of_step, prompts_record, steps_per_pass
from detoxlab.methods.feedback.stop import GATE, best_step, stop_reason
from detoxlab.methods.loop.adapters import (
    check_can_train,
    finished_adapter,
    lora_config,
    record_start,
)
from detoxlab.methods.loop.run import Training, train_adapter
from detoxlab.methods.loop.samples import SampleLog
from detoxlab.methods.loop.trainer import (
    AdapterTrainer,
    LogCallback,
    share_of_batch,
    trainer_arguments,
)
from detoxlab.methods.online.config import OnlineConfig
from detoxlab.models import LanguageModel
from detoxlab.processes.sharding import in_step
from detoxlab.records import Generation, Prompt
from detoxlab.runs import Run
from detoxlab.subject import Subject

RewardFunction = Callable[[Sequence[Prompt], Sequence[Generation]], Rewards]
OURS = "detoxlab/"  # keeps our metrics apart from those of TRL that have the same name


class RolloutBridge:
    """The prompts, responses and rewards of one step, handed to TRL.

    TRL calls in this order: `ask`, `answer`, then the object itself as its reward function.
    """

    def __init__(
        self,
        lm: LanguageModel,
        config: OnlineConfig,
        prompts: Sequence[Prompt],
        reward: RewardFunction,
        samples: SampleLog,
    ) -> None:
        self.lm = lm
        markers = lm.next_turn_markers if config.chat else ()
        self.engine = LocalEngine(Subject(lm), chat=config.chat, next_turn_markers=markers)
        self.sampling = config.rollout.sampling(config.seed)
        self.engine.batches(prompts, self.sampling)  # warns of prompts that are too long
        self.prompt_of = {prompt.id: prompt for prompt in prompts}
        self.reward = reward
        self.samples = samples
        self.asked: list[Prompt] = []
        self.generations: list[Generation] = []
        self.seconds_generate = 0.0

    def ask(self, ids: Sequence[str]) -> list[list[int]]:
        """Token ids of the prompts with these ids, each `k` times in a row."""
        k = self.sampling.k
        self.asked = [self.prompt_of[one] for one in ids[::k]]
        if list(ids) != [prompt.id for prompt in self.asked for _ in range(k)]:
            raise TrainingError(
                f"a process was given parts of groups of {k} responses",
                remedy="Choose rollout.prompts so that every process gets as many whole groups.",
            )
        contexts = [list(self.engine.context_ids(one, self.sampling)) for one in self.asked]
        return [context for context in contexts for _ in range(k)]

    def answer(self, step: int) -> list[list[int]]:
        """Token ids of a response to each of the prompts, drawn with the noise of `step`."""
        began = time.perf_counter()
        self.engine.iteration = step
        with in_step(self.lm.bare):
            self.generations = self.engine.generate(self.asked, self.sampling)
        self.seconds_generate = time.perf_counter() - began
        return [list(one.token_ids) for one in self.generations]

    def __call__(
        self, *, trainer_state: Any, log_metric: Callable[[str, float], None], **_given: Any
    ) -> list[float]:
        """The rewards of the responses; logs their parts."""
        began = time.perf_counter()
        prompts = [prompt for prompt in self.asked for _ in range(self.sampling.k)]
        rewards = self.reward(prompts, self.generations)
        seconds = {
            "seconds_generate": self.seconds_generate,
            "seconds_score": time.perf_counter() - began,
        }
        for name, value in {**rewards.log(), **self._lengths(), **seconds}.items():
            log_metric(OURS + name, value)
        if trainer_state.is_world_process_zero:
            self.samples.add(trainer_state.global_step + 1, prompts, self.generations, rewards)
        return [float(value) for value in rewards.values_N]

    def _lengths(self) -> dict[str, float]:
        lengths = [len(one.token_ids) for one in self.generations]
        capped = [one.finish_reason == "length" for one in self.generations]
        return {"response_length": float(np.mean(lengths)), "capped": float(np.mean(capped))}


class OnlineTrainer(AdapterTrainer, OwnResponses):
    """Mixed in before a trainer of TRL: responses are drawn through a `RolloutBridge`."""

    compares = True
    exchange: RolloutBridge

    def prompt_ids(self, prompts: list[str]) -> list[list[int]]:
        return self.exchange.ask(prompts)

    def response_ids(self) -> list[list[int]]:
        return self.exchange.answer(self.state.global_step)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        metrics = noted(self, "train")
        for key in [key for key in metrics if key.startswith(OURS)]:
            metrics[key.removeprefix(OURS)] = metrics.pop(key)
        if metrics:
            logs["kl_coefficient"] = self.args.beta
        super().log(logs, start_time)  # type: ignore[misc]


class GroupRelativeTrainer(OnlineTrainer, GroupResponses, GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer with our responses."""


class LeaveOneOutTrainer(OnlineTrainer, PlainResponses, RLOOTrainer):  # type: ignore[misc]
    """RLOOTrainer with our responses."""


@dataclass(frozen=True)
class TrainerKind:
    """One of TRL's trainers on our responses, with its own settings."""

    trainer: type[OnlineTrainer]
    arguments: Callable[..., Any]
    settings: Mapping[str, Any]


def fit_groups(
    config: OnlineConfig,
    lm: LanguageModel,
    prompts: Sequence[Prompt],
    run: Run,
    method: str,
    kind: TrainerKind,
    reward: RewardFunction | None = None,
) -> Path:
    """The folder of the adapter that learnt from its own responses to the prompts.

    It is that of the saved step with the highest reward before a stop rule was broken. `method` is
    its name in the run's record; `reward` replaces the one in `config`. `lm` itself is left as it
    was. See `Method.fit` for resuming and errors.
    """
    if done := finished_adapter(run):
        return done
    check_can_train(config, lm)
    count = config.prompts_per_step(prompts)
    record_start(run, lm, method, prompts_record(prompts))
    reward = reward or Reward(config.reward, asked=prompts)
    samples = SampleLog(run.path, every=config.samples_every)
    steps = steps_per_pass(len(prompts), count) if config.max_steps is None else config.max_steps
    order = [
        prompt.id
        for step in range(max(steps, 1))
        for prompt in prompts_of_step(prompts, step, count, config.seed)
    ]

    def make(folder: Path, _resumes: bool) -> OnlineTrainer:
        exchange = RolloutBridge(lm, config, prompts, reward, samples)
        arguments = kind.arguments(
            **_arguments(config, lm, folder, steps=steps or 1, responses=count * config.rollout.k),
            **kind.settings,
        )
        trainer = kind.trainer(
            model=lm.model,
            args=use_one_gpu(arguments),
            reward_funcs=[exchange],
            processing_class=lm.tokenizer,
            train_dataset=Dataset.from_dict({"prompt": order}),
            peft_config=lora_config(config, lm.model),
        )
        trainer.exchange = exchange
        if lm.takes_positions:
            trainer.model.register_forward_pre_hook(_count_positions, with_kwargs=True)
        return trainer

    training = Training(
        config,
        lm,
        steps,
        make,
        best=lambda rows: best_step(rows, config.stop, config.save_steps, steps),
        stops=lambda rows: stop_reason(rows, config.stop),
        log_callback=FeedbackLog,
        callbacks=lambda _log: [_CutSamples(samples)],
    )
    return train_adapter(training, run)


# --- inside ---


class FeedbackLog(LogCallback):
    """The log of methods that learn from feedback: they use the names of `train.jsonl` already."""

    KEYS = (
        "reward",
        "reward_std",
        "toxicity",
        "kl",
        "kl_coefficient",
        "response_length",
        "capped",
        "seconds_generate",
        "seconds_score",
    )

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        super().on_train_begin()
        self.tokens = state.num_input_tokens_seen  # TRL's count goes on after a resumption
        self.tokens_before -= self.tokens

    def named(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        """The figures of `LogCallback` and those of feedback, gates among them."""
        same = {key: logs[key] for key in logs if key in self.KEYS or key.startswith(GATE)}
        return super().named(logs) | same


class _CutSamples(TrainerCallback):  # type: ignore[misc]
    """Forgets the samples of steps that will be made again."""

    def __init__(self, samples: SampleLog) -> None:
        self.samples = samples

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.samples.cut_after(state.global_step)


def _arguments(
    config: OnlineConfig, lm: LanguageModel, folder: Path, *, steps: int, responses: int
) -> dict[str, Any]:
    """The arguments that both trainers share. The data come in our order, as one epoch."""
    batch = min(config.batch_size, responses)
    arguments = trainer_arguments(config, lm, folder, steps=steps)
    return arguments | {
        "per_device_train_batch_size": share_of_batch(batch),
        "gradient_accumulation_steps": responses // batch,
        "num_generations": config.rollout.k,
        "max_completion_length": config.rollout.max_new_tokens,
        "temperature": 1.0,
        "epsilon": config.clip_range,
        "shuffle_dataset": False,
        "use_transformers_continuous_batching": False,
    }


def _count_positions(_model: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Positions that skip the padding on the left, which the model itself would count.

    TRL gives no positions. Generation counts from the first token, so that they would differ.
    """
    mask_BT = kwargs.get("attention_mask")
    if mask_BT is not None and "position_ids" not in kwargs:
        kwargs["position_ids"] = (mask_BT.cumsum(dim=-1) - 1).clamp(min=0)
    return args, kwargs
