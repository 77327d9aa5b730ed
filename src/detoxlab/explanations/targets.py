"""Targets of attributions: functions of a step's logits that give one number per row.

A target has two parts. `given` is what it must know of each step: the token that came, or the
distribution of another model. It is taken once from the whole text, and stays the same where a
method changes the text. `value` computes the numbers from logits and from what is given.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from detoxlab.errors import ModelError
from detoxlab.explanations.reading import plain_logits
from detoxlab.explanations.texts import Batch
from detoxlab.registry import look_up
from detoxlab.subject import Subject

Value = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, V) and what is given (N, …) → one number per row (N,)."""
Given = Callable[[Batch, Tensor], Tensor]
"""A batch and the logits (N, V) of its steps → what a target must know of each step (N, …)."""


def next_tokens(batch: Batch, _logits_NV: Tensor) -> Tensor:
    """The token of each step (N,)."""
    return batch.next_BS[batch.is_step_BS]


def with_runner_up(batch: Batch, logits_NV: Tensor) -> Tensor:
    """The token of each step and the likeliest other one (N, 2)."""
    ids_N = next_tokens(batch, logits_NV)
    others_NV = logits_NV.scatter(1, ids_N[:, None], -torch.inf)
    return torch.stack([ids_N, others_NV.argmax(dim=1)], dim=1)


@dataclass(frozen=True)
class Target:
    """A quantity to attribute, with its name in results.

    `is_local` says that the given tokens' logits are enough to compute it.
    """

    name: str
    value: Value
    given: Given = next_tokens
    is_local: bool = False


def logit(logits_NV: Tensor, ids_N: Tensor) -> Tensor:
    """The logit of the token.

    >>> logit(torch.tensor([[1.0, 3.0]]), torch.tensor([1])).item()
    3.0
    """
    return logits_NV.gather(1, ids_N[:, None])[:, 0]


def log_prob(logits_NV: Tensor, ids_N: Tensor) -> Tensor:
    """The log-probability of the token, in nats, at most 0.

    >>> round(log_prob(torch.zeros(1, 4), torch.tensor([1])).exp().item(), 6)
    0.25
    """
    return logit(logits_NV, ids_N) - logits_NV.logsumexp(dim=-1)


def contrast(logits_NV: Tensor, ids_N2: Tensor) -> Tensor:
    """The logit of the first token minus that of the second: why this one rather than that.

    Source: Yin and Neubig 2022, Interpreting Language Models with Contrastive Explanations.

    >>> contrast(torch.tensor([[1.0, 3.0]]), torch.tensor([[1, 0]])).item()
    2.0
    """
    first_N, second_N = logits_NV.gather(1, ids_N2).unbind(dim=1)
    return first_N - second_N


def divergence(logits_NV: Tensor, other_NV: Tensor) -> Tensor:
    """KL(p || q), in nats, at least 0; `other_NV` are the log-probabilities of q.

    >>> divergence(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]]).log()).item()
    0.0
    """
    log_p_NV = logits_NV.log_softmax(dim=-1)
    ruled_out_NV = log_p_NV.isneginf()
    difference_NV = (log_p_NV - other_NV).masked_fill(ruled_out_NV, 0.0)
    return (log_p_NV.exp() * difference_NV).sum(dim=-1)


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "logit": Target("logit", logit, is_local=True),
        "log_prob": Target("log_prob", log_prob),
        "contrast": Target("contrast", contrast, with_runner_up, is_local=True),
    }
)


def load_target(name: str) -> Target:
    """The target of that name: logit, log_prob, or contrast (with the likeliest other token).

    Raises `UnknownNameError`.
    """
    return look_up("target", name, TARGETS)


def rather_than(token: int) -> Target:
    """Contrast with one token, the same at all steps."""

    def given(batch: Batch, logits_NV: Tensor) -> Tensor:
        ids_N = next_tokens(batch, logits_NV)
        return torch.stack([ids_N, torch.full_like(ids_N, token)], dim=1)

    return Target(f"contrast:{token}", contrast, given, is_local=True)


def divergence_from(other: Subject) -> Target:
    """KL from a model's next-token distribution to that of `other`, on the same tokens, in nats.

    Raises `ModelError` where the vocabularies differ in size.
    """

    def given(batch: Batch, logits_NV: Tensor) -> Tensor:
        others_NV = plain_logits(other, Batch.of(other.lm, batch.exchanges))
        if others_NV.shape != logits_NV.shape:
            raise ModelError(
                f"{other.id}: has {others_NV.shape[1]} tokens, {batch.lm.id} "
                f"{logits_NV.shape[1]}: their distributions cannot be compared",
                remedy="Take two models with one vocabulary.",
            )
        return others_NV.log_softmax(dim=-1)

    return Target(f"kl:{other.id}", divergence, given)
