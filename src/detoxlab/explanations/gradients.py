"""Attributions from gradients with respect to the input embeddings, batched over steps.

saliency                |∂F/∂x|₂ per token
input × gradient        |x ⊙ ∂F/∂x|₂ per token, or its signed sum (`dot`)
integrated gradients    Σ_k w_k (x − x') · ∂F/∂x at x' + α_k (x − x'), a signed sum

F is the target at a step. One forward pass over a segment of steps keeps its graph; then one
backward pass per step serves all rows of the batch at once.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from detoxlab.explanations.reading import plain_logits, reading_alone, step_logits
from detoxlab.explanations.results import Attributed, unpadded
from detoxlab.explanations.targets import Target
from detoxlab.explanations.texts import Batch
from detoxlab.models.language_model import LanguageModel, evaluation_mode
from detoxlab.subject import Subject

SEGMENT = 10
"""Steps that share a forward pass: tokens after a segment cost nothing in its backward passes."""

Summary = Callable[[Tensor, Tensor], Tensor]
"""Embeddings (B, T, D) and gradients (B, T, D) → one number per token (B, T)."""


def saliency(_embedded_BTD: Tensor, gradient_BTD: Tensor) -> Tensor:
    """|∂F/∂x|₂, at least 0. Source: Simonyan et al. 2014, Deep Inside Convolutional Networks."""
    return _length(gradient_BTD)


def input_x_gradient(embedded_BTD: Tensor, gradient_BTD: Tensor) -> Tensor:
    """|x ⊙ ∂F/∂x|₂, at least 0."""
    return _length(embedded_BTD * gradient_BTD)


def input_x_gradient_dot(embedded_BTD: Tensor, gradient_BTD: Tensor) -> Tensor:
    """x · ∂F/∂x, signed. Source: Shrikumar et al. 2017, Not Just a Black Box."""
    return (embedded_BTD * gradient_BTD).sum(dim=-1)


@dataclass(frozen=True)
class Gradients:
    """A method that makes one number per token of its embedding and its gradient."""

    subject: Subject
    summary: Summary

    def attribute(self, batch: Batch, target: Target) -> list[Attributed]:
        """The attributions of a batch, row by row; they have no completeness gap."""
        given_N = target.given(batch, plain_logits(self.subject, batch))
        values_BST, target_BS = _summed(self.subject, batch, target, given_N, self.summary)
        return unpadded(batch, values_BST, target_BS, torch.full_like(target_BS, torch.nan))


@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated gradients along the straight line from a baseline to the embeddings.

    The baseline is the mean embedding of the vocabulary, or that of the padding token, for every
    token before the step. It is never zero: on models with RMS norms the gap is then large.
    The points, those of Gauss and Legendre, are doubled from `points` to at most `most` until
    the scores sum to F(x) − F(x') within `tolerance` of it; `gap_S` is what they miss. A step
    whose gap stays larger keeps it, and must not be trusted.

    Source: Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks, equation 1.
    """

    subject: Subject
    baseline: Literal["mean", "pad"] = "mean"
    points: int = 16
    most: int = 128
    tolerance: float = 0.01

    def attribute(self, batch: Batch, target: Target) -> list[Attributed]:
        """The attributions of a batch, row by row; rows that miss the tolerance are done again."""
        found: dict[int, Attributed] = {}
        waiting, points = list(range(len(batch.exchanges))), self.points
        while waiting and points <= self.most:
            part = Batch.of(batch.lm, [batch.exchanges[at] for at in waiting])
            found |= dict(zip(waiting, self._with_points(part, target, points), strict=True))
            waiting = [at for at in waiting if not (found[at].gap_S <= self.tolerance).all()]
            points *= 2
        return [found[at] for at in range(len(batch.exchanges))]

    def _with_points(self, batch: Batch, target: Target, points: int) -> list[Attributed]:
        given_N = target.given(batch, plain_logits(self.subject, batch))
        start_D = baseline_embedding(batch.lm, self.baseline)
        values_BST = torch.zeros(1, device=batch.lm.device)
        for at, weight in zip(*gauss_legendre(points), strict=True):
            summed_BST, _ = _summed(
                self.subject, batch, target, given_N, _along(start_D), line=(start_D, at)
            )
            values_BST = values_BST + weight * summed_BST
        ends = [
            _values(self.subject, batch, target, given_N, line=(start_D, at)) for at in (1.0, 0.0)
        ]
        change_BS = batch.by_row(ends[0] - ends[1])
        missed_BS = (values_BST.sum(-1) - change_BS).abs()
        gap_BS = missed_BS / change_BS.abs().clamp(min=1e-6)
        return unpadded(batch, values_BST, batch.by_row(ends[0]), gap_BS)


def gauss_legendre(points: int) -> tuple[list[float], list[float]]:
    """Places and weights on [0, 1] that integrate polynomials up to degree 2 × points − 1 exactly.

    >>> places, weights = gauss_legendre(2)
    >>> round(sum(w * x**3 for x, w in zip(places, weights)), 6), round(sum(weights), 6)
    (0.25, 1.0)
    """
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return ((nodes + 1) / 2).tolist(), (weights / 2).tolist()


def baseline_embedding(lm: LanguageModel, kind: Literal["mean", "pad"]) -> Tensor:
    """The embedding (D,) from which the line begins, as the embedding layer gives it."""
    layer = lm.model.get_input_embeddings()
    with torch.no_grad():
        if kind == "pad":
            start_D: Tensor = layer(torch.tensor([lm.pad_id], device=lm.device))[0]
            return start_D
        every_V = torch.arange(lm.embedding_rows, device=lm.device)
        mean_D: Tensor = layer(every_V).mean(dim=0)
        return mean_D


# --- inside ---


def _length(vectors_BTD: Tensor) -> Tensor:
    return vectors_BTD.square().sum(dim=-1).sqrt()


Line = tuple[Tensor, float] | None
"""A baseline (D,) and how far along from it to the embeddings; None: the embeddings themselves."""


def _along(start_D: Tensor) -> Summary:
    def summed(embedded_BTD: Tensor, gradient_BTD: Tensor) -> Tensor:
        return ((embedded_BTD - start_D) * gradient_BTD).sum(dim=-1)

    return summed


def _summed(
    subject: Subject,
    batch: Batch,
    target: Target,
    given_N: Tensor,
    summary: Summary,
    line: Line = None,
) -> tuple[Tensor, Tensor]:
    """The summary of the gradients of every step (B, S, T), and the targets (B, S)."""
    steps = batch.is_step_BS.shape[1]
    values_BST = torch.zeros(*batch.is_step_BS.shape, batch.ids_BT.shape[1])
    values_BST = values_BST.to(batch.lm.device, batch.lm.dtype)
    target_BS = torch.zeros_like(values_BST[..., 0])
    given_BS = batch.by_row(given_N)
    for start in range(0, steps, SEGMENT):
        stop = min(start + SEGMENT, steps)
        rows, part = batch.segment(start, stop)
        given_n = given_BS[rows, start:stop][part.is_step_BS]
        for at, embedded_BTD, gradient_BTD, target_B in _gradients(
            subject, part, target, given_n, line
        ):
            summed_BT = summary(embedded_BTD, gradient_BTD)
            values_BST[rows, start + at, : summed_BT.shape[1]] = summed_BT
            target_BS[rows, start + at] = target_B
    return values_BST, target_BS


def _values(subject: Subject, batch: Batch, target: Target, given_N: Tensor, line: Line) -> Tensor:
    """The targets (N,) at one point of the line."""
    with reading_alone(batch.lm), _embedded(batch.lm, line):
        return target.value(step_logits(subject, batch), given_N)


def _gradients(
    subject: Subject, part: Batch, target: Target, given_N: Tensor, line: Line
) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """Step of the batch, embeddings (B, T, D), their gradients (B, T, D), and the targets (B,)."""
    with evaluation_mode(part.lm.model), torch.enable_grad():
        with _embedded(part.lm, line) as inputs:
            values_N = target.value(step_logits(subject, part), given_N)
        values_BS = part.by_row(values_N)
        steps = values_BS.shape[1]
        for at in range(steps):
            (gradient_BTD,) = torch.autograd.grad(
                values_BS[:, at].sum(), inputs["used"], retain_graph=at + 1 < steps
            )
            yield at, inputs["own"], gradient_BTD, values_BS[:, at].detach()


@contextlib.contextmanager
def _embedded(lm: LanguageModel, line: Line) -> Iterator[dict[str, Tensor]]:
    """The `own` embeddings of the forward pass in the block, and those `used`, with gradient."""
    inputs: dict[str, Tensor] = {}

    def replace(_module: Any, _args: Any, output: Tensor) -> Tensor:
        own_BTD = output.detach()
        used_BTD = own_BTD.clone() if line is None else torch.lerp(line[0], own_BTD, line[1])
        inputs.update(own=own_BTD, used=used_BTD.requires_grad_(torch.is_grad_enabled()))
        return inputs["used"]

    handle = lm.model.get_input_embeddings().register_forward_hook(replace)
    try:
        yield inputs
    finally:
        handle.remove()
