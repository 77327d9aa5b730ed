"""Paired differences with few prompts: the exact test, the interval that agrees with it, power."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from detoxlab.measures import paired
from detoxlab.measures.paired import (
    detectable_fall,
    direction_shown,
    paired_intervals,
    prompts_needed,
    sign_flip_exact,
    sign_flips,
)
from detoxlab.measures.statistics import Quantity, bootstrap_many, ratio


def quantity_of(change_P: np.ndarray, k: int = 1) -> Quantity:
    columns_PS = np.stack([change_P, np.full(len(change_P), k)], axis=1)
    return Quantity(columns_PS.astype(float), ratio)


def shown(change_P: np.ndarray, k: int = 1) -> int:
    (interval,) = paired_intervals([quantity_of(change_P, k)])
    assert interval is not None
    return direction_shown(interval.low, interval.high, sign_flip_exact(change_P))


@pytest.mark.parametrize("change", [(-3, 1, 2, -4, 0, -1), (2, 2, 2), (-1, 1), (-4, -4, 3, 1, -2)])
def test_sign_flips_are_counted_exactly(change: tuple[int, ...]) -> None:
    change_P = np.array(change)
    totals = [
        abs(sum(sign * size for sign, size in zip(signs, change, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(change))
    ]
    expected = np.mean([total >= abs(sum(change)) for total in totals])
    assert sign_flip_exact(change_P) == pytest.approx(expected)


def test_sign_flips_of_many_prompts_are_near_normal() -> None:
    change_P = np.random.default_rng(0).integers(-25, 26, size=30_000)
    found = sign_flip_exact(change_P)
    far = abs(int(change_P.sum())) - 1  # totals are every second whole number
    assert found == pytest.approx(2 * norm.sf(far / np.linalg.norm(change_P)), rel=1e-3)


@pytest.mark.parametrize(("falls", "rises"), [(3, 0), (6, 0), (9, 2), (5, 5), (0, 0), (40, 21)])
def test_with_one_sample_the_sign_flip_test_is_mcnemars(falls: int, rises: int) -> None:
    change_P = np.repeat([-1, 1, 0], [falls, rises, 7])
    expected = binomtest(falls, falls + rises).pvalue if falls + rises else 1.0
    assert sign_flip_exact(change_P) == pytest.approx(expected)


def test_a_published_mcnemar_example() -> None:
    # Agresti, Categorical Data Analysis: 86 against 150 changed their mind about the
    # prime minister; the exact two-sided p is 3.72e-05.
    assert sign_flip_exact(np.repeat([-1, 1], [86, 150])) == pytest.approx(3.716e-05, rel=1e-3)


@pytest.mark.parametrize("prompts", [25, 100, 1_000])
def test_three_falls_and_no_rise_show_nothing_but_six_do(prompts: int) -> None:
    three, six = (np.repeat([-1, 0], [falls, prompts - falls]) for falls in (3, 6))
    (alone,) = bootstrap_many([quantity_of(three)])
    assert alone is not None
    assert alone.high < 0  # the bootstrap alone is fooled
    assert shown(three) == 0  # p = 2 / 2^3
    assert shown(six) == -1  # p = 2 / 2^6 = .031
    assert shown(-six) == 1


def test_the_interval_excludes_0_just_where_half_the_test_rejects() -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        change_P = rng.binomial(2, 0.25, size=30) - rng.binomial(2, 0.45, size=30)
        (interval,) = paired_intervals([quantity_of(change_P, 2)])
        (alone,) = bootstrap_many([quantity_of(change_P, 2)])
        assert interval is not None
        assert alone is not None
        assert interval.low <= alone.low
        assert interval.high >= alone.high
        p_value = sign_flip_exact(change_P)
        if abs(p_value - 0.05) > 0.01:  # the interval's halves are drawn: 10,000 of them
            assert interval.excludes_zero == (alone.excludes_zero and p_value < 0.05)


@pytest.mark.parametrize("prompts", [20, 60])
def test_no_more_than_a_fortieth_of_no_changes_are_called_falls(prompts: int) -> None:
    rng = np.random.default_rng(prompts)
    comparisons = 400
    rates = rng.beta(0.1, 0.9, size=(comparisons, prompts))
    changes = rng.binomial(4, rates) - rng.binomial(4, rates)
    quantities = [quantity_of(change_P, 4) for change_P in changes]
    kept = paired_intervals(quantities, resamples=2_000)
    plain = bootstrap_many(quantities, resamples=2_000)
    false_falls = sum(one is not None and one.high < 0 for one in kept)
    assert false_falls <= comparisons / 40 + 2 * np.sqrt(comparisons / 40)
    assert false_falls < sum(one is not None and one.high < 0 for one in plain)


def test_five_prompts_have_no_interval_and_six_may() -> None:
    five, six = (quantity_of(np.full(count, -1) - np.eye(1, count)[0]) for count in (5, 6))
    assert paired_intervals([five]) == [None]
    (interval,) = paired_intervals([six])
    assert interval is not None
    assert interval.excludes_zero


def test_nothing_is_shown_where_the_exact_test_does_not_reject() -> None:
    assert direction_shown(-0.3, -0.1, 0.0501) == 0
    assert direction_shown(-0.3, -0.1, 0.05) == -1
    assert direction_shown(0.1, 0.3, None) == 1
    assert direction_shown(None, None, 0.001) == 0


def test_prompts_needed_is_that_of_a_paired_mean_and_does_not_depend_on_how_many_there_are() -> (
    None
):
    change_P = np.repeat([-1.0, 0.0, 1.0], [12, 80, 8])
    columns_PS = quantity_of(change_P).columns_PS
    # Mean −.04, variance .2 − .0016 = .1984; (1.960 + .842)² × .1984 / .0016 = 973.3.
    assert prompts_needed(columns_PS) == 974
    assert prompts_needed(np.tile(columns_PS, (3, 1))) == 974
    assert prompts_needed(np.zeros((30, 2))) is None


def test_a_detectable_fall_is_found_four_times_in_five() -> None:
    fall = detectable_fall(150, 1, 0.3, alike=True)
    assert fall is not None
    rng = np.random.default_rng(0)
    changes = (rng.random((400, 150)) < 0.3 - fall).astype(int)
    changes -= rng.random((400, 150)) < 0.3
    found = np.mean([sign_flip_exact(one) <= 0.05 and one.sum() < 0 for one in changes])
    assert 0.72 <= found <= 0.86
    alike = detectable_fall(150, 4, 0.3, alike=True)
    independent = detectable_fall(150, 4, 0.3, alike=False)
    assert alike == fall
    assert independent == detectable_fall(600, 1, 0.3, alike=True)


def test_random_signs_agree_with_all_of_them() -> None:
    rng = np.random.default_rng(3)
    for change_P in (rng.integers(-3, 4, 12), rng.integers(0, 3, 9), np.array([-1, -1, -1, 0])):
        sampled = sign_flips(change_P[:, None].astype(np.float64), resamples=20_000)[0]
        assert sampled == pytest.approx(sign_flip_exact(change_P), abs=0.015)


def test_random_signs_of_numbers_that_are_not_whole() -> None:
    change_PS = np.stack([np.linspace(0.1, 2.0, 30), np.linspace(-1, 1, 30)], axis=1)
    p_S = sign_flips(change_PS, resamples=2000)
    assert p_S[0] == pytest.approx(1 / 2001)
    assert p_S[1] == 1.0


def test_prompts_without_a_change_are_left_out_of_the_signs() -> None:
    change_PS = np.array([[0.5, np.nan, np.nan], [0.3, 0.5, np.nan], [0.4, 0.3, np.nan]])
    first, second, third = sign_flips(change_PS, resamples=4000)
    assert first == pytest.approx(0.25, abs=0.03)
    assert second == pytest.approx(0.5, abs=0.03)
    assert np.isnan(third)


def test_many_changes_are_tested_by_the_normal_distribution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    for lean in (0.5, 0.49, 0.48):
        change = np.where(rng.random(20_000) < lean, 1, -1) * rng.integers(0, 6, 20_000)
        exact = sign_flip_exact(change)
        monkeypatch.setattr(paired, "MOST_PROMPTS", 100)
        assert sign_flip_exact(change) == pytest.approx(exact, rel=1e-2, abs=1e-5)
        monkeypatch.undo()
    assert exact < 0.01


def test_the_normal_distribution_knows_the_steps_of_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "MOST_PROMPTS", 100)
    once, thrice = (np.repeat([1, -1], [230, 200]) * size for size in (1, 3))
    assert sign_flip_exact(once) == sign_flip_exact(thrice)
