"""A steering folded into plain weights: the same logits and text, or a refusal with its reason."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from detoxlab.errors import ConfigError, ModelError
from detoxlab.explanations.methods import attribute
from detoxlab.methods.edits.fitting import weight_of
from detoxlab.models import LanguageModel, Tokens, evaluating, load_model
from detoxlab.models.layouts.biases import built
from detoxlab.models.layouts.sites import layers_of, sites_of
from detoxlab.models.layouts.table import LAYOUTS as KNOWN
from detoxlab.models.likelihood import left_padded
from detoxlab.pipeline import export_model
from detoxlab.pipeline.preflight import check_export
from detoxlab.runs import Run
from detoxlab.steering.activations.files import Content, SiteMap, write_steering
from detoxlab.steering.activations.fold import Taker, fold
from detoxlab.steering.activations.session import ActivationSteering
from detoxlab.steering.base import Steering
from detoxlab.subject import Subject
from tests.support.activations import fitted, steering
from tests.support.explained import exchanges
from tests.support.layouts import layout_lm, save_layout
from tests.support.tiny import tiny_lm, tiny_tokenizer

IDS = [50, 51, 52, 70, 71, 72, 90]
FOLDED = ("aura", "caa", "iti", "linear-act", "lineas", "mean-act")
LAYOUTS = ("gpt2", "llama", "qwen2")


def steered_logits(base: Any, one: Steering, ids: list[int]) -> Tensor:
    """(T, V), by hooks."""
    inputs = left_padded(base, [ids])
    with evaluating(base), one.on(base) as session:
        session.reading(Tokens.of_texts(inputs, [0]))
        return base.model(**inputs, use_cache=False).logits[0]


def plain_logits(model: Any, ids: list[int]) -> Tensor:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def same(found: Tensor, wanted: Tensor) -> bool:
    return bool((found - wanted).abs().max() <= 1e-4 * wanted.abs().max())


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {kind: save_layout(folder / kind, kind) for kind in LAYOUTS}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", FOLDED)
def test_the_exported_folder_computes_what_the_hooks_compute(
    kind: str, layout: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    base = load_model(bases[layout])
    run = fitted(kind, tmp_path / "run", base, samples=8)
    out = export_model(run.path, tmp_path / "out", strength=0.5)
    model, one = AutoModelForCausalLM.from_pretrained(out), steering(run, 0.5)
    wanted = steered_logits(base, one, IDS)
    assert same(plain_logits(model, IDS), wanted)
    assert not same(plain_logits(base.model, IDS), wanted)
    greedy = list(IDS)
    for _ in range(12):
        greedy.append(int(steered_logits(base, one, greedy)[-1].argmax()))
    asked = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 1}
    assert model.generate(torch.tensor([IDS]), **asked)[0].tolist() == greedy
    card = (out / "README.md").read_text()
    assert "| folded into the weights | " in card
    assert "| strength | 0.5 |" in card


def test_only_the_biases_that_are_needed_are_switched_on(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    """AurA scales rows, CAA shifts what the MLP writes, Mean-AcT what both parts read."""
    needed = {"aura": (False, False), "caa": (False, True), "mean-act": (True, True)}
    for kind, (attention, mlp) in needed.items():
        run = fitted(kind, tmp_path / kind, load_model(bases["llama"]), samples=8)
        out = export_model(run.path, tmp_path / f"{kind}-out")
        config = json.loads((out / "config.json").read_text())
        assert (config["attention_bias"], config["mlp_bias"]) == (attention, mlp)
        assert config["architectures"] == ["LlamaForCausalLM"]


def test_a_qwen_2_becomes_a_llama_where_its_mlp_needs_a_bias(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    kinds = {}
    for kind in ("aura", "caa"):
        run = fitted(kind, tmp_path / kind, load_model(bases["qwen2"]), samples=8)
        kinds[kind] = load_model(export_model(run.path, tmp_path / f"{kind}-out")).model.config
    assert kinds["aura"].model_type == "qwen2"
    assert kinds["caa"].model_type == "llama"


def test_strength_0_is_the_base(bases: dict[str, Path], tmp_path: Path) -> None:
    base = load_model(bases["llama"])
    run = fitted("mean-act", tmp_path / "run", base, samples=8)
    out = export_model(run.path, tmp_path / "out", strength=0.0)
    model = AutoModelForCausalLM.from_pretrained(out)
    assert torch.equal(plain_logits(model, IDS), plain_logits(base.model, IDS))
    assert model.config.attention_bias is False


def test_half_precision_is_written_as_asked(bases: dict[str, Path], tmp_path: Path) -> None:
    run = fitted("caa", tmp_path / "run", load_model(bases["llama"]), samples=8)
    model = AutoModelForCausalLM.from_pretrained(
        export_model(run.path, tmp_path / "out", dtype="bfloat16"), dtype="auto"
    )
    assert {one.dtype for one in model.parameters()} == {torch.bfloat16}


# --- by hand ---


def written(folder: Path, key: str, name: str, **vectors: Tensor) -> ActivationSteering:
    write_steering(folder, Content("x", "all", {key: name}, (), {}), {key: SiteMap(name, vectors)})
    return ActivationSteering(folder, 0.5)


def vector(size: int, seed: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def test_the_changed_weights_by_hand(tmp_path: Path) -> None:
    """Of x: b + W t and W diag(s). Of y: diag(s) W. Shift after the layer: b of the last matrix."""
    lm, plain = layout_lm("llama"), layers_of(layout_lm("llama"))[1]
    omega, beta, damping, way = (vector(n, i) for i, n in enumerate((32, 32, 48, 32)))
    for one in (
        written(tmp_path / "a", "1.input_layernorm", "affine", weight=omega, bias=beta),
        written(tmp_path / "b", "1.up", "scale", damping=damping),
        written(tmp_path / "c", "1.residual", "shift", vector=way),
    ):
        lm.model.config = fold(one, lm).config
    layer: Any = layers_of(lm)[1]
    query = plain.self_attn.q_proj.weight
    close = {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(layer.self_attn.q_proj.weight, query * (0.5 + 0.5 * omega), **close)
    torch.testing.assert_close(layer.self_attn.q_proj.bias, query @ (0.5 * beta), **close)
    up = plain.mlp.up_proj.weight
    torch.testing.assert_close(layer.mlp.up_proj.weight, up * (1 - 0.5 * damping)[:, None], **close)
    torch.testing.assert_close(layer.mlp.down_proj.bias, 0.5 * way, **close)
    assert torch.equal(layer.mlp.down_proj.weight, plain.mlp.down_proj.weight)
    assert not layer.self_attn.o_proj.bias.any()


EVERYWHERE = "falcon gpt2 gpt_neox granite llama phi qwen2 smollm3 starcoder2"
"""Their config gives every matrix a bias, or turns into one of Llama that does."""
EXACT = {
    "input_layernorm": "gemma gemma2 gemma3_text olmo olmoe qwen3 qwen3_moe stablelm",
    "post_attention_layernorm": "stablelm",
    "heads": "cohere gemma gemma2 gemma3_text olmo olmo2 olmoe qwen3 qwen3_moe",
    "residual": "",
}


@pytest.mark.parametrize("site", EXACT)
def test_every_layout_folds_a_shift_exactly_or_says_why_not(site: str, tmp_path: Path) -> None:
    """`fold` itself compares the logits; the config builds the model that is saved."""
    one = written(tmp_path / "s", f"1.{site}", "shift", vector=vector(32, 3))
    reason = "no place for the bias|does not fold exactly|has no input_layernorm|has no post_att"
    for layout in KNOWN:
        lm = layout_lm(layout)
        if layout in f"{EXACT[site]} {EVERYWHERE}".split():
            saved = built(lm.model, fold(one, lm).config)
            assert saved.state_dict().keys() == lm.model.state_dict().keys(), layout
        else:
            with pytest.raises(ModelError, match=reason):
                fold(one, lm)


def test_scales_of_the_mlp_fold_in_every_layout_that_has_one(tmp_path: Path) -> None:
    """As AurA's do; the activation function stands between gate and up."""
    for layout, parts in KNOWN.items():
        if not parts.down:
            continue
        lm = layout_lm(layout)
        maps = {
            site.key: SiteMap("scale", {"damping": vector(len(weight_of(site.module)), i).abs()})
            for i, site in enumerate(sites_of(lm, ["gate", "up", "down"], [1]))
        }
        one = ActivationSteering(tmp_path / layout, 0.5)
        content = Content("aura", "all", dict.fromkeys(maps, "scale"), (), {})
        write_steering(one.folder, content, maps)
        assert fold(one, lm).config is lm.model.config


def test_a_mistral_is_a_llama_only_without_a_window(tmp_path: Path) -> None:
    one = written(tmp_path / "s", "1.residual", "shift", vector=vector(32, 3))
    config = layout_lm("mistral").model.config
    config.sliding_window = None
    model = AutoModelForCausalLM.from_config(config).eval()
    lm = LanguageModel("m", "m@00000000", model, tiny_tokenizer())
    assert fold(one, lm).config.model_type == "llama"


def test_granite_multiplies_what_its_mlp_writes(tmp_path: Path) -> None:
    lm = layout_lm("granite")
    config = copy.deepcopy(lm.model.config)
    config.residual_multiplier = 0.25
    model = AutoModelForCausalLM.from_config(config).eval()
    way = vector(32, 3)
    fold(
        written(tmp_path / "s", "1.residual", "shift", vector=way),
        dataclasses.replace(lm, model=model),
    )
    bias = model.model.layers[1].mlp.down_proj.bias
    torch.testing.assert_close(bias, 2 * way)


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("alti-logit", "caa"),
        ("alti-logit", "mean-act"),
        ("input-x-gradient", "iti"),
        ("input-x-gradient", "mean-act"),
    ],
)
def test_a_steered_model_is_explained_as_the_folded_one(
    method: str, kind: str, tmp_path: Path
) -> None:
    lm, folded = tiny_lm(), tiny_lm()
    one = steering(fitted(kind, tmp_path / "run", lm, samples=8), 0.5)
    fold(one, folded)
    asked = exchanges([(4, 3), (2, 5)])
    steered, plain = (
        attribute(Subject(model, steerings), asked, method=method)
        for model, steerings in ((lm, (one,)), (folded, ()))
    )
    for found, wanted in zip(steered, plain, strict=True):
        np.testing.assert_allclose(found.values_ST, wanted.values_ST, atol=1e-4)


def test_shifted_heads_are_explained_by_alti_logit_once_they_are_folded(tmp_path: Path) -> None:
    """It reads what heads write off their attention weights, in which a shift is not."""
    lm, folded = tiny_lm(), tiny_lm()
    one = steering(fitted("iti", tmp_path / "run", lm, samples=8), 0.5)
    with pytest.raises(ModelError, match=r"iti@.* do not sum to its logits .*detoxlab export"):
        attribute(Subject(lm, (one,)), exchanges([(4, 3)]))
    fold(one, folded)
    (found,) = attribute(Subject(folded), exchanges([(4, 3)]))
    assert found.gap_S.max() < 1e-5


# --- refused ---


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("ablation", {}, "that layer reads it before"),
        ("linear-act", {"support": True}, "with a support its maps are not linear"),
        ("caa", {"positions": "response"}, "it steers the response alone"),
        ("aura", {"sites": ("residual",)}, r"0\.residual .* what earlier layers wrote"),
    ],
)
def test_a_steering_that_is_not_exact_is_refused_with_the_reason(
    kind: str, settings: dict[str, Any], reason: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    run = fitted(kind, tmp_path / "run", load_model(bases["llama"]), samples=8, **settings)
    with pytest.raises(ModelError, match=reason):
        export_model(run.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    if "sites" not in settings:
        with pytest.raises(ModelError, match=reason):
            check_export(run.path, tmp_path / "out", None)


def test_what_changes_the_next_token_distribution_is_refused(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "head", kind="train", config={})
    run.update(makes="head", method="auxiliary")
    with pytest.raises(ModelError, match="changes the next-token distribution"):
        check_export(run.path, tmp_path / "out", None)
    run = Run.start(tmp_path / "sasa", kind="train", config={})
    run.update(makes="steering", method="sasa")
    line = {"line": SiteMap("line", {"normal": vector(4, 0)})}
    write_steering(run.path / "steering", Content("sasa", "response", {}, (), {}), line)
    with pytest.raises(ModelError, match=r"sasa does not fold .* next-token distribution"):
        check_export(run.path, tmp_path / "out", None)


def test_a_steering_is_no_adapter_and_needs_its_base(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    run = fitted("caa", tmp_path / "run", load_model(bases["llama"]), samples=8)
    with pytest.raises(ConfigError, match="there is no adapter in it"):
        export_model(run.path, tmp_path / "out", merged=False)
    with pytest.raises(ModelError, match="was trained on llama@"):
        export_model(run.path, tmp_path / "out", base=str(bases["qwen2"]))


def test_a_fold_that_went_wrong_is_not_written(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fitted("caa", tmp_path / "run", load_model(bases["llama"]), samples=8)
    monkeypatch.setattr(Taker, "take", lambda _self: None)
    with pytest.raises(ModelError, match="logits differ by"):
        export_model(run.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
