"""Means over strata, such as the tasks of a benchmark: items are resampled within each stratum.

The strata are all there are, and each keeps its number of items.
"""

from collections.abc import Sequence

import numpy as np

from detoxlab.measures.statistics import FloatArray, Interval, interval_from, resampled_sums
from detoxlab.records import RESAMPLES


def equal_weights(strata: Sequence[FloatArray]) -> FloatArray:
    """The weights (T,) of a mean in which all strata count the same (macro mean).

    >>> equal_weights([np.ones(3), np.ones(1)]).tolist()
    [0.5, 0.5]
    """
    return np.full(len(strata), 1 / len(strata))


def pooled_weights(strata: Sequence[FloatArray]) -> FloatArray:
    """The weights (T,) of a mean in which all items count the same (micro mean).

    >>> pooled_weights([np.ones(3), np.ones(1)]).tolist()
    [0.75, 0.25]
    """
    sizes_T = np.array([len(values_N) for values_N in strata], dtype=np.float64)
    weights_T: FloatArray = sizes_T / sizes_T.sum()
    return weights_T


def mean_over_strata(strata: Sequence[FloatArray], weights_T: FloatArray) -> float:
    """The weighted mean of the strata's means; each stratum holds the values of its items (N,).

    >>> two = [np.array([1.0, 1, 0]), np.array([1.0])]
    >>> mean_over_strata(two, equal_weights(two)), mean_over_strata(two, pooled_weights(two))
    (0.8333333333333333, 0.75)
    """
    return float(weights_T @ np.array([values_N.mean() for values_N in strata]))


def strata_interval(
    strata: Sequence[FloatArray],
    weights_T: FloatArray,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> Interval | None:
    """`mean_over_strata` with its intervals from a stratified bootstrap; BCa and percentile.

    None where a stratum has fewer than two items. Each stratum has its own resamples.

    Source: Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.2.
    """
    if not strata or min(map(len, strata)) < 2:
        return None
    value = mean_over_strata(strata, weights_T)
    columns = [values_N[:, None] for values_N in strata]
    resampled_R = strata_resamples(columns, weights_T, seed=seed, resamples=resamples)[:, 0]
    without = [
        value + weight * (values_N.mean() - values_N) / (len(values_N) - 1)
        for values_N, weight in zip(strata, weights_T, strict=True)
    ]
    return interval_from(value, resampled_R, np.concatenate(without), confidence)


def strata_resamples(
    strata: Sequence[FloatArray],
    weights_T: FloatArray,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> FloatArray:
    """`mean_over_strata` of M models on the same resamples, (resamples, M).

    Each stratum holds the values of its items by each model, (N, M).
    """
    means_RM = np.zeros((resamples, strata[0].shape[1]))
    for at, (values_NM, weight) in enumerate(zip(strata, weights_T, strict=True)):
        drawn_RM = resampled_sums(values_NM, seed=_seed(seed, at), resamples=resamples)
        means_RM += weight * drawn_RM / len(values_NM)
    return means_RM


def _seed(seed: int, stratum: int) -> int:
    """A seed of its own for each stratum, or strata of one size would be drawn alike."""
    return int(np.random.SeedSequence([seed, stratum]).generate_state(1)[0])
