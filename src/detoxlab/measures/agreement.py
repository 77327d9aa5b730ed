"""Agreement of two scorers: correlation, agreement at the threshold, ranking, calibration.

All functions take two arrays of equal length without NaN. They return None where a figure is
not defined, such as the correlation with a constant.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detoxlab.errors import MissingScoreError
from detoxlab.measures.statistics import CELLS_PER_CHUNK, BoolArray, FloatArray, divide


def pearson(first_N: FloatArray, second_N: FloatArray) -> float | None:
    """Linear correlation in [-1, 1]; higher means more alike.

    >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])), 12)
    0.5
    """
    _check(first_N, second_N)
    if len(first_N) < 2 or np.ptp(first_N) == 0 or np.ptp(second_N) == 0:
        return None
    first_N, second_N = first_N - first_N.mean(), second_N - second_N.mean()
    scale = np.sqrt((first_N @ first_N) * (second_N @ second_N))
    return float(np.clip(first_N @ second_N / scale, -1.0, 1.0))


def spearman(first_N: FloatArray, second_N: FloatArray) -> float | None:
    """Correlation of ranks in [-1, 1], ties at their mean rank; higher means more alike."""
    _check(first_N, second_N)
    return pearson(ranks(first_N), ranks(second_N))


def cohen_kappa(
    first_N: FloatArray, second_N: FloatArray, *, threshold: float = 0.5
) -> float | None:
    """Agreement beyond chance on "toxic at the threshold", at most 1; higher is better.

    Source: Cohen 1960. None where both call everything the same, as chance is then certain.

    >>> cohen_kappa(np.array([0.9, 0.9, 0.1, 0.1]), np.array([0.9, 0.1, 0.1, 0.1]))
    0.5
    """
    _check(first_N, second_N)
    sums = kappa_columns(first_N >= threshold, second_N >= threshold).sum(axis=0)
    value = float(kappa_of_sums(sums))
    return None if np.isnan(value) else value


def roc_auc(scores_N: FloatArray, positive_N: BoolArray) -> float | None:
    """Chance that a positive scores above a negative, ties half, in [0, 1]; higher is better.

    Source: Hanley and McNeil 1982, through the Mann–Whitney rank sum.

    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    _check(scores_N, positive_N.astype(np.float64))
    positives = int(positive_N.sum())
    negatives = len(positive_N) - positives
    if positives == 0 or negatives == 0:
        return None
    above = ranks(scores_N)[positive_N].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def calibration_error(predicted_N: FloatArray, target_N: FloatArray, *, bins: int = 15) -> float:
    """Mean over equal-count bins of |mean prediction − mean target|, in [0, 1]; lower is better.

    The bins are those of `calibration_bins`; each weighs by its count.

    >>> predicted_N, target_N = np.array([0.0, 0.2, 0.6, 0.8]), np.array([0.0, 0.0, 1.0, 1.0])
    >>> round(calibration_error(predicted_N, target_N, bins=2), 6)
    0.2
    """
    found = calibration_bins(predicted_N, target_N, bins=bins)
    gaps = (one.n * abs(one.predicted - one.target) for one in found)
    return float(sum(gaps) / len(predicted_N))


class CalibrationBin(NamedTuple):
    """The means of the predictions and targets of neighbouring predictions, and their number."""

    predicted: float
    target: float
    n: int


def calibration_bins(
    predicted_N: FloatArray, target_N: FloatArray, *, bins: int = 15
) -> list[CalibrationBin]:
    """The calibration curve: equal-count bins of the sorted predictions, lowest first.

    Where the count does not divide, the first bins hold one more; there is no empty bin.

    >>> predicted_N, target_N = np.array([0.6, 0.0, 0.2]), np.array([1.0, 0.0, 0.0])
    >>> [tuple(one) for one in calibration_bins(predicted_N, target_N, bins=2)]
    [(0.1, 0.0, 2), (0.6, 1.0, 1)]
    """
    _check(predicted_N, target_N)
    order = np.argsort(predicted_N, kind="stable")
    return [
        CalibrationBin(float(predicted_N[part].mean()), float(target_N[part].mean()), len(part))
        for part in np.array_split(order, bins)
        if len(part)
    ]


def ranks(values_N: FloatArray) -> FloatArray:
    """Rank from 1, ties at their mean rank.

    >>> ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, group_N, count_G = np.unique(values_N, return_inverse=True, return_counts=True)
    last_G = np.cumsum(count_G)
    return np.asarray((last_G - (count_G - 1) / 2)[group_N], dtype=np.float64)


def pearson_columns(first: FloatArray, second: FloatArray) -> FloatArray:
    """Each observation's part in the six sums of a correlation: (..., 6)."""
    parts = [first, second, first * first, second * second, first * second, np.ones_like(first)]
    return np.stack(parts, axis=-1)


def pearson_of_sums(sums: FloatArray) -> FloatArray:
    """Correlation from the six sums of `pearson_columns`, over the last axis."""
    x, y, xx, yy, xy, n = np.moveaxis(sums, -1, 0)
    spread = np.sqrt(_spread(x, xx, n) * _spread(y, yy, n))
    return divide(n * xy - x * y, spread)


def sums_of_pairs(
    columns: Callable[[Any, Any], FloatArray],
    first_PK: NDArray[Any],
    second_PK: NDArray[Any],
    both_PK: NDArray[np.bool_],
) -> FloatArray:
    """Each prompt's sums of `columns` (P, S) over the samples where both are known.

    Some prompts at a time: the columns of all samples would take S times the memory of the scores.
    """
    step = max(1, CELLS_PER_CHUNK // max(1, first_PK.shape[1]))
    parts = [
        (columns(first_PK[at], second_PK[at]) * both_PK[at][..., None]).sum(axis=1)
        for start in range(0, max(1, len(first_PK)), step)
        for at in (slice(start, start + step),)
    ]
    return np.concatenate(parts)


def _spread(total: FloatArray, squares: FloatArray, n: FloatArray) -> FloatArray:
    """n² times the variance; exactly 0 where only rounding errors are left of it."""
    spread = n * squares - total * total
    return np.where(spread > 1e-10 * n * squares, spread, 0.0)


def kappa_columns(first: BoolArray, second: BoolArray) -> FloatArray:
    """Each observation's part in the four sums of Cohen's kappa: (..., 4)."""
    return np.stack([first, second, first & second, np.ones_like(first)], axis=-1).astype(
        np.float64
    )


def kappa_of_sums(sums: FloatArray) -> FloatArray:
    """Cohen's kappa from the four sums of `kappa_columns`, over the last axis."""
    a, b, both, n = np.moveaxis(sums, -1, 0)
    observed = divide(n - a - b + 2 * both, n)
    chance = divide(a * b + (n - a) * (n - b), n * n)
    return divide(observed - chance, 1 - chance)


def detection_columns(found: BoolArray, true: BoolArray) -> FloatArray:
    """Each observation's part in the four sums of a detector: (..., 4).

    They are found and true, true, not found and not true, not true.
    """
    return np.stack([found & true, true, ~found & ~true, ~true], axis=-1).astype(np.float64)


def recall_of_sums(sums: FloatArray) -> FloatArray:
    """Share of the true that was found, from the sums of `detection_columns`, over the last axis.

    >>> recall_of_sums(np.array([3.0, 4.0, 5.0, 10.0])).tolist()
    0.75
    """
    return divide(sums[..., 0], sums[..., 1])


def specificity_of_sums(sums: FloatArray) -> FloatArray:
    """Share of the untrue that was not found, likewise.

    >>> specificity_of_sums(np.array([3.0, 4.0, 5.0, 10.0])).tolist()
    0.5
    """
    return divide(sums[..., 2], sums[..., 3])


def accuracy_of_sums(sums: FloatArray) -> FloatArray:
    """Share that was told right, likewise. Where few are true, "never" is right mostly.

    >>> accuracy_of_sums(np.array([3.0, 4.0, 4.0, 6.0])).tolist()
    0.7
    """
    return divide(sums[..., 0] + sums[..., 2], sums[..., 1] + sums[..., 3])


def balanced_accuracy_of_sums(sums: FloatArray) -> FloatArray:
    """Mean of recall and specificity, likewise; one half for a detector that sees nothing.

    >>> balanced_accuracy_of_sums(np.array([3.0, 4.0, 5.0, 10.0])).tolist()
    0.625
    """
    return (recall_of_sums(sums) + specificity_of_sums(sums)) / 2


def _check(first_N: FloatArray, second_N: FloatArray) -> None:
    if len(first_N) != len(second_N) or len(first_N) == 0:
        raise MissingScoreError(
            f"agreement needs two arrays of one length, got {len(first_N)} and {len(second_N)}"
        )
    if np.isnan(first_N).any() or np.isnan(second_N).any():
        raise MissingScoreError(
            "agreement: a score is missing", remedy="Keep the pairs that both scorers scored."
        )
