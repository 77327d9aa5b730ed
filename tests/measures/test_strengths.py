"""Bradley–Terry strengths and rankings: by hand, and recovered from known strengths."""

import numpy as np
import pytest

from detoxlab.measures.statistics import FloatArray
from detoxlab.measures.usefulness.strengths import (
    log_strengths,
    mean_win_rates,
    ranking_measurements,
)


def drawn(strengths: list[float], prompts: int, seed: int = 0) -> FloatArray:
    """Wins (P, N, N) of models with these log-strengths, one pair per prompt and two models."""
    rng = np.random.default_rng(seed)
    strength_N = np.array(strengths)
    chance_NN = 1 / (1 + np.exp(strength_N[None, :] - strength_N[:, None]))
    won_PNN = np.triu(rng.random((prompts, len(strengths), len(strengths))) < chance_NN, 1)
    lost_PNN = np.triu(np.ones_like(won_PNN), 1) & ~won_PNN
    return (won_PNN + np.swapaxes(lost_PNN, 1, 2)).astype(np.float64)


def test_equal_shares_are_equal_strengths() -> None:
    wins_NN = 5 * (1 - np.eye(4))
    np.testing.assert_allclose(log_strengths(wins_NN), 0, atol=1e-9)
    np.testing.assert_allclose(mean_win_rates(wins_NN), 0.5)


def test_the_likelihood_is_at_its_maximum() -> None:
    """Each model's expected wins at the strengths are its wins, the added tie counted."""
    wins_NN = np.array([[0.0, 7, 9], [3, 0, 6], [1, 4, 0]])
    log_N = log_strengths(wins_NN)
    counted_NN = wins_NN + 0.5 * (1 - np.eye(3))
    chance_NN = 1 / (1 + np.exp(log_N[None, :] - log_N[:, None]))
    expected_N = ((counted_NN + counted_NN.T) * chance_NN).sum(axis=1)
    np.testing.assert_allclose(expected_N, counted_NN.sum(axis=1), atol=1e-4)
    assert log_N.mean() == pytest.approx(0, abs=1e-9)


def test_a_model_that_always_wins_has_a_finite_strength() -> None:
    log_N = log_strengths(np.array([[0.0, 20], [0, 0]]))
    assert log_N[0] - log_N[1] == pytest.approx(np.log(20.5 / 0.5), abs=1e-4)


def test_known_strengths_are_found_again_and_covered() -> None:
    truth = {"weak": -1.0, "middle": 0.2, "strong": 0.8}
    wins_PNN = drawn(list(truth.values()), prompts=400)
    rows = ranking_measurements(list(truth), wins_PNN, protocol="p", scorer_id="j", resamples=500)
    strengths = [row for row in rows if row.name == "strength"]
    assert [row.group for row in strengths] == ["strong", "middle", "weak"]
    for row in strengths:
        assert row.ci_low is not None
        assert row.ci_high is not None
        assert row.ci_low < truth[str(row.group)] < row.ci_high
        assert row.ci_high - row.ci_low < 0.5
    assert {row.n for row in rows} == {400}


def test_the_order_of_the_models_changes_nothing() -> None:
    wins_PNN = drawn([0.0, 1.0, -0.5], prompts=60)
    turned = [2, 0, 1]
    there = ranking_measurements(
        ["a", "b", "c"], wins_PNN, protocol="p", scorer_id="j", resamples=200
    )
    here = ranking_measurements(
        ["c", "a", "b"],
        wins_PNN[:, turned][:, :, turned],
        protocol="p",
        scorer_id="j",
        resamples=200,
    )
    for one, other in zip(there, here, strict=True):
        assert (one.group, one.name) == (other.group, other.name)
        numbers = [(row.value, row.ci_low, row.ci_high) for row in (one, other)]
        assert numbers[0] == pytest.approx(numbers[1], abs=1e-4)


def test_ties_alone_rank_nobody_and_claim_no_certainty() -> None:
    wins_PNN = np.broadcast_to(0.5 * (1 - np.eye(3)), (10, 3, 3)).copy()
    rows = ranking_measurements(
        ["a", "b", "c"], wins_PNN, protocol="p", scorer_id="j", resamples=200
    )
    assert {row.value for row in rows if row.name == "strength"} == {0.0}
    assert {row.ci_low for row in rows} == {None}


def test_two_models_that_never_met_have_no_mean_win_rate() -> None:
    wins_PNN = drawn([0.0, 1.0, -0.5], prompts=30)
    wins_PNN[:, 0, 1] = wins_PNN[:, 1, 0] = 0
    rows = ranking_measurements(
        ["a", "b", "c"], wins_PNN, protocol="p", scorer_id="j", resamples=200
    )
    known = {row.group for row in rows if row.name == "mean_win_rate" and row.value is not None}
    assert known == {"c"}
