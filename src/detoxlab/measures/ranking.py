"""ROC-AUC with intervals: a bootstrap over items, paired where two models ranked the same ones.

The area is no function of sums over items, so the resamples weigh the items instead: in the
Mann–Whitney statistic each item counts as often as it was drawn.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detoxlab.errors import MissingScoreError
from detoxlab.measures.statistics import (
    CELLS_PER_CHUNK,
    BoolArray,
    FloatArray,
    Interval,
    divide,
    interval_from,
    resampled_counts,
)
from detoxlab.records import RESAMPLES

IntArray = NDArray[np.int64]
OfWeights = Callable[[FloatArray], FloatArray]


def roc_auc_interval(
    scores_N: FloatArray,
    positive_N: BoolArray,
    *,
    units_N: IntArray | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """ROC-AUC in [0, 1] with its intervals over N items; higher is better.

    Items that depend on each other, as the turns of a dialogue do, have one number in `units_N`
    (0 to U − 1): then units are drawn in place of items. None where no interval can be given, such
    as without two items of each class. Raises `MissingScoreError` on NaN.

    >>> scores_N = np.concatenate([np.arange(40.0), np.arange(40.0) + 20])
    >>> interval = roc_auc_interval(scores_N, np.arange(80) >= 40)
    >>> round(interval.value, 3), interval.low < 0.875 < interval.high
    (0.875, True)
    """
    of_items = ranking(scores_N, positive_N)
    if units_N is None:
        return _bootstrapped(of_items, len(scores_N), seed, resamples)
    return _bootstrapped(
        lambda weights_RU: of_items(weights_RU[:, units_N]), int(units_N.max()) + 1, seed, resamples
    )


def roc_auc_difference(
    baseline_N: FloatArray,
    treated_N: FloatArray,
    positive_N: BoolArray,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """ROC-AUC of `treated_N` minus that of `baseline_N` on the same items, in [-1, 1].

    Both are resampled together. None and errors as in `roc_auc_interval`.
    """
    before, after = ranking(baseline_N, positive_N), ranking(treated_N, positive_N)
    return _bootstrapped(
        lambda weights_RN: after(weights_RN) - before(weights_RN), len(positive_N), seed, resamples
    )


def ranking(scores_N: FloatArray, positive_N: BoolArray) -> OfWeights:
    """The function from weights of the items (R, N) to ROC-AUC (R,); ties count half.

    NaN where all the weight is on one class. Raises `MissingScoreError` on NaN scores or
    arrays of unlike length.

    Source: Hanley and McNeil 1982, with each item counted as often as its weight says.

    >>> of_weights = ranking(np.array([0.1, 0.4, 0.3]), np.array([False, True, False]))
    >>> of_weights(np.array([[1.0, 1, 1], [0, 1, 1], [1, 0, 1]])).tolist()
    [1.0, 1.0, nan]
    """
    if len(scores_N) != len(positive_N) or not len(scores_N) or np.isnan(scores_N).any():
        raise MissingScoreError(
            f"ROC-AUC needs a score for each of {len(positive_N)} items",
            remedy="Set the items aside that could not be scored.",
        )
    order = np.argsort(scores_N, kind="stable")
    sorted_N, positive_N = scores_N[order], positive_N[order]
    starts_G = np.flatnonzero(np.diff(sorted_N, prepend=np.nan) != 0)

    def of_weights(weights_RN: FloatArray) -> FloatArray:
        weights_RN = weights_RN[:, order]
        positives_RG = np.add.reduceat(weights_RN * positive_N, starts_G, axis=1)
        negatives_RG = np.add.reduceat(weights_RN * ~positive_N, starts_G, axis=1)
        below_RG = np.cumsum(negatives_RG, axis=1) - negatives_RG / 2
        above_R = (positives_RG * below_RG).sum(axis=1)
        return divide(above_R, positives_RG.sum(axis=1) * negatives_RG.sum(axis=1))

    return of_weights


def _bootstrapped(statistic: OfWeights, items: int, seed: int, resamples: int) -> Interval | None:
    """BCa and percentile interval of a statistic of the items' weights."""
    resampled_R = np.concatenate(
        [statistic(counts) for counts in resampled_counts(items, seed=seed, resamples=resamples)]
    )
    rows = max(1, CELLS_PER_CHUNK // items)
    left_out = [
        1.0 - np.eye(min(rows, items - start), items, k=start) for start in range(0, items, rows)
    ]
    without_N = np.concatenate([statistic(weights) for weights in left_out])
    value = float(statistic(np.ones((1, items)))[0])
    return interval_from(value, resampled_R, without_N)
