"""Fits calibration curves and thresholds to outputs for texts that nothing was trained on."""

import numpy as np

from detoxlab.measures.statistics import BoolArray
from detoxlab.scorers.base import FloatArray
from detoxlab.scorers.calibration import Calibration

KNOTS = 24
DIGITS = 6  # of a knot


def fit_calibration(raw_NA: FloatArray, targets_NA: FloatArray) -> Calibration:
    """One increasing curve per attribute: isotonic regression of the means of equal-count bins.

    A target of NaN is no label. Bins first: a curve through every point would follow the noise of a
    few hundred texts. Lines join the middles of its steps.
    """
    curves = [_curve(raw_N, goal_N) for raw_N, goal_N in zip(raw_NA.T, targets_NA.T, strict=True)]
    inputs_AM, outputs_AM = (np.stack(part) for part in zip(*curves, strict=True))
    return Calibration(inputs_AM, outputs_AM)


def at_prevalence(
    curves: Calibration, share_A: FloatArray, prevalence_A: FloatArray
) -> Calibration:
    """Curves for texts of which another share is positive, (attributes,) each; NaN changes none.

    `share_A` is the share of the texts that the curves were fitted to. The odds of every
    probability change by the ratio of the two odds: right where only the shares differ, and
    positive and negative texts look as they did.

    Source: Saerens et al. 2002, Adjusting the Outputs of a Classifier to New a Priori
    Probabilities, equation 2.4.

    >>> curves = Calibration(np.array([[-1.0, 1.0]]), np.array([[0.2, 0.8]]))
    >>> rare = at_prevalence(curves, np.array([0.5]), np.array([0.2]))
    >>> rare.outputs_AM.round(3).tolist()
    [[0.059, 0.5]]
    """
    odds_A = (prevalence_A / (1 - prevalence_A)) / (share_A / (1 - share_A))
    moved_AM = curves.outputs_AM * odds_A[:, None]
    moved_AM /= moved_AM + 1 - curves.outputs_AM
    return Calibration(
        curves.inputs_AM, np.where(np.isnan(odds_A)[:, None], curves.outputs_AM, moved_AM)
    )


def best_threshold(scores_N: FloatArray, positive_N: BoolArray) -> float:
    """The score from which on a text counts as positive, with the highest F1; .5 without a class.

    It lies half-way between two neighbouring scores.

    >>> best_threshold(np.array([0.1, 0.3, 0.6, 0.8]), np.array([False, False, True, True]))
    0.45
    """
    if positive_N.all() or not positive_N.any():
        return 0.5
    order = np.argsort(-scores_N, kind="stable")
    sorted_N, hits_N = scores_N[order], np.cumsum(positive_N[order])
    f1_N = 2 * hits_N / (np.arange(1, len(hits_N) + 1) + positive_N.sum())
    ends_N = np.append(sorted_N[1:] < sorted_N[:-1], True)
    best = int(np.argmax(np.where(ends_N, f1_N, -1.0)))
    below = sorted_N[best + 1] if best + 1 < len(sorted_N) else 0.0
    return round(float(sorted_N[best] + below) / 2, DIGITS)


def strict_threshold(scores_N: FloatArray, positive_N: BoolArray, false_marks: float) -> float:
    """The lowest score from which on at most that share of the texts that are not positive counts.

    It lies half-way between two neighbouring scores; .5 where every text is positive.

    >>> scores_N = np.array([0.1, 0.3, 0.6, 0.8])
    >>> strict_threshold(scores_N, np.array([False, False, False, True]), 0.34)
    0.45
    """
    if positive_N.all():
        return 0.5
    highest_N = np.sort(scores_N[~positive_N])[::-1]
    allowed = int(false_marks * len(highest_N))
    if allowed >= len(highest_N):
        return 0.0
    edge = highest_N[allowed]  # the first that must not be marked
    above_N = scores_N[scores_N > edge]
    above = above_N.min() if above_N.size else 1.0
    return round(float(edge + above) / 2, DIGITS)


def _curve(raw_N: FloatArray, goal_N: FloatArray) -> tuple[FloatArray, FloatArray]:
    known_N = ~np.isnan(goal_N)
    raw_N, goal_N = raw_N[known_N], goal_N[known_N]
    order = np.argsort(raw_N, kind="stable")
    bins = np.array_split(order, min(KNOTS, len(order)))
    # Fewer texts than knots: the last knot stands there several times, a little apart.
    bins += [bins[-1]] * (KNOTS - len(bins))
    inputs_M = np.array([raw_N[b].mean() for b in bins])
    inputs_M += np.arange(KNOTS) * 1e-9
    low, high = raw_N.min() - 1e-6, raw_N.max() + 1e-6
    x, y = _blocks(inputs_M, _isotonic([goal_N[b].mean() for b in bins]))
    # The outermost blocks are as wide as their tails: let the curve go on along its last slope.
    x_ends = np.concatenate([[low], x, [high]])
    y_ends = np.concatenate([[_extend(x[:2], y[:2], low)], y, [_extend(x[-2:], y[-2:], high)]])
    knots_M = np.concatenate([[low], inputs_M, [high]])
    return knots_M, np.interp(knots_M, x_ends, np.clip(y_ends, 0.0, 1.0))


def _blocks(inputs_M: FloatArray, outputs_M: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The middle and the height of each stretch of equal outputs: lines join them.

    A stair would give many texts one score, and hide how they differ.
    """
    starts = np.flatnonzero(np.diff(outputs_M, prepend=-1.0))
    middles = [part.mean() for part in np.split(inputs_M, starts[1:])]
    return np.array(middles), outputs_M[starts]


def _extend(x: FloatArray, y: FloatArray, at: float) -> float:
    """The line through two points, read at `at`; level where there is one."""
    if len(x) == 1:
        return float(y[0])
    return float(y[0] + (y[1] - y[0]) * (at - x[0]) / max(x[1] - x[0], 1e-6))


def _isotonic(means: list[float]) -> FloatArray:
    """The increasing sequence nearest to `means` (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for mean in means:
        blocks.append([mean, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2], blocks.pop()
            blocks[-1] = [(a * n + b * m) / (n + m), n + m]
    return np.concatenate([[value] * int(n) for value, n in blocks])
