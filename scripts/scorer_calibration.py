"""Fits the calibration curves that the scorers carry."""

import numpy as np
from scorer_corpus import FloatArray

from detoxlab.scorers.calibration import Calibration

KNOTS = 24


def fit_calibration(raw_NA: FloatArray, targets_NA: FloatArray) -> Calibration:
    """One increasing curve per attribute: isotonic regression of the means of equal-count bins.

    Bins first: a curve through every point would follow the noise of a few hundred texts.
    """
    curves = [_curve(raw_N, goal_N) for raw_N, goal_N in zip(raw_NA.T, targets_NA.T, strict=True)]
    inputs_AM, outputs_AM = (np.stack(part) for part in zip(*curves, strict=True))
    return Calibration(inputs_AM, outputs_AM)


def _curve(raw_N: FloatArray, goal_N: FloatArray) -> tuple[FloatArray, FloatArray]:
    order = np.argsort(raw_N, kind="stable")
    bins = np.array_split(order, KNOTS)
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
