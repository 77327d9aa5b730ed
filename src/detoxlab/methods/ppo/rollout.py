"""The experience of a step of PPO: responses of the policy, rewarded and compared.

Imports torch and peft, which takes seconds: import this file only to train.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detoxlab import processes
from detoxlab.generate import LocalEngine
from detoxlab.methods.feedback.reward import Rewards
from detoxlab.methods.feedback.rollout import prompts_of_step, steps_per_pass
from detoxlab.methods.ppo.config import PPOConfig
from detoxlab.methods.ppo.losses import (
    entropy,
    gae,
    kl_estimate,
    log_probs_of,
    masked_mean,
    penalised_rewards,
    whitened,
)
from detoxlab.methods.ppo.policy import Policy, Response
from detoxlab.processes.sharding import in_step
from detoxlab.records import Generation, Prompt
from detoxlab.subject import Subject

Item = TypeVar("Item")
RewardFunction = Callable[[Sequence[Prompt], Sequence[Generation]], Rewards]


@dataclass(frozen=True)
class Draws:
    """Responses of the policy with their prompts, as text and as token ids."""

    prompts: list[Prompt]
    generations: list[Generation]
    responses: list[Response]

    @property
    def tokens(self) -> int:
        """The number of tokens read and drawn, padding excluded."""
        return sum(len(one.context) + len(one.drawn) for one in self.responses)

    def log(self) -> dict[str, float]:
        """Mean length in tokens, and the share that hit the limit."""
        return {
            "response_length": float(np.mean([len(one.drawn) for one in self.responses])),
            "capped": float(np.mean([one.finish_reason == "length" for one in self.generations])),
        }


class Sampler:
    """Draws the responses of each step from the policy itself: temperature 1, nothing cut off.

    The prompts of a step and the noise of its draws follow from the seed and the step alone,
    so that a resumed training draws the same responses.
    """

    def __init__(self, policy: Policy, config: PPOConfig, prompts: Sequence[Prompt]) -> None:
        self.lm = lm = policy.lm
        markers = lm.next_turn_markers if config.chat else ()
        self.engine = LocalEngine(Subject(lm), chat=config.chat, next_turn_markers=markers)
        self.sampling = config.rollout.sampling(config.seed)
        self.prompts = prompts
        self.count = config.rollout.prompts
        self.engine.batches(prompts, self.sampling)  # chooses the batch size, warns of long prompts

    @property
    def steps_per_pass(self) -> int:
        """Steps of one pass over the prompts."""
        return steps_per_pass(len(self.prompts), self.count)

    def draw(self, step: int) -> Draws:
        """The responses of a step, k for each of its prompts."""
        asked = prompts_of_step(self.prompts, step, self.count, self.sampling.seed)
        self.engine.iteration = step
        generations: list[Generation] = []
        with in_step(self.lm.bare):
            for batch in chunks(processes.share(asked), self.engine.batch_size or len(asked)):
                generations += self.engine.generate(batch, self.sampling)
        generations = processes.gathered(generations)
        repeated = [prompt for prompt in asked for _ in range(self.sampling.k)]
        contexts = [self.engine.context_ids(prompt, self.sampling) for prompt in repeated]
        drawn = [one.token_ids for one in generations]
        responses = [Response(*ids) for ids in zip(contexts, drawn, strict=True)]
        return Draws(repeated, generations, responses)


@dataclass(frozen=True)
class Experience:
    """N responses with log-probabilities, values and advantages of the policy that drew them.

    Tensors are (N, T). Responses end at the last position. Advantages and returns are 0 in the
    padding; the other tensors hold anything there.
    """

    responses: list[Response]
    mask_NT: Tensor
    log_probs_NT: Tensor
    reference_NT: Tensor
    values_NT: Tensor
    entropy_NT: Tensor
    advantages_NT: Tensor
    returns_NT: Tensor

    def rows(self, rows: Sequence[int]) -> "Experience":
        """Some of the responses, as wide as the longest of them."""
        responses = [self.responses[row] for row in rows]
        width = max(len(one.drawn) for one in responses)
        index = torch.tensor(list(rows), device=self.mask_NT.device)
        parts = {name: tensor[index][:, -width:] for name, tensor in self._tensors()}
        return Experience(responses, **parts)

    def log(self) -> dict[str, float]:
        """KL to the reference and entropy of the policy, nats per token."""
        kl_NT = kl_estimate(self.log_probs_NT, self.reference_NT)
        return {
            "kl": masked_mean(kl_NT, self.mask_NT).item(),
            "entropy": masked_mean(self.entropy_NT, self.mask_NT).item(),
        }

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, value) for name, value in vars(self).items() if name != "responses")


@torch.no_grad()
def gather_experience(
    policy: Policy,
    responses: list[Response],
    rewards_N: NDArray[np.float64],
    config: PPOConfig,
    beta: float,
) -> Experience:
    """Log-probabilities under policy and reference, values, and the advantages that follow.

    Log-probabilities are computed anew rather than taken from the sampler, by the same forward
    pass that the updates use: before the first update every ratio is 1.
    """
    seen = _seen(policy, responses, config.batch_size)
    mask_NT, values_NT = seen["mask_NT"], seen["values_NT"]
    kl_NT = kl_estimate(seen["log_probs_NT"], seen["reference_NT"])
    rewards = torch.as_tensor(rewards_N, dtype=torch.float32, device=kl_NT.device)
    advantages_NT = gae(
        penalised_rewards(rewards, kl_NT, mask_NT, beta),
        values_NT,
        mask_NT,
        gamma=config.gamma,
        lam=config.gae_lambda,
    )
    returns_NT = (advantages_NT + values_NT).masked_fill(~mask_NT, 0.0)
    if config.whiten_advantages:
        advantages_NT = whitened(advantages_NT, mask_NT)
    return Experience(responses, **seen, advantages_NT=advantages_NT, returns_NT=returns_NT)


def _seen(policy: Policy, responses: list[Response], size: int) -> dict[str, Tensor]:
    """Policy and reference on all responses, `size` at a time; tensors (N, T) by name.

    Each process computes a share.
    """
    width = max(len(one.drawn) for one in responses)
    size = math.ceil(size / processes.count())
    with in_step(policy.lm.bare):
        parts = [_seen_at_once(policy, rows) for rows in chunks(processes.share(responses), size)]
    parts = processes.gathered(parts)
    whole = {name: torch.cat([_padded(part[name], width) for part in parts]) for name in parts[0]}
    return {name: values_NT.to(policy.lm.device) for name, values_NT in whole.items()}


def _seen_at_once(policy: Policy, responses: Sequence[Response]) -> dict[str, Tensor]:
    """The same of a few responses, on the CPU, where processes can exchange them."""
    batch = policy.batch(responses)
    outputs = policy.forward(batch)
    seen = {
        "mask_NT": batch.mask_BT,
        "log_probs_NT": log_probs_of(outputs.logits_BTV, batch.tokens_BT),
        "reference_NT": log_probs_of(policy.reference_logits(batch), batch.tokens_BT),
        "values_NT": outputs.values_BT,
        "entropy_NT": entropy(outputs.logits_BTV),
    }
    return {name: values.cpu() for name, values in seen.items()}


def _padded(values_BT: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(values_BT, (width - values_BT.shape[1], 0))


def chunks(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """The items in order, `size` at a time.

    >>> chunks([1, 2, 3], 2)
    [[1, 2], [3]]
    """
    return [items[start : start + size] for start in range(0, len(items), size)]
