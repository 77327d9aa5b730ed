"""8- and 4-bit bases: they load, train, save and reload alike, merge, and are refused clearly."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from detoxlab.errors import DependencyError, ModelError
from detoxlab.models import LanguageModel, Quantisation, load_model
from detoxlab.models.quantisation import dequantise, quantised_layers
from detoxlab.pipeline.doctor import checks
from detoxlab.publish.export import export_adapter, export_merged
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.runs import Run
from detoxlab.settings import parse
from tests.support.fine_tuned import trained
from tests.support.tiny import save_tiny, tiny_model, tiny_tokenizer

pytestmark = pytest.mark.slow

KINDS = ("int8", "nf4", "fp4")


def save(model: torch.nn.Module, folder: Path) -> Path:
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layers of 64 and 128 inputs: whole blocks in 4 bits."""
    return save(tiny_model(hidden=64), tmp_path_factory.mktemp("quantised") / "base")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Linear layers held transposed (Conv1D)."""
    config = GPT2Config(
        vocab_size=260,
        n_embd=64,
        n_layer=2,
        n_head=4,
        n_positions=256,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config).eval()
    return save(model, tmp_path_factory.mktemp("gpt2") / "gpt2")


def logits(lm: LanguageModel) -> torch.Tensor:
    ids = torch.tensor([tiny_tokenizer()("<|user|>you fool<|end|><|assistant|>").input_ids])
    with torch.no_grad():
        return lm.model(ids).logits


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Root mean square of the difference over that of `b`."""
    return float((a - b).detach().norm() / b.detach().norm())


# --- loading ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("folder", ["base", "gpt2"])
def test_a_quantised_model_is_near_the_model(
    folder: str, kind: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(folder)
    lm, full = load_model(path, quantisation=Quantisation(kind)), load_model(path)  # type: ignore[arg-type]
    limit = 0.05 if kind == "int8" else 0.65  # random layers amplify errors
    assert 1e-4 < distance(logits(lm), logits(full)) < limit
    assert len(quantised_layers(lm.model)) == (14 if folder == "base" else 8)
    assert type(lm.model.lm_head) is torch.nn.Linear
    assert lm.fingerprint()["parameters"] == full.fingerprint()["parameters"]
    assert lm.id.startswith(f"{full.id}-{kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_errors_are_those_of_the_type(base: Path, kind: str) -> None:
    """Of normal weights in blocks of 64: int8 about .01, nf4 .09, fp4 .13 (measured)."""
    full = dict(load_model(base).model.named_modules())
    lm = load_model(base, quantisation=Quantisation(kind))  # type: ignore[arg-type]
    names = list(quantised_layers(lm.model))
    dequantise(lm.model)
    restored = dict(lm.model.named_modules())
    low, high = {"int8": (0.003, 0.012), "nf4": (0.08, 0.1), "fp4": (0.1, 0.15)}[kind]
    for name in names:
        assert low < distance(restored[name].weight, full[name].weight) < high, name


def test_rows_of_broken_blocks_keep_their_type(tmp_path: Path) -> None:
    """bitsandbytes reads 4-bit rows of 16, 32, 48, 80 ... inputs wrongly on CPU."""
    lm = load_model(save_tiny(tmp_path / "narrow"), quantisation=Quantisation("nf4"))
    kept = {name.rpartition(".")[2] for name in quantised_layers(lm.model)}
    assert kept == {"down_proj"}  # 64 inputs; all others have 32
    assert distance(logits(lm), logits(load_model(tmp_path / "narrow"))) < 0.3


def test_evaluation_and_training_compute_alike_in_four_bits(base: Path) -> None:
    lm = load_model(base, quantisation=Quantisation("nf4"))
    lm.model.train()
    training = logits(lm)
    lm.model.eval()
    assert torch.equal(logits(lm), training)
    dequantise(lm.model)
    assert torch.equal(logits(lm), training)


def test_double_and_compute_dtype_are_used_and_recorded(base: Path) -> None:
    plain = load_model(base, quantisation=Quantisation("nf4", double=False))
    double = load_model(base, quantisation=Quantisation("nf4"))
    half = load_model(base, quantisation=Quantisation("nf4", compute_dtype="bfloat16"))
    assert (plain.id.rpartition("-")[2], double.id.rpartition("-")[2]) == ("nf4", "double")
    assert 0 < distance(logits(plain), logits(double)) < 0.05
    assert 0 < distance(logits(half), logits(double)) < 0.05
    assert half.facts["quantisation"]["compute_dtype"] == "bfloat16"
    int8 = load_model(base, quantisation=Quantisation("int8"))
    assert int8.facts["quantisation"] == {"kind": "int8"}
    assert "quantisation" not in load_model(base).facts


# --- training ---


@dataclass(frozen=True)
class Tuned:
    """A training of two steps on a quantised base."""

    base: Path
    kind: Any
    run: Run
    before: torch.Tensor
    after: torch.Tensor


@pytest.fixture(
    scope="module",
    params=[("base", "int8"), ("base", "nf4"), ("gpt2", "int8"), ("gpt2", "nf4")],
    ids="-".join,
)
def tuned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder, kind = request.param
    path = request.getfixturevalue(folder)
    lm = load_model(path, quantisation=Quantisation(kind))
    before = logits(lm)
    run = trained(tmp_path_factory.mktemp("tuned") / "ft", lm, max_steps=2)
    return Tuned(path, kind, run, before, logits(lm))


def test_training_leaves_the_quantised_base_as_it_was(tuned: Tuned) -> None:
    assert torch.equal(tuned.before, tuned.after)


def test_a_saved_adapter_gives_the_same_output_on_the_same_base(
    tuned: Tuned, tmp_path: Path
) -> None:
    lm = load_model(tuned.run.path)
    assert tuned.run.info["model"]["quantisation"]["kind"] == tuned.kind
    assert lm.facts["quantisation"]["kind"] == tuned.kind
    assert distance(logits(lm), tuned.before) > 1e-4
    with lm.as_base():
        assert torch.equal(logits(lm), tuned.before)
    lm.model.save_pretrained(tmp_path / "again", save_embedding_layers=False)
    again = load_model(
        tuned.base, adapter=tmp_path / "again", quantisation=Quantisation(tuned.kind)
    )
    assert torch.equal(logits(again), logits(lm))


def test_the_adapter_in_training_is_the_adapter_that_is_saved(base: Path, tmp_path: Path) -> None:
    """TRL would train it in bfloat16, which PEFT reads back as float32: other numbers."""
    lm = load_model(base, quantisation=Quantisation("nf4"))
    run = trained(tmp_path / "ft", lm, max_steps=2)
    weights = load_file(run.path / "adapter" / "adapter_model.safetensors")
    assert all(weight.dtype is torch.float32 for weight in weights.values())
    assert any(not torch.equal(w, w.bfloat16().float()) for w in weights.values())


def test_the_base_can_be_loaded_otherwise_than_recorded(tuned: Tuned, tmp_path: Path) -> None:
    full = load_model(tuned.run.path, quantisation=Quantisation("none"))
    assert "quantisation" not in full.facts
    assert not quantised_layers(full.model)
    out = export_adapter(tuned.run, tmp_path / "adapter")
    assert load_model(tuned.base, adapter=out).facts["quantisation"]["kind"] == tuned.kind
    assert f"kind {tuned.kind}" in (out / "README.md").read_text()


# --- merging ---


def test_the_merged_model_is_the_one_that_was_trained(tuned: Tuned, tmp_path: Path) -> None:
    """To rounding in 4 bits; in int8 the layers round their inputs too, merged ones do not."""
    merged = load_model(export_merged(tuned.run, tmp_path / "merged"))
    assert not hasattr(merged.model.config, "quantization_config")
    assert distance(logits(merged), logits(load_model(tuned.run.path))) < (
        0.06 if tuned.kind == "int8" else 1e-5
    )


def test_the_adapter_can_be_merged_into_the_original_weights(tuned: Tuned, tmp_path: Path) -> None:
    merged = load_model(export_merged(tuned.run, tmp_path / "merged", original=True))
    unquantised = load_model(tuned.run.path, quantisation=Quantisation("none"))
    assert distance(logits(merged), logits(unquantised)) < 1e-5


# --- refusals ---


def test_without_the_library(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(DependencyError, match=r"bitsandbytes.*pip install 'detoxlab\[quant\]'"):
        load_model(base, quantisation=Quantisation("nf4"))
    assert load_model(base)
    assert next(c.state for c in checks(thorough=True) if c.name == "8 and 4 bits") == "absent"


def test_the_doctor_tries_each_kind() -> None:
    found = next(check for check in checks(thorough=True) if check.name == "8 and 4 bits")
    assert found.state == "ok"
    assert all(kind in found.finding for kind in KINDS)


def test_nothing_to_quantise(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=260, hidden_size=64, num_hidden_layers=0, num_attention_heads=4, eos_token_id=0
    )
    folder = save(LlamaForCausalLM(config), tmp_path / "bare")
    with pytest.raises(ModelError, match="no linear layers to quantise"):
        load_model(folder, quantisation=Quantisation("int8"))


def test_weights_that_are_quantised_already(base: Path, tmp_path: Path) -> None:
    lm = load_model(base, quantisation=Quantisation("nf4"))
    folder = save(lm.model, tmp_path / "stored")
    with pytest.raises(ModelError, match="quantised already"):
        load_model(folder, quantisation=Quantisation("int8"))
    assert torch.equal(logits(load_model(folder)), logits(lm))


def test_unknown_kinds_and_devices(base: Path) -> None:
    with pytest.raises(ModelError, match="'int3' is unknown"):
        Quantisation("int3")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="'meta' cannot hold"):
        load_model(base, quantisation=Quantisation("nf4"), device="meta")


# --- settings ---


def test_a_recipe_names_a_kind_or_more() -> None:
    fixed = {"model": "m", "prompts": {"source": "embedded"}}
    bare = parse(MeasureSettings, fixed | {"quantisation": "nf4"}, place="recipe")
    whole = {"kind": "nf4", "double": True, "compute_dtype": "auto"}
    assert bare.run_config()["quantisation"] == whole
    more = parse(
        MeasureSettings, fixed | {"quantisation": whole | {"double": False}}, place="recipe"
    )
    assert more.quantisation
    assert not more.quantisation.double
    assert json.dumps(parse(MeasureSettings, fixed, place="recipe").run_config())
