"""Pareto fronts: which of several alternatives no other one beats in everything at once.

Costs are numbers of which less is better, one row per alternative. NaN is unknown: such an
alternative neither dominates nor is on the front.
"""

import numpy as np

from detoxlab.measures.statistics import CELLS_PER_CHUNK, BoolArray, FloatArray


def dominates(costs_MD: FloatArray) -> BoolArray:
    """Whether row m dominates row n, at [m, n]: nowhere worse, and better in at least one cost.

    `costs_MD` is (..., M alternatives, D costs). Equal alternatives do not dominate each other.

    Source: Ehrgott 2005, Multicriteria Optimization, definition 2.1.

    >>> dominates(np.array([[1.0, 1.0], [1.0, 2.0], [0.0, 3.0]])).tolist()
    [[False, True, False], [False, False, False], [False, False, False]]
    """
    ours, theirs = costs_MD[..., :, None, :], costs_MD[..., None, :, :]
    return np.asarray((ours <= theirs).all(axis=-1) & (ours < theirs).any(axis=-1))


def on_front(costs_MD: FloatArray) -> BoolArray:
    """Whether each alternative is dominated by none (..., M); False where a cost is unknown.

    >>> on_front(np.array([[1.0, 1.0], [1.0, 2.0], [0.0, 3.0], [np.nan, 0.0]])).tolist()
    [True, False, True, False]
    """
    known = np.isfinite(costs_MD).all(axis=-1)
    return np.asarray(known & ~dominates(costs_MD).any(axis=-2))


def front_shares(costs_RMD: FloatArray) -> FloatArray:
    """The share of R resamples in which each of M alternatives is on the front (M,).

    `costs_RMD` must hold costs of all alternatives on the same resamples, so that what they have
    in common cancels out. NaN for alternatives of which a cost is unknown in any resample.

    >>> front_shares(np.array([[[1.0, 1.0], [2.0, 2.0]], [[1.0, 2.0], [2.0, 1.0]]])).tolist()
    [1.0, 0.5]
    """
    resamples, alternatives, costs = costs_RMD.shape
    rows = max(1, CELLS_PER_CHUNK // max(1, alternatives**2 * costs))
    counts_M = np.zeros(alternatives)
    for start in range(0, resamples, rows):
        counts_M += on_front(costs_RMD[start : start + rows]).sum(axis=0)
    known_M = np.isfinite(costs_RMD).all(axis=(0, 2))
    return np.where(known_M, counts_M / max(1, resamples), np.nan)
