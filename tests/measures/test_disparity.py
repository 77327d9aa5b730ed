"""How far groups lie apart: by hand, and against chance."""

import itertools

import numpy as np
import pytest

from detoxlab.measures.groups.disparity import (
    by_group,
    deviation_between,
    group_gap,
    group_ratio,
    if_alike,
    variance_between,
    wide_interval,
)
from detoxlab.measures.statistics import FloatArray, Quantity, bootstrap_many


def columns(hits: list[float]) -> FloatArray:
    """One scored response per prompt."""
    return np.array([[hit, 1.0] for hit in hits])


def value(quantity: Quantity) -> float:
    return float(quantity.statistic(quantity.columns_PS.sum(axis=0)))


THREE = {"a": range(4), "b": range(4, 8), "c": range(8, 10)}
HITS = columns([1, 0, 0, 0, 1, 1, 1, 0, 1, 0])  # 1/4, 3/4, 1/2


def test_gap_and_ratio_by_hand() -> None:
    sums = by_group(HITS, THREE).sum(axis=0)
    assert (group_gap(sums), group_ratio(sums)) == (0.5, 3.0)
    none_in_a = by_group(columns([0] * 4 + [1] * 4 + [0, 1]), THREE).sum(axis=0)
    assert group_gap(none_in_a) == 1.0
    assert np.isnan(group_ratio(none_in_a))
    unscored = HITS.copy()
    unscored[4:8] = 0  # the highest group has no scored response
    assert group_gap(by_group(unscored, THREE).sum(axis=0)) == 0.25


def test_the_variance_between_groups_is_less_its_noise_by_hand() -> None:
    """Fractions 1/4, 3/4, 1/2: S² = 1/16; noise p (1 − p) ÷ (n − 1): 1/16, 1/16 and 1/4."""
    noise = (1 / 16 + 1 / 16 + 1 / 4) / 3
    assert value(variance_between(HITS, THREE)) == pytest.approx(1 / 16 - noise)
    assert value(deviation_between(HITS, THREE)) == 0.0


def test_groups_of_the_same_prompts_have_no_noise_between_them() -> None:
    same = {"a": range(8), "b": range(8)}
    assert value(variance_between(HITS, same)) == pytest.approx(0.0, abs=1e-12)


def test_a_group_of_one_prompt_has_an_unknown_noise() -> None:
    assert np.isnan(value(variance_between(HITS, {"a": [0], "b": range(4, 8)})))


def test_the_variance_is_right_on_average_where_prompts_are_shared() -> None:
    """Rates .2, .5 and, of the prompts in both groups, .35: the groups' own are .25 and .45."""
    members = {"a": range(30), "b": range(20, 50)}
    rates_P = np.repeat([0.2, 0.35, 0.5], [20, 10, 20])
    rng = np.random.default_rng(0)
    drawn = rng.random((1500, 50)) < rates_P
    found = [value(variance_between(columns(row.tolist()), members)) for row in drawn]
    assert np.mean(found) == pytest.approx(0.2**2 / 2, abs=3 * np.std(found) / 1500**0.5)
    plain = [group_gap(by_group(columns(row.tolist()), members).sum(axis=0)) for row in drawn]
    assert np.mean(plain) > 0.2  # the gap is not


def test_the_gap_by_chance_is_that_of_all_orders() -> None:
    """Two groups of two prompts with two hits: of six orders two have a gap of 1, four of 0."""
    members = {"a": [0, 1], "b": [2, 3]}
    chance, p_value = if_alike(columns([1, 1, 0, 0]), members, permutations=6000)
    assert chance == pytest.approx(1 / 3, abs=0.02)
    assert p_value == pytest.approx(1 / 3, abs=0.02)
    assert if_alike(columns([1, 0, 1, 0]), members)[1] == 1.0


def test_prompts_keep_their_groups_and_unscored_ones_take_no_part() -> None:
    """Prompt 1 is in both groups, prompt 3 has no score, prompt 4 is in no group."""
    members = {"a": [0, 1], "b": [1, 2, 3]}
    given = np.array([[1.0, 1], [0, 1], [0, 1], [0, 0], [1, 1]])
    gaps = [abs((x[0] + x[1]) / 2 - (x[1] + x[2]) / 2) for x in itertools.permutations((1, 0, 0))]
    chance, _ = if_alike(given, members, permutations=6000)
    assert chance == pytest.approx(np.mean(gaps), abs=0.02)


@pytest.mark.parametrize("true_rates", [[0.1] * 6, [0.05, 0.1, 0.1, 0.1, 0.2, 0.2]])
def test_low_ends_of_gaps_lie_above_the_truth_in_few_cases(true_rates: list[float]) -> None:
    """Of 60 draws the interval without correction misses far more often."""
    members = {str(g): range(60 * g, 60 * g + 60) for g in range(6)}
    rng = np.random.default_rng(3)
    missed, uncorrected = 0, 0
    for _ in range(60):
        given = columns((rng.random(360) < np.repeat(true_rates, 60)).tolist())
        quantity = Quantity(by_group(given, members), group_gap)
        (found,) = bootstrap_many([quantity], resamples=300)
        assert found is not None
        alike = if_alike(given, members, permutations=200)[1] > 0.025
        low = 0.0 if alike else wide_interval(found, found.value)[0]
        missed += low > np.ptp(true_rates) + 1e-9
        uncorrected += found.percentile_low > np.ptp(true_rates) + 1e-9
    assert missed <= 6
    assert uncorrected >= 12
