"""ALTI-Logit: its parts sum to the logits, and it equals the formulas written out."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import FalconConfig, FalconForCausalLM

from detoxlab.errors import ModelError
from detoxlab.explanations import TARGETS, Exchange, attribute, divergence_from
from detoxlab.explanations.alti import AltiLogit, logits
from detoxlab.explanations.alti.capture import captured
from detoxlab.explanations.alti.layouts import LAYOUTS, parts_of
from detoxlab.explanations.alti.linear import Norm
from detoxlab.explanations.alti.mixing import Mixing
from detoxlab.explanations.reading import plain_logits, reading_alone
from detoxlab.explanations.texts import Batch
from detoxlab.models import LanguageModel
from detoxlab.subject import Subject
from tests.support import direct_alti
from tests.support.explained import Favour, exchanges
from tests.support.layouts import SHAPE, layout_lm, layout_model
from tests.support.tiny import tiny_lm, tiny_tokenizer

METHODS = ("alti-logit", "alti-logit-plain")
EXACT_NORMS = ("falcon", "gpt2", "gpt_neox", "phi", "stablelm", "starcoder2")
"""The others compute their norms in float32, whatever the type of the model."""


def in_float64(kind: str) -> Subject:
    lm = layout_lm(kind)
    lm.model.double()
    return Subject(lm)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", sorted(LAYOUTS))
def test_the_parts_sum_to_the_logits(kind: str, method: str) -> None:
    for name, target in TARGETS.items():
        for one in attribute(Subject(layout_lm(kind)), exchanges(), method=method, target=target):
            assert one.gap_S.max() < 5e-6, name


@pytest.mark.parametrize("kind", EXACT_NORMS)
def test_they_do_so_to_rounding_in_float64(kind: str) -> None:
    for one in attribute(in_float64(kind), exchanges()):
        assert one.gap_S.max() < 1e-13


@pytest.mark.parametrize("kind", sorted(set(LAYOUTS) - {"gemma2"}))  # its logits are capped
def test_scores_alone_are_the_logits_of_a_model_without_biases(kind: str) -> None:
    """The full variant leaves nothing but biases over: here they are taken out of the model."""
    lm = layout_lm(kind)
    with torch.no_grad():
        for name, parameter in lm.model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    for one in attribute(Subject(lm), exchanges()):
        largest = np.abs(one.target_S).max()
        np.testing.assert_allclose(one.values_ST.sum(axis=1), one.target_S, atol=1e-5 * largest)


@pytest.mark.parametrize("kind", sorted(LAYOUTS))
def test_a_capturing_pass_equals_a_plain_one(kind: str) -> None:
    subject = Subject(layout_lm(kind))
    batch = Batch.of(subject.lm, exchanges())
    plain_NV = plain_logits(subject, batch)
    seen: list[int] = []
    with (
        reading_alone(subject.lm),
        captured(subject.lm, parts_of(subject.lm), lambda at, _state: seen.append(at)),
    ):
        captured_NV = plain_logits(subject, batch)
    assert seen == [0, 1]
    torch.testing.assert_close(captured_NV, plain_NV, rtol=0, atol=1e-5)
    torch.testing.assert_close(plain_logits(subject, batch), plain_NV, rtol=0, atol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_it_equals_the_formulas_written_out(kind: str, method: str) -> None:
    subject = in_float64(kind)
    model: Any = subject.lm.model
    (exchange,) = exchanges([(4, 3)])
    (found,) = attribute(subject, [exchange], method=method)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        for step, token in enumerate(exchange.response_ids):
            ids = [*exchange.prompt_ids, *exchange.response_ids[:step]]
            layers, last = getattr(direct_alti, kind)(model, ids)
            u_D = model.get_output_embeddings().weight[token]
            full = method == "alti-logit"
            expected_T = direct_alti.alti_logit(layers, last, u_D, len(ids) - 1, full)
            near = 1e-9 if kind == "gpt2" else 1e-5  # Llama's norms are in float32
            np.testing.assert_allclose(
                found.values_ST[step, : len(ids)], expected_T.numpy(), rtol=1e-6, atol=near
            )


@pytest.mark.parametrize("kind", ["gpt2", "gemma2", "gpt_neox", "falcon", "mistral"])
def test_truncated_equals_whole(kind: str) -> None:
    subject = Subject(layout_lm(kind))
    (whole,) = exchanges([(5, 9)])
    (found,) = attribute(subject, [whole])
    for steps in (1, 4):
        short = Exchange(whole.prompt_ids, whole.response_ids[:steps])
        (cut,) = attribute(subject, [short])
        tokens = cut.values_ST.shape[1]
        np.testing.assert_allclose(cut.values_ST, found.values_ST[:steps, :tokens], atol=2e-6)


def test_nothing_is_owed_to_tokens_that_come_later() -> None:
    (one,) = attribute(Subject(tiny_lm()), exchanges([(3, 5)]))
    assert one.values_ST.shape == (5, 7)
    assert not np.triu(one.values_ST, k=3).any()
    assert np.tril(one.values_ST, k=2).any(axis=0).all()


def test_an_adapter_is_part_of_the_maps() -> None:
    lm = tiny_lm()
    config = LoraConfig(target_modules="all-linear", init_lora_weights=False)
    lm = dataclasses.replace(lm, model=get_peft_model(lm.model, config).eval())
    with_adapter = attribute(Subject(lm), exchanges())
    assert max(one.gap_S.max() for one in with_adapter) < 5e-6
    with Subject(lm).base() as base:
        without = attribute(Subject(base), exchanges())
    untouched = attribute(Subject(tiny_lm()), exchanges())
    for one, other, third in zip(without, untouched, with_adapter, strict=True):
        np.testing.assert_allclose(one.values_ST, other.values_ST, atol=1e-5)
        assert np.abs(third.values_ST - other.values_ST).max() > 0.01


def test_a_steering_changes_the_target_and_its_derivative() -> None:
    lm, asked = tiny_lm(), exchanges([(4, 3)])
    steered = Subject(lm, (Favour(token=9, by=5.0),))
    log_prob = TARGETS["log_prob"]
    (plain,) = attribute(Subject(lm), asked, target=log_prob)
    (found,) = attribute(steered, asked, target=log_prob)
    assert found.target_S[0] == pytest.approx(plain.target_S[0], abs=1e-5)  # after the prompt
    assert np.abs(found.target_S[1:] - plain.target_S[1:]).min() > 0.01
    assert np.abs(found.values_ST[1:] - plain.values_ST[1:]).max() > 0.01
    (logit,), (same,) = attribute(steered, asked), attribute(Subject(lm), asked)
    np.testing.assert_allclose(logit.values_ST, same.values_ST, atol=1e-6)


def test_nothing_pulls_away_from_the_model_itself() -> None:
    lm = tiny_lm()
    for one in attribute(Subject(lm), exchanges(), target=divergence_from(Subject(lm))):
        assert np.abs(one.values_ST).max() < 1e-4
        assert np.abs(one.target_S).max() < 1e-5


@pytest.mark.parametrize("kind", sorted(LAYOUTS))
def test_what_is_left_of_a_layer_is_what_its_mlp_adds(kind: str) -> None:
    """So the norm after attention, and only that one, is where the layout says."""
    subject = Subject(layout_lm(kind))
    parts, said = parts_of(subject.lm), list[torch.Tensor]()

    def hear(_module: Any, _args: Any, output: Any) -> None:
        said.append((output[0] if isinstance(output, tuple) else output).clone())

    for layer in parts.layers:
        whole: Any = layer.whole
        last = getattr(whole, "post_feedforward_layernorm", whole.mlp)
        last.register_forward_hook(hear)
    batch = Batch.of(subject.lm, exchanges([(6, 4)]))
    mixing = Mixing(batch, parts, AltiLogit(subject).maps)
    with reading_alone(subject.lm), captured(subject.lm, parts, mixing.add):
        plain_logits(subject, batch)
    for kept, mlp_BTD in zip(mixing.kept, said, strict=True):
        expected_BSD = parts.residual_multiplier * mlp_BTD[:, 5:]
        torch.testing.assert_close(kept.mlp_BSD, expected_BSD, rtol=1e-4, atol=1e-5)


def test_wrong_groups_of_heads_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(layout_lm("llama"))
    monkeypatch.setattr(logits, "grouped", lambda values, _heads: values.repeat(1, 2, 1, 1))
    with pytest.raises(ModelError, match="do not sum to its logits"):
        attribute(subject, exchanges())


def test_a_scale_that_is_not_known_is_noticed() -> None:
    subject = Subject(layout_lm("granite"))
    subject.lm.model.config.logits_scaling = 4.0
    assert max(one.gap_S.max() for one in attribute(subject, exchanges())) < 5e-6
    subject.lm.model.config.logit_scale = 3.0  # which Granite does not know
    with pytest.raises(ModelError, match="from its output layer"):
        attribute(subject, exchanges())


def test_other_attention_than_usual_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.llama import modeling_llama

    def doubled(module: Any, query: Any, *rest: Any, **named: Any) -> Any:
        return eager(module, 2 * query, *rest, **named)

    eager = modeling_llama.eager_attention_forward
    monkeypatch.setattr(modeling_llama, "eager_attention_forward", doubled)
    with pytest.raises(ModelError, match="when its attention is looked at"):
        attribute(Subject(tiny_lm()), exchanges())


@pytest.mark.parametrize("kind", ["mamba", "bloom", "jamba"])
def test_other_architectures_are_refused_by_name(kind: str) -> None:
    with pytest.raises(ModelError, match=f"does not know how {kind} is built"):
        attribute(Subject(layout_lm(kind)), exchanges())


def test_falcon_with_alibi_is_refused() -> None:
    shape = {name: value for name, value in SHAPE.items() if name != "intermediate_size"}
    model = FalconForCausalLM(FalconConfig(**shape, alibi=True))
    lm = LanguageModel("f", "f@0", model, tiny_tokenizer())
    with pytest.raises(ModelError, match="falcon with ALiBi"):
        AltiLogit(Subject(lm))


@pytest.mark.parametrize(
    "changes",
    [
        {"new_decoder_architecture": True, "num_kv_heads": 2},
        {"multi_query": False},
        {"parallel_attn": False},
        {"multi_query": False, "parallel_attn": False, "bias": True},
    ],
)
def test_all_kinds_of_falcon(changes: dict[str, Any]) -> None:
    config = type(layout_model("falcon").config)(
        vocab_size=260,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.2,
        **changes,
    )
    lm = LanguageModel("f", "f@0", FalconForCausalLM(config).eval(), tiny_tokenizer())
    assert max(one.gap_S.max() for one in attribute(Subject(lm), exchanges())) < 5e-6


def test_half_precision_is_refused() -> None:
    lm = tiny_lm()
    lm.model.to(torch.bfloat16)
    with pytest.raises(ModelError, match="bfloat16, too coarse"):
        attribute(Subject(lm), exchanges())


@pytest.mark.parametrize("width", [8, 7])
@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_a_norm_is_found_by_asking_it(kind: str, width: int) -> None:
    norm: Any = torch.nn.LayerNorm(width) if kind == "layer" else torch.nn.RMSNorm(width, eps=1e-5)
    generator = torch.Generator().manual_seed(1)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    x_ND = torch.randn(5, width, generator=generator)
    with torch.no_grad():
        found = Norm.of(norm, width, x_ND[0])
        y_ND = norm(x_ND)
    assert found.is_centred == (kind == "layer")
    torch.testing.assert_close(found.gain_D, norm.weight, rtol=1e-5, atol=1e-6)
    rebuilt_ND = found.linear(x_ND) / found.scale(x_ND, y_ND)[:, None] + found.bias_D
    torch.testing.assert_close(rebuilt_ND, y_ND, rtol=1e-5, atol=1e-5)
    u_D = torch.randn(width, generator=generator)
    torch.testing.assert_close(found.linear(x_ND) @ u_D, x_ND @ found.adjoint(u_D))
