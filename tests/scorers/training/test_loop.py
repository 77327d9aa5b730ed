"""The loss, the batches, the calibration: laws and numbers by hand."""

import math

import numpy as np
import pytest
import torch

from detoxlab.scorers.training.calibration import (
    KNOTS,
    at_prevalence,
    best_threshold,
    fit_calibration,
    strict_threshold,
)
from detoxlab.scorers.training.loop import epoch_batches, masked_loss


def test_the_loss_by_hand() -> None:
    logits_BA = torch.tensor([[0.0, 2.0], [1.0, -1.0]])
    goals_BA = torch.tensor([[1.0, math.nan], [0.25, 0.0]])
    weights_BA = torch.tensor([[1.0, 1.0], [2.0, 3.0]])
    cells = [
        math.log(2),
        2 * (0.25 * math.log1p(math.exp(-1)) + 0.75 * math.log1p(math.exp(1))),
        3 * math.log1p(math.exp(-1)),
    ]
    assert float(masked_loss(logits_BA, goals_BA, weights_BA)) == pytest.approx(sum(cells) / 3)


def test_a_text_without_a_label_adds_nothing_to_the_gradient_of_that_attribute() -> None:
    logits_BA = torch.tensor([[0.5, 0.5], [0.5, 0.5]], requires_grad=True)
    goals_BA = torch.tensor([[1.0, math.nan], [0.0, 1.0]])
    masked_loss(logits_BA, goals_BA, torch.ones(2, 2)).backward()
    assert logits_BA.grad is not None
    assert logits_BA.grad[0, 1] == 0
    assert (logits_BA.grad[[0, 1, 1], [0, 0, 1]] != 0).all()


def test_an_epoch_has_every_text_as_often_as_its_order_says() -> None:
    order, lengths = [*range(50), *range(10)], list(range(50))
    batches = epoch_batches(order, lengths, 8, seed=3, epoch=1)
    assert sorted(at for batch in batches for at in batch) == sorted(order)
    assert batches == epoch_batches(order, lengths, 8, seed=3, epoch=1)
    assert batches != epoch_batches(order, lengths, 8, seed=3, epoch=2)
    assert max(max(batch) - min(batch) for batch in batches) <= 12


def test_calibration_is_monotone_and_moves_the_mean_onto_the_labels() -> None:
    rng = np.random.default_rng(0)
    raw_NA = rng.normal(size=(4000, 2))
    chance_NA = 1 / (1 + np.exp(1 - 2 * raw_NA))
    labels_NA = (rng.random((4000, 2)) < chance_NA).astype(float)
    labels_NA[::2, 1] = np.nan
    curves = fit_calibration(raw_NA, labels_NA)
    assert curves.inputs_AM.shape == (2, KNOTS + 2)
    assert (np.diff(curves.outputs_AM) >= 0).all()
    assert np.abs(curves(raw_NA) - chance_NA).mean() < 0.03


def test_bins_out_of_order_do_not_give_many_texts_one_score() -> None:
    raw_NA = np.arange(24.0)[:, None]
    # One text a bin: from the third on the share falls, so that all of them pool into a step.
    labels_NA = np.array([0.1, 0.2, *np.linspace(0.6, 0.4, 22)])[:, None]
    curves = fit_calibration(raw_NA, labels_NA)
    # The step's height is .5, its middle 12.5; the line to it begins at .2, at 1.
    assert curves(np.array([[1.0], [12.5]])).ravel().tolist() == pytest.approx([0.2, 0.5])
    assert (np.diff(curves(raw_NA)[:, 0]) > 0).all()


def test_few_texts_give_a_curve_too() -> None:
    curves = fit_calibration(np.array([[-1.0], [0.0], [2.0]]), np.array([[0.0], [0.0], [1.0]]))
    assert curves(np.array([[-1.0], [2.0]])).ravel().tolist() == pytest.approx([0.0, 1.0])


def test_curves_of_a_balanced_sample_fit_one_with_few_positives_at_its_prevalence() -> None:
    rng = np.random.default_rng(0)

    def drawn(share: float) -> tuple[np.ndarray, np.ndarray]:
        labels_NA = (rng.random((20_000, 1)) < share).astype(float)
        return rng.normal(size=(20_000, 1)) + 2 * labels_NA, labels_NA

    raw_NA, labels_NA = drawn(0.5)
    balanced = fit_calibration(raw_NA, labels_NA)
    rare = at_prevalence(balanced, labels_NA.mean(axis=0), np.array([0.1]))
    raw_NA, labels_NA = drawn(0.1)
    # Bayes: the logit of the chance is 2 raw - 2, plus the logit of the prevalence.
    chance_NA = 1 / (1 + 9 * np.exp(2 - 2 * raw_NA))
    assert np.abs(rare(raw_NA) - chance_NA).mean() < 0.01
    assert balanced(raw_NA).mean() > 0.2


def test_without_a_prevalence_the_curves_stay() -> None:
    curves = fit_calibration(np.array([[-1.0], [0.0], [2.0]]), np.array([[0.0], [0.0], [1.0]]))
    same = at_prevalence(curves, np.array([1 / 3]), np.array([np.nan]))
    np.testing.assert_array_equal(same.outputs_AM, curves.outputs_AM)


def test_the_threshold_has_the_best_f1() -> None:
    scores_N = np.array([0.9, 0.8, 0.8, 0.4, 0.2])
    positive_N = np.array([True, True, False, True, False])
    # From .8: 2 of 3 hits, F1 .667; from .4: 3 of 4, F1 .857; from .2: 3 of 5, F1 .75.
    assert best_threshold(scores_N, positive_N) == pytest.approx(0.3)
    assert best_threshold(scores_N, np.ones(5, dtype=bool)) == 0.5


def test_a_strict_threshold_marks_few_of_the_harmless_texts() -> None:
    scores_N = np.array([0.9, 0.8, 0.7, 0.6, 0.6, 0.5, 0.1])
    positive_N = np.array([True, False, True, False, False, True, False])
    # Of four harmless texts one may be marked: that at .8. Those at .6 stand together.
    assert strict_threshold(scores_N, positive_N, 0.25) == pytest.approx(0.65)
    assert strict_threshold(scores_N, positive_N, 0.5) == pytest.approx(0.65)
    assert strict_threshold(scores_N, positive_N, 0.0) == pytest.approx(0.85)
    assert strict_threshold(scores_N, positive_N, 1.0) == 0.0
    assert strict_threshold(scores_N, np.ones(7, dtype=bool), 0.1) == 0.5
