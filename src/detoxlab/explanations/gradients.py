"""Attributions from gradients with respect to the input embeddings, batched over steps.

saliency                |∂F/∂x|₂ per token
input × gradient        |x ⊙ ∂F/∂x|₂ per token, or its signed sum (`dot`)
integrated gradients    Σ_k w_k (x − x') · ∂F/∂x at x' + α_k (x − x'), a signed sum

F is the target at a step. One graph serves many steps (`detoxlab.explanations.graph`); a backward
pass per step serves all rows of the batch at once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from detoxlab.explanations.graph import Line, embedded, goes_on, step_gradients
from detoxlab.explanations.reading import plain_logits, reading_alone, step_logits
from detoxlab.explanations.results import Attributed, unpadded
from detoxlab.explanations.targets import Target
from detoxlab.explanations.texts import Batch
from detoxlab.models.language_model import LanguageModel
from detoxlab.subject import Subject

SEGMENT = 10
"""Steps that share a graph where it is in one piece: later tokens cost their backward passes."""

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
        values_BST, target_BS = _summed(self.subject, batch, target, self.summary)
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
                self.subject, batch, target, _along(start_D), given_N, (start_D, at)
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


def _along(start_D: Tensor) -> Summary:
    def summed(embedded_BTD: Tensor, gradient_BTD: Tensor) -> Tensor:
        return ((embedded_BTD - start_D) * gradient_BTD).sum(dim=-1)

    return summed


def _summed(
    subject: Subject,
    batch: Batch,
    target: Target,
    summary: Summary,
    given_N: Tensor | None = None,
    line: Line = None,
) -> tuple[Tensor, Tensor]:
    """The summary of the gradients of every step (B, S, T), and the targets (B, S).

    A `given_N` of None is taken from the logits.
    """
    values_BST = torch.zeros(*batch.is_step_BS.shape, batch.ids_BT.shape[1])
    values_BST = values_BST.to(batch.lm.device, batch.lm.dtype)
    target_BS = torch.zeros_like(values_BST[..., 0])
    cut = goes_on(subject)
    for start, stop in _segments(batch, cut):
        rows, part = batch.segment(start, stop)
        given_n = None
        if given_N is not None:
            given_n = batch.by_row(given_N)[rows, start:stop][part.is_step_BS]
        found = step_gradients(subject, part, target, given_n, line, cut)
        for step, one in enumerate(found, start):
            summed_Bt = summary(one.embedded_BtD, one.gradient_BtD)
            values_BST[rows, step, : summed_Bt.shape[1]] = summed_Bt
            target_BS[rows, step] = one.value_B
    return values_BST, target_BS


def _segments(batch: Batch, cut: bool) -> Iterator[tuple[int, int]]:
    """Steps that share a graph: all of the same rows where it is cut, else `SEGMENT`."""
    steps = batch.is_step_BS.shape[1]
    starts = range(0, steps, SEGMENT)
    rows = [sum(one.steps > start for one in batch.exchanges) for start in starts]
    changes = [0, *(at for at, (a, b) in zip(starts[1:], pairwise(rows), strict=True) if a != b)]
    yield from pairwise([*(changes if cut else starts), steps])


def _values(subject: Subject, batch: Batch, target: Target, given_N: Tensor, line: Line) -> Tensor:
    """The targets (N,) at one point of the line."""
    with reading_alone(batch.lm), embedded(batch.lm, line):
        return target.value(step_logits(subject, batch), given_N)
