"""Pareto fronts, by hand."""

import numpy as np

from detoxlab.measures.pareto import dominates, front_shares, on_front

NAN = float("nan")
# toxicity and cost of five models: a, b and d form the front, b beats c and e, a beats c alone
FIVE = np.array([[0.1, 5.0], [0.2, 3.0], [0.2, 6.0], [0.5, 1.0], [0.4, 3.0]])


def test_the_front_of_five() -> None:
    assert on_front(FIVE).tolist() == [True, True, False, True, False]


def test_who_dominates_whom() -> None:
    found = {(int(m), int(n)) for m, n in np.argwhere(dominates(FIVE))}
    assert found == {(0, 2), (1, 2), (1, 4)}


def test_equal_alternatives_stand_on_the_front_together() -> None:
    assert on_front(np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 2.0]])).tolist() == [True, True, False]


def test_a_tie_in_one_cost_is_decided_by_the_other() -> None:
    assert on_front(np.array([[1.0, 2.0], [1.0, 1.0]])).tolist() == [False, True]


def test_what_is_unknown_is_on_no_front_and_dominates_nothing() -> None:
    costs_MD = np.array([[0.0, NAN], [1.0, 1.0]])
    assert on_front(costs_MD).tolist() == [False, True]
    assert not dominates(costs_MD).any()


def test_the_order_of_alternatives_changes_nothing() -> None:
    order = np.random.default_rng(0).permutation(5)
    assert on_front(FIVE[order]).tolist() == on_front(FIVE)[order].tolist()


def test_shares_count_resamples() -> None:
    better, worse = [[0.0, 0.0], [1.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]]
    both = [[0.0, 1.0], [1.0, 0.0]]
    costs_RMD = np.array([better, better, both, worse])
    assert front_shares(costs_RMD).tolist() == [0.75, 0.5]


def test_an_alternative_unknown_in_one_resample_has_no_share() -> None:
    costs_RMD = np.array([[[0.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [NAN, 1.0]]])
    assert front_shares(costs_RMD)[0] == 1.0
    assert np.isnan(front_shares(costs_RMD)[1])


def test_many_resamples_are_counted_in_parts_as_in_one() -> None:
    costs_RMD = np.random.default_rng(0).normal(size=(30_000, 12, 2))
    whole = np.array([on_front(one) for one in costs_RMD[:2000]]).mean(axis=0)
    assert front_shares(costs_RMD[:2000]).tolist() == whole.tolist()
    assert np.abs(front_shares(costs_RMD) - whole).max() < 0.05
