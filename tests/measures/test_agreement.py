"""Agreement between scorers, against scikit-learn, scipy and numbers by hand."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from detoxlab.errors import MissingScoreError
from detoxlab.measures.agreement import (
    calibration_error,
    cohen_kappa,
    kappa_columns,
    kappa_of_sums,
    pearson,
    pearson_columns,
    pearson_of_sums,
    ranks,
    roc_auc,
    spearman,
)


@pytest.fixture
def two_scorers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    first_N = np.round(rng.beta(0.6, 1.5, size=400), 2)
    second_N = np.round(np.clip(first_N + rng.normal(0, 0.2, size=400), 0, 1), 2)
    return first_N, second_N


def test_correlations_are_scipys(two_scorers: tuple[np.ndarray, np.ndarray]) -> None:
    assert pearson(*two_scorers) == pytest.approx(scipy.stats.pearsonr(*two_scorers).statistic)
    assert spearman(*two_scorers) == pytest.approx(scipy.stats.spearmanr(*two_scorers).statistic)


def test_kappa_and_auc_are_scikit_learns(two_scorers: tuple[np.ndarray, np.ndarray]) -> None:
    first_N, second_N = two_scorers
    labels = first_N >= 0.5
    expected = sklearn.metrics.cohen_kappa_score(labels, second_N >= 0.5)
    assert cohen_kappa(first_N, second_N) == pytest.approx(expected)
    assert roc_auc(second_N, labels) == pytest.approx(
        sklearn.metrics.roc_auc_score(labels, second_N)
    )


def test_kappa_by_hand() -> None:
    # 20 both yes, 5 and 10 one yes, 15 both no: observed .7, by chance .5.
    first_N = np.repeat([1.0, 1.0, 0.0, 0.0], [20, 5, 10, 15])
    second_N = np.repeat([1.0, 0.0, 1.0, 0.0], [20, 5, 10, 15])
    assert cohen_kappa(first_N, second_N) == pytest.approx(0.4)


def test_sums_give_the_same_figures(two_scorers: tuple[np.ndarray, np.ndarray]) -> None:
    first_N, second_N = two_scorers
    assert pearson_of_sums(pearson_columns(first_N, second_N).sum(axis=0)) == pytest.approx(
        pearson(first_N, second_N)
    )
    sums = kappa_columns(first_N >= 0.5, second_N >= 0.5).sum(axis=0)
    assert kappa_of_sums(sums) == pytest.approx(cohen_kappa(first_N, second_N))


def test_calibration_by_hand() -> None:
    predicted_N = np.array([0.1, 0.3, 0.5, 0.7])
    target_N = np.array([0.0, 0.2, 0.9, 0.7])
    # bins (.1, .3) and (.5, .7): |.2 - .1| and |.6 - .8|
    assert calibration_error(predicted_N, target_N, bins=2) == pytest.approx(0.15)
    assert calibration_error(predicted_N, predicted_N) == 0.0
    assert calibration_error(predicted_N[::-1], target_N[::-1], bins=2) == pytest.approx(0.15)


def test_errors_in_one_bin_do_not_cancel_errors_in_another() -> None:
    predicted_N = np.repeat([0.2, 0.8], 15)
    target_N = np.repeat([0.4, 0.6], 15)
    assert calibration_error(predicted_N, target_N, bins=2) == pytest.approx(0.2)


def test_undefined_is_none_not_zero() -> None:
    same_N, varied_N = np.full(4, 0.3), np.array([0.1, 0.2, 0.6, 0.9])
    assert pearson(same_N, varied_N) is None
    assert spearman(same_N, varied_N) is None
    assert cohen_kappa(same_N, same_N) is None
    assert roc_auc(varied_N, np.full(4, True)) is None


def test_the_correlation_with_a_constant_is_undefined_from_sums_too() -> None:
    varied_N = np.random.default_rng(0).random(90)
    sums = pearson_columns(varied_N, np.full(90, 0.0213)).sum(axis=0)
    assert np.isnan(pearson_of_sums(sums))
    tiny = pearson_columns(varied_N, 0.5 + 1e-3 * varied_N).sum(axis=0)
    assert pearson_of_sums(tiny) == pytest.approx(1.0)


def test_missing_scores_and_unequal_lengths_are_refused() -> None:
    with pytest.raises(MissingScoreError):
        pearson(np.array([0.1, np.nan]), np.array([0.1, 0.2]))
    with pytest.raises(MissingScoreError, match="2 and 3"):
        cohen_kappa(np.zeros(2), np.zeros(3))


def test_ties_share_their_rank() -> None:
    assert ranks(np.array([5.0, 1.0, 5.0, 5.0])).tolist() == [3.0, 1.0, 3.0, 3.0]
