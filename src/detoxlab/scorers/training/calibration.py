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
    few hundred texts.
    """
    curves = [_curve(raw_N, goal_N) for raw_N, goal_N in zip(raw_NA.T, targets_NA.T, strict=True)]
    inputs_AM, outputs_AM = (np.stack(part) for part in zip(*curves, strict=True))
    return Calibration(inputs_AM, outputs_AM)


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
    outputs_M = _isotonic([goal_N[b].mean() for b in bins])
    # The outermost bins are as wide as their tails: let the curve go on along its last slope.
    low, high = raw_N.min(), raw_N.max()
    ends = [_extend(inputs_M[:2], outputs_M[:2], low), _extend(inputs_M[-2:], outputs_M[-2:], high)]
    return (
        np.concatenate([[low - 1e-6], inputs_M, [high + 1e-6]]),
        np.clip(np.concatenate([[ends[0]], outputs_M, [ends[1]]]), 0.0, 1.0),
    )


def _extend(x: FloatArray, y: FloatArray, at: float) -> float:
    """The line through two points, read at `at`."""
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
