"""Means over strata: by hand, and intervals whose width can be worked out."""

import numpy as np
import pytest

from detoxlab.measures.usefulness.strata import (
    equal_weights,
    mean_over_strata,
    pooled_weights,
    strata_interval,
)

SMALL, LARGE = np.repeat([1.0, 0.0], [30, 70]), np.repeat([1.0, 0.0], [360, 40])


def test_the_interval_has_the_width_of_independent_shares() -> None:
    """Var = Σ w² p (1 − p) / n: .25 (.21 / 100 + .09 / 400) for two tasks that count alike."""
    strata = [SMALL, LARGE]
    found = strata_interval(strata, equal_weights(strata), resamples=4000)
    assert found is not None
    half = 1.96 * np.sqrt(0.25 * (0.21 / 100 + 0.09 / 400))
    assert found.value == pytest.approx(0.6)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.08)


def test_pooled_items_count_alike() -> None:
    strata = [SMALL, LARGE]
    assert mean_over_strata(strata, pooled_weights(strata)) == pytest.approx(390 / 500)


def test_strata_of_one_size_are_drawn_apart() -> None:
    """Drawn alike, the same values in both would move together, and the interval be wider."""
    twice = [SMALL, SMALL]
    found = strata_interval(twice, equal_weights(twice), resamples=4000)
    alone = strata_interval([SMALL], equal_weights([SMALL]), resamples=4000)
    assert found is not None
    assert alone is not None
    narrower = (found.high - found.low) / (alone.high - alone.low)
    assert narrower == pytest.approx(np.sqrt(0.5), rel=0.08)


def test_no_interval_with_one_item_in_a_stratum() -> None:
    strata = [SMALL, np.array([1.0])]
    assert strata_interval(strata, equal_weights(strata), resamples=100) is None
    assert strata_interval([], np.array([]), resamples=100) is None
