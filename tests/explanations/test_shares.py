"""Shares of prompt and response by hand, and the laws that they obey."""

import math

import numpy as np
import pytest

from detoxlab.explanations.reliance import predictions
from detoxlab.explanations.shares import (
    attribution_divergence,
    attribution_entropy,
    length_corrected,
    masses,
    normalised_entropy,
    prompt_dependence,
)
from detoxlab.explanations.texts import Batch
from detoxlab.models import token_log_probs
from detoxlab.subject import Subject
from tests.support.explained import Favour, exchanges
from tests.support.tiny import tiny_lm

# A first token, two of the prompt, one of the template, two of the response: three steps.
CLASSES = "SCCTGG"
MASS_ST = np.array(
    [
        [5.0, 3.0, 1.0, 2.0, 0.0, 0.0],
        [1.0, 2.0, 2.0, 7.0, 12.0, 0.0],
        [1.0, 0.0, 4.0, 1.0, 1.0, 3.0],
    ]
)


def test_each_class_has_its_mass() -> None:
    found = masses(MASS_ST, CLASSES)
    assert {kind: mass_S.tolist() for kind, mass_S in found.items()} == {
        "C": [4, 4, 4],
        "S": [5, 1, 1],
        "T": [2, 7, 1],
        "G": [0, 12, 4],
    }
    total_S = sum(found.values())
    np.testing.assert_allclose(total_S, MASS_ST.sum(axis=1))


def test_dependence_by_hand() -> None:
    np.testing.assert_allclose(prompt_dependence(MASS_ST, CLASSES), [np.nan, 4 / 16, 4 / 8])


def test_length_correction_by_hand() -> None:
    # 4 over 2 prompt tokens against 12 over 1 response token, then 4 over 2 against 4 over 2.
    expected = [np.nan, math.log(2) - math.log(12), 0.0]
    np.testing.assert_allclose(length_corrected(MASS_ST, CLASSES), expected, atol=1e-12)


def test_the_correction_takes_the_step_out_where_all_tokens_count_alike() -> None:
    classes = "SCCC" + "G" * 6
    alike_ST = np.tril(np.ones((7, 10)), k=3)
    np.testing.assert_allclose(length_corrected(alike_ST, classes)[1:], 0.0, atol=1e-12)
    assert (np.diff(prompt_dependence(alike_ST, classes)[1:]) < 0).all()


def test_entropy_by_hand() -> None:
    one_in_four = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    expected = [one_in_four, 1.0, 0.0]
    np.testing.assert_allclose(attribution_entropy(MASS_ST, CLASSES), expected)
    np.testing.assert_allclose(normalised_entropy(MASS_ST, CLASSES), expected)


def test_values_that_are_not_defined_are_unknown() -> None:
    nothing_ST = np.zeros((2, 3))
    for measure in (prompt_dependence, attribution_entropy, length_corrected):
        assert np.isnan(measure(nothing_ST, "SCG")).all()
    assert np.isnan(normalised_entropy(np.ones((1, 2)), "SC")).all()  # one content token
    assert np.isnan(prompt_dependence(np.ones((2, 2)), "ST")[0])


def test_divergence_by_hand() -> None:
    one, other = np.array([[9.0, 1.0, 1.0]]), np.array([[1.0, 3.0, 1.0]])
    middle = np.array([0.625, 0.375])
    expected = sum(
        (p * np.log2(p / middle)).sum() / 2 for p in (np.array([0.5, 0.5]), np.array([0.75, 0.25]))
    )
    assert attribution_divergence(one, other, "SCC")[0] == pytest.approx(expected)


def test_divergence_is_symmetric_bounded_and_blind_to_scale() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((20, 6)), rng.random((20, 6)) ** 4
    there, back = (attribution_divergence(a, b, CLASSES) for a, b in ((one, other), (other, one)))
    np.testing.assert_allclose(there, back)
    assert (there >= 0).all()
    assert (there <= 1).all()
    np.testing.assert_allclose(attribution_divergence(3 * one, other, CLASSES), there)
    np.testing.assert_allclose(attribution_divergence(one, 7 * one, CLASSES), 0, atol=1e-12)


# --- predictions ---


def test_reliance_is_that_of_two_plain_readings() -> None:
    subject, asked = Subject(tiny_lm()), exchanges([(6, 4), (3, 7)])
    templates = [(one.prompt_ids[0], 3) for one in asked]
    found = predictions(subject, Batch.of(subject.lm, asked), templates)
    whole, less = (
        token_log_probs(subject.lm, prompts, [one.response_ids for one in asked])
        for prompts in ([one.prompt_ids for one in asked], templates)
    )
    for one, with_S, without_S in zip(found, whole, less, strict=True):
        np.testing.assert_allclose(one.log_prob_S, with_S, atol=1e-5)
        np.testing.assert_allclose(one.information_S, (with_S - without_S) / math.log(2), atol=1e-5)
        assert (one.reliance_S > 0).all()
        assert (one.entropy_S > 0).all()
        assert (one.entropy_S < math.log2(260)).all()


def test_a_prompt_that_says_nothing_is_not_relied_on() -> None:
    subject, asked = Subject(tiny_lm()), exchanges([(3, 4)])
    (found,) = predictions(subject, Batch.of(subject.lm, asked), [asked[0].prompt_ids])
    np.testing.assert_allclose(found.reliance_S, 0, atol=1e-6)
    np.testing.assert_allclose(found.information_S, 0, atol=1e-6)


def test_predictions_are_those_of_the_steered_model() -> None:
    subject = Subject(tiny_lm(), (Favour(token=9, by=30.0),))
    asked = exchanges([(3, 4)])
    (found,) = predictions(subject, Batch.of(subject.lm, asked), [asked[0].prompt_ids[:1]])
    assert found.entropy_S[0] > 1
    assert found.entropy_S[1:].max() < 0.1
