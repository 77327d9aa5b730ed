"""Gradients, deletion and targets against plain loops and against numbers by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detoxlab.errors import DataError, ModelError, UnknownNameError
from detoxlab.explanations import (
    METHODS,
    TARGETS,
    Exchange,
    attribute,
    divergence_from,
    load_target,
    rather_than,
)
from detoxlab.explanations.gradients import IntegratedGradients
from detoxlab.explanations.graph import goes_on
from detoxlab.explanations.names import METHOD_NAMES, TARGET_NAMES
from detoxlab.explanations.targets import contrast, divergence, log_prob, logit
from detoxlab.explanations.texts import Batch
from detoxlab.models import LanguageModel
from detoxlab.subject import Subject
from tests.support.explained import Favour, exchanges, linear_lm
from tests.support.layouts import ATTENTION, layout_lm
from tests.support.tiny import tiny_lm

SUMMARIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "saliency": lambda _x, g: g.pow(2).sum(-1).sqrt(),
    "input-x-gradient": lambda x, g: (x * g).pow(2).sum(-1).sqrt(),
    "input-x-gradient-dot": lambda x, g: (x * g).sum(-1),
}


def after(model: Any, ids: list[int], embeds_TD: Tensor | None = None) -> Tensor:
    """Logits (V,) after a text."""
    if embeds_TD is None:
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
    return model(inputs_embeds=embeds_TD[None], use_cache=False).logits[0, -1]


@pytest.mark.parametrize("method", sorted(SUMMARIES))
@pytest.mark.parametrize("kind", ["gpt2", "llama", "falcon"])
def test_gradients_are_those_of_a_plain_loop(kind: str, method: str) -> None:
    assert_plain(layout_lm(kind), method)


@pytest.mark.parametrize("kind", sorted(ATTENTION))
def test_every_layout_is_read_in_pieces(kind: str) -> None:
    """Its gradients, through keys and values of earlier pieces, are those of a plain loop."""
    lm = layout_lm(kind)
    assert goes_on(Subject(lm))
    assert_plain(lm, "input-x-gradient-dot")


@pytest.mark.parametrize("kind", ["jamba", "mamba", "zamba2"])
def test_a_past_of_states_is_read_whole(kind: str) -> None:
    lm = layout_lm(kind)
    assert not goes_on(Subject(lm))
    assert_plain(lm, "input-x-gradient-dot")


def assert_plain(lm: LanguageModel, method: str) -> None:
    asked = exchanges([(5, 23), (2, 3)])
    found = attribute(Subject(lm), asked, method=method, target=TARGETS["log_prob"])
    for exchange, one in zip(asked, found, strict=True):
        for step, token in enumerate(exchange.response_ids):
            ids = [*exchange.prompt_ids, *exchange.response_ids[:step]]
            x_TD = lm.model.get_input_embeddings()(torch.tensor(ids)).detach().requires_grad_()
            value = after(lm.model, ids, x_TD).log_softmax(-1)[token]
            (g_TD,) = torch.autograd.grad(value, x_TD)
            expected_T = SUMMARIES[method](x_TD.detach(), g_TD).numpy()
            np.testing.assert_allclose(
                one.values_ST[step, : len(ids)], expected_T, rtol=1e-4, atol=2e-6
            )
            assert one.target_S[step] == pytest.approx(value.item(), abs=1e-5)
            assert not one.values_ST[step, len(ids) :].any()


def test_deletion_is_that_of_a_plain_loop() -> None:
    lm = tiny_lm()
    asked = exchanges([(3, 4), (1, 3)])
    found = attribute(Subject(lm), asked, method="deletion", target=TARGETS["log_prob"])
    with torch.no_grad():
        for exchange, one in zip(asked, found, strict=True):
            for step, token in enumerate(exchange.response_ids):
                ids = [*exchange.prompt_ids, *exchange.response_ids[:step]]
                whole = after(lm.model, ids).log_softmax(-1)[token]
                for at in range(len(ids)):
                    left = ids[:at] + ids[at + 1 :]
                    alone = len(exchange.prompt_ids) == 1 and at == 0
                    less = whole if alone else after(lm.model, left).log_softmax(-1)[token]
                    assert one.values_ST[step, at] == pytest.approx(float(whole - less), abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "method"),
    [("gpt2", name) for name in METHODS] + [("llama", "alti-logit"), ("llama", "deletion")],
)
def test_a_batch_changes_nothing(kind: str, method: str) -> None:
    subject, asked = Subject(layout_lm(kind)), exchanges()
    together = attribute(subject, asked, method=method)
    for exchange, one in zip(asked, together, strict=True):
        (alone,) = attribute(subject, [exchange], method=method)
        np.testing.assert_allclose(one.values_ST, alone.values_ST, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(one.target_S, alone.target_S, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # Prompt (1, 0), (0, 2); response token 1, whose row is (2, −1), then token 0, (1, 1).
        ("input-x-gradient-dot", [[2, -2, 0], [1, 2, 2]]),
        ("input-x-gradient", [[2, 2, 0], [1, 2, 2]]),
        ("saliency", [[5**0.5, 5**0.5, 0], [2**0.5, 2**0.5, 2**0.5]]),
        ("deletion", [[2, -2, 0], [1, 2, 2]]),
        # The mean embedding is (4/3, 1): what each token has beyond it counts.
        ("integrated-gradients", [[1 / 3, -11 / 3, 0], [-4 / 3, -1 / 3, -1 / 3]]),
    ],
)
def test_a_linear_model_by_hand(method: str, expected: list[list[float]]) -> None:
    (one,) = attribute(Subject(linear_lm()), [Exchange((0, 1), (1, 0))], method=method)
    np.testing.assert_allclose(one.values_ST, expected, atol=1e-5)
    np.testing.assert_allclose(one.target_S, [0, 5], atol=1e-6)


def test_integrated_gradients_sum_to_the_change_from_the_baseline() -> None:
    subject, asked = Subject(layout_lm("gpt2")), exchanges([(4, 3)])
    for baseline in ("mean", "pad"):
        method = IntegratedGradients(subject, baseline)  # type: ignore[arg-type]
        (one,) = method.attribute(Batch.of(subject.lm, asked), TARGETS["logit"])
        assert one.gap_S.max() <= method.tolerance


def test_what_misses_the_tolerance_says_so() -> None:
    subject, asked = Subject(tiny_lm()), exchanges([(4, 3)])
    rough = IntegratedGradients(subject, points=2, most=2, tolerance=1e-9)
    (one,) = rough.attribute(Batch.of(subject.lm, asked), TARGETS["logit"])
    assert one.gap_S.max() > 1e-3
    finer = IntegratedGradients(subject, points=2, most=32, tolerance=1e-9)
    (other,) = finer.attribute(Batch.of(subject.lm, asked), TARGETS["logit"])
    assert other.gap_S.max() < one.gap_S.max()


@pytest.mark.parametrize("method", ["input-x-gradient", "deletion"])
def test_a_steering_sees_which_tokens_are_the_response(method: str) -> None:
    """It does nothing after the prompt: so it must be told in each segment where that ends."""
    lm, asked = tiny_lm(), exchanges([(4, 13)])
    steered = Subject(lm, (Favour(token=9, by=5.0),))
    log_probs = TARGETS["log_prob"]
    (plain,) = attribute(Subject(lm), asked, method=method, target=log_probs)
    (found,) = attribute(steered, asked, method=method, target=log_probs)
    changed_S = np.abs(found.target_S - plain.target_S) > 1e-3
    assert changed_S.tolist() == [False] + [True] * 12
    (ids,), (response,) = [asked[0].prompt_ids], [asked[0].response_ids]
    expected_S = steered.token_log_probs([ids], [response])[0]
    np.testing.assert_allclose(found.target_S, expected_S, atol=1e-5)


def test_the_model_stays_as_it_was() -> None:
    lm = tiny_lm()
    lm.model.train()
    before = {name: value.clone() for name, value in lm.model.state_dict().items()}
    for method in METHODS:
        attribute(Subject(lm), exchanges([(3, 2)]), method=method)
    assert lm.model.training
    assert all(not module._forward_hooks for module in lm.model.modules())
    assert all(torch.equal(before[n], value) for n, value in lm.model.state_dict().items())
    assert lm.model.config._attn_implementation == "sdpa"
    assert all(parameter.grad is None for parameter in lm.model.parameters())


# --- targets ---


def test_targets_by_hand() -> None:
    logits_NV = torch.tensor([[1.0, 3.0, 0.0]])
    assert logit(logits_NV, torch.tensor([1])).item() == 3.0
    norm = np.log(np.exp([1.0, 3.0, 0.0]).sum())
    assert log_prob(logits_NV, torch.tensor([0])).item() == pytest.approx(1 - norm)
    assert contrast(logits_NV, torch.tensor([[0, 1]])).item() == -2.0
    p = np.exp(np.array([1.0, 3.0, 0.0]) - norm)
    other = torch.tensor([[0.5, 0.25, 0.25]]).log()
    expected = (p * (np.log(p) - np.log([0.5, 0.25, 0.25]))).sum()
    assert divergence(logits_NV, other).item() == pytest.approx(expected, rel=1e-5)


def test_a_token_that_is_ruled_out_adds_nothing_to_a_divergence() -> None:
    logits_NV = torch.tensor([[0.0, -torch.inf]])
    other_NV = torch.tensor([[0.5, 0.5]]).log()
    assert divergence(logits_NV, other_NV).item() == pytest.approx(np.log(2))


def test_the_runner_up_is_that_of_the_whole_text() -> None:
    lm, asked = tiny_lm(), exchanges([(4, 3)])
    (found,) = attribute(Subject(lm), asked, method="deletion", target=load_target("contrast"))
    ids, tokens = list(asked[0].prompt_ids), asked[0].response_ids
    with torch.no_grad():
        logits_V = after(lm.model, ids)
        others_V = logits_V.clone()
        others_V[tokens[0]] = -torch.inf
        foil = int(others_V.argmax())
        less_V = after(lm.model, ids[1:])
    whole = logits_V[tokens[0]] - logits_V[foil]
    assert found.values_ST[0, 0] == pytest.approx(
        float(whole - (less_V[tokens[0]] - less_V[foil])), abs=1e-5
    )
    (same,) = attribute(Subject(lm), asked, method="deletion", target=rather_than(foil))
    np.testing.assert_allclose(same.values_ST[0], found.values_ST[0], atol=1e-6)


def test_the_divergence_from_another_model_is_attributed() -> None:
    lm, other, asked = tiny_lm(0), tiny_lm(1), exchanges([(4, 3)])
    target = divergence_from(Subject(other))
    assert target.name == "kl:tiny@00000000"
    for method in ("alti-logit", "input-x-gradient-dot", "deletion"):
        (one,) = attribute(Subject(lm), asked, method=method, target=target)
        with torch.no_grad():
            ids = list(asked[0].prompt_ids)
            p, q = (after(each.model, ids).log_softmax(-1) for each in (lm, other))
        assert one.target_S[0] == pytest.approx(float((p.exp() * (p - q)).sum()), abs=1e-4)
        assert np.abs(one.values_ST).max() > 1e-3


def test_models_of_unlike_vocabularies_have_no_divergence() -> None:
    from tests.support.tiny import tiny_model, tiny_tokenizer

    larger = LanguageModel("l", "l@0", tiny_model(vocabulary=300), tiny_tokenizer())
    with pytest.raises(ModelError, match="cannot be compared"):
        attribute(Subject(tiny_lm()), exchanges(), target=divergence_from(Subject(larger)))


# --- inputs ---


@pytest.mark.parametrize(
    ("exchange", "message"),
    [
        (Exchange((), (5,)), "prompt has no token"),
        (Exchange((5,), ()), "response has no token"),
        (Exchange((5,) * 200, (5,) * 60), "too many for the context"),
    ],
)
def test_exchanges_that_cannot_be_read(exchange: Exchange, message: str) -> None:
    with pytest.raises(DataError, match=message):
        attribute(Subject(tiny_lm()), [exchange])


def test_settings_and_registries_have_the_same_names() -> None:
    assert tuple(METHODS) == METHOD_NAMES
    assert tuple(TARGETS) == TARGET_NAMES


def test_names_that_are_not_known() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'alti-logit'"):
        attribute(Subject(tiny_lm()), exchanges(), method="alti-logits")
    with pytest.raises(UnknownNameError, match="Did you mean 'log_prob'"):
        load_target("logprob")
