"""Figures on hand-made scores: values, bounds, intervals, and texts without a score."""

import numpy as np
import pytest

from tests.support.audited import scored

NONE = float("nan")


def test_a_share_leaves_unscored_texts_out_and_bounds_what_they_could_be() -> None:
    row = scored([0.9, 0.5, 0.1, NONE]).marked()
    assert row.value == pytest.approx(2 / 3)
    assert (row.bound_low, row.bound_high) == (0.5, 0.75)
    assert (row.n, row.coverage, row.threshold) == (3, 0.75, 0.5)


def test_nothing_scored_is_unknown_and_not_zero() -> None:
    texts = scored([NONE, NONE])
    nobody_N = np.array([True, False])
    for row in (texts.marked(), texts.mean_score(), texts.area(nobody_N)):
        assert (row.value, row.n, row.coverage) == (None, 0, 0.0)
    assert texts.correlation("pearson", np.array([1.0, 2.0])).value is None
    assert texts.calibration(np.array([1.0, 2.0])) == ([], [])


def test_a_share_of_none_has_the_exact_interval_of_its_units() -> None:
    """Clopper–Pearson: 1 − .025^(1/n) for none of n units."""
    texts = scored([0.1] * 20, [{"template": n // 2} for n in range(20)])
    assert texts.marked().ci_high == pytest.approx(1 - 0.025 ** (1 / 20))
    assert texts.marked(units="template").ci_high == pytest.approx(1 - 0.025 ** (1 / 10))


def test_units_are_drawn_together_so_that_copies_add_no_certainty() -> None:
    values = [0.9, 0.1, 0.8, 0.2, 0.7, 0.4, 0.6, 0.3]
    once = scored(values).marked()
    meta = [{"dialogue": n} for n in range(len(values)) for _ in range(5)]
    copied = scored([one for one in values for _ in range(5)], meta)
    together, apart = copied.marked(units="dialogue"), copied.marked()
    assert (together.ci_low, together.ci_high) == (once.ci_low, once.ci_high)
    assert together.ci_low is not None
    assert apart.ci_low is not None
    assert together.ci_low < apart.ci_low


def test_area_and_correlation_are_those_of_the_known_texts() -> None:
    texts = scored([0.9, 0.2, NONE, 0.4, 0.1])
    area = texts.area(np.array([True, True, True, False, False]))
    assert area.value == 0.75  # of four pairs, .2 lies below .4 alone
    assert area.n == 4
    ratings = texts.correlation("spearman", np.array([4.0, 2.0, 1.0, 3.0, 1.0]))
    assert ratings.value == pytest.approx(1.0)
    lengths_N, errors_N = np.arange(5.0), np.array([0.0, 1.0, NONE, 3.0, 4.0])
    assert texts.correlation("length_correlation", lengths_N, errors_N).value == pytest.approx(1)


def test_calibration_gives_the_mean_gap_the_worst_and_the_curve() -> None:
    """Two texts of .2 that are never toxic, two of .6 that always are: gaps .2 and .4."""
    texts = scored([0.2, 0.2, 0.6, 0.6])
    (mean, worst), (curve,) = texts.calibration(np.array([0.0, 0.0, 1.0, 1.0]))
    assert mean.value == pytest.approx(0.3)
    assert worst.value == pytest.approx(0.4)
    assert curve.x == (0.2, 0.2, 0.6, 0.6)
    assert curve.y == (0.0, 0.0, 1.0, 1.0)
    assert curve.n == 4


def test_a_histogram_is_of_the_scored_texts_and_sums_to_one() -> None:
    curve = scored([0.01, 0.02, 0.99, 1.0, NONE]).histogram("all")
    assert curve.n == 4
    assert (curve.x[0], curve.y[0], curve.y[-1]) == (0.025, 0.5, 0.5)
    assert sum(curve.y) == 1


def test_where_finds_values_and_members_of_lists() -> None:
    texts = scored([0.1, 0.2, 0.3], [{"group": "a"}, {"group": ["b", "a"]}, {}])
    assert texts.where("group", "a").tolist() == [True, True, False]
    assert texts.where("group", "b", None).tolist() == [False, True, True]
