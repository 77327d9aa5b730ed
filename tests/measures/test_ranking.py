"""ROC-AUC with weights and intervals, against the unweighted area and hand counts."""

import numpy as np
import pytest

from detoxlab.errors import MissingScoreError
from detoxlab.measures import roc_auc
from detoxlab.measures.ranking import ranking, roc_auc_difference, roc_auc_interval

RNG = np.random.default_rng(0)
POSITIVE_N = RNG.random(300) < 0.4
GOOD_N = np.round(RNG.normal(POSITIVE_N * 1.0), 1)  # rounded: with ties
BAD_N = np.round(GOOD_N + RNG.normal(scale=2, size=300), 1)


def test_equal_weights_give_the_plain_area() -> None:
    value = ranking(GOOD_N, POSITIVE_N)(np.full((1, 300), 3.0))[0]
    assert value == pytest.approx(roc_auc(GOOD_N, POSITIVE_N), abs=1e-12)


def test_a_weight_is_a_repetition() -> None:
    counts_N = RNG.integers(0, 4, 300)
    repeated = roc_auc(np.repeat(GOOD_N, counts_N), np.repeat(POSITIVE_N, counts_N))
    assert ranking(GOOD_N, POSITIVE_N)(counts_N[None].astype(float))[0] == pytest.approx(repeated)


def test_ties_count_half() -> None:
    of_weights = ranking(np.array([1.0, 1.0, 0.0]), np.array([True, False, False]))
    assert of_weights(np.ones((1, 3))).tolist() == [0.75]


def test_the_interval_holds_the_area_and_narrows_with_items() -> None:
    some = roc_auc_interval(GOOD_N[:100], POSITIVE_N[:100], resamples=2000)
    every = roc_auc_interval(GOOD_N, POSITIVE_N, resamples=2000)
    assert some is not None
    assert every is not None
    assert every.low < every.value < every.high
    assert every.high - every.low < some.high - some.low
    # Hanley and McNeil 1982, eq. 2, as an independent standard error
    area, n, m = every.value, POSITIVE_N.sum(), (~POSITIVE_N).sum()
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt(
        (area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m)
    )
    assert (every.high - every.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.15)


def test_a_paired_difference_is_that_of_the_areas() -> None:
    interval = roc_auc_difference(GOOD_N, BAD_N, POSITIVE_N, resamples=2000)
    good, bad = roc_auc(GOOD_N, POSITIVE_N), roc_auc(BAD_N, POSITIVE_N)
    assert interval is not None
    assert good is not None
    assert bad is not None
    assert interval.value == pytest.approx(bad - good)
    assert interval.high < 0
    same = roc_auc_difference(GOOD_N, GOOD_N, POSITIVE_N, resamples=200)
    assert same is not None
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_pairing_is_narrower_than_two_separate_intervals() -> None:
    close_N = GOOD_N + RNG.normal(scale=0.05, size=300)
    paired = roc_auc_difference(GOOD_N, close_N, POSITIVE_N, resamples=1000)
    alone = roc_auc_interval(GOOD_N, POSITIVE_N, resamples=1000)
    assert paired is not None
    assert alone is not None
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_without_both_classes_or_with_a_missing_score() -> None:
    assert roc_auc_interval(np.arange(4.0), np.ones(4, dtype=bool), resamples=100) is None
    with pytest.raises(MissingScoreError, match="a score for each of 2 items"):
        roc_auc_interval(np.array([0.1, np.nan]), np.array([True, False]))
