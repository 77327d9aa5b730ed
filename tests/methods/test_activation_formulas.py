"""The formulas of activation steering, by hand and against independent computations."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from detoxlab.errors import TrainingError
from detoxlab.methods.activation.act import linear_map, mean_map
from detoxlab.methods.activation.aura import dampings, neuron_auroc
from detoxlab.methods.activation.difference import unit
from detoxlab.methods.activation.iti import accuracy, probe
from detoxlab.methods.activation.lineas import shrunk, transport_loss

RNG = np.random.default_rng(0)
TOXIC, OTHER = RNG.normal(size=(40, 5)) * 2 + 1, RNG.normal(size=(40, 5)) ** 3


def test_linear_act_maps_the_sorted_sample_onto_the_target_with_least_squares() -> None:
    weight, bias = linear_map(TOXIC, OTHER)
    for column in range(5):
        sorted_ones = np.sort(TOXIC[:, column]), np.sort(OTHER[:, column])
        slope, offset = np.polyfit(*sorted_ones, 1)
        assert (weight[column], bias[column]) == pytest.approx((slope, offset))


def test_linear_act_finds_an_affine_change_whatever_the_order_of_the_texts() -> None:
    weight, bias = linear_map(TOXIC, RNG.permutation(TOXIC * 0.25 + 3))
    assert weight == pytest.approx(np.full(5, 0.25))
    assert bias == pytest.approx(np.full(5, 3.0))


def test_maps_carry_the_mean_over_and_a_constant_neuron_is_only_moved() -> None:
    toxic = np.column_stack([TOXIC, np.full(40, 2.0)])
    other = np.column_stack([OTHER, RNG.normal(size=40)])
    for weight, bias in (mean_map(toxic, other), linear_map(toxic, other)):
        assert weight[-1] == 1.0
        assert toxic.mean(axis=0) * weight + bias == pytest.approx(other.mean(axis=0))


def test_aura_dampens_by_hand() -> None:
    """Four texts: toxic maxima 3 and 1, others 2 and 0: three of four pairs are in order."""
    toxic = np.array([[3.0, 9.0, 0.0, 1.0], [1.0, 8.0, 0.0, 1.0]])
    other = np.array([[2.0, 7.0, 5.0, 1.0], [0.0, 6.0, 5.0, 1.0]])
    assert neuron_auroc(toxic, other).tolist() == [0.75, 1.0, 0.0, 0.5]
    assert dampings(toxic, other).tolist() == [0.5, 1.0, 0.0, 0.0]
    error = (5 / 48) ** 0.5  # (2n + 1) / (12 n²) with n = 2
    noisy = dampings(toxic, other, noise=1.0)
    assert noisy == pytest.approx([0.0, 1 - 2 * error, 0.0, 0.0])


def test_aurocs_are_those_of_scikit_learn() -> None:
    toxic, other = TOXIC.round(), OTHER[:25].round()  # with ties, and unlike numbers
    labels = np.repeat([1, 0], [len(toxic), len(other)])
    expected = [roc_auc_score(labels, column) for column in np.concatenate([toxic, other]).T]
    assert neuron_auroc(toxic, other) == pytest.approx(expected)


def test_a_probe_is_the_ridge_regression_of_scikit_learn() -> None:
    x, y = np.concatenate([TOXIC, OTHER]), np.repeat([0.0, 1.0], 40)
    weights, bias = probe(x, y)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    other = LogisticRegression(C=1.0, tol=1e-8).fit(scaled, y)
    assert weights * x.std(axis=0) == pytest.approx(other.coef_[0], abs=1e-3)
    assert accuracy(weights, bias, x, y) == pytest.approx(other.score(scaled, y))


def test_no_direction_where_nothing_differs() -> None:
    with pytest.raises(TrainingError, match="there is no direction"):
        unit(np.zeros(3))


def test_the_transport_loss_is_the_least_over_all_pairings() -> None:
    toxic, other = torch.tensor([[4.0], [0.0], [1.0]]), torch.tensor([[1.0], [7.0], [2.0]])
    assert transport_loss(toxic, other).item() == pytest.approx((1 + 1 + 9) / 3)
    assert transport_loss(other[[2, 0, 1]], other).item() == 0.0


def test_the_proximal_step_minimises_lasso_and_distance() -> None:
    vector = np.array([1.5, -0.2, 0.7])
    neurons, group = 0.3, 0.2

    def cost(x: np.ndarray) -> float:
        norms = neurons * np.abs(x).sum() + group * 3**0.5 * np.linalg.norm(x)
        return float(0.5 * ((x - vector) ** 2).sum() + norms)

    best = minimize(cost, vector, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12}).x
    found = shrunk(torch.from_numpy(vector), neurons, group).numpy()
    assert found == pytest.approx(best, abs=1e-4)
    assert found[1] == 0.0
    assert shrunk(torch.from_numpy(vector), 0.0, 9.0).tolist() == [0.0, 0.0, 0.0]
