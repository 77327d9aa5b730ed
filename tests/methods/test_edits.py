"""Computed edits: against numpy, on every layout; the base is as it was, and there to come back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from detoxlab.data.split import PairSplit, TextSplit
from detoxlab.errors import ModelError, TrainingError
from detoxlab.methods import load_method
from detoxlab.methods.edits.eigenshift import right_singular_vectors, toxic_singular_vectors
from detoxlab.methods.edits.pooled import SINK, pool
from detoxlab.methods.edits.profs import protected_directions, toxic_directions
from detoxlab.methods.rows.contrast import contrast_of
from detoxlab.models import Tokens, load_model
from detoxlab.models.layouts.sites import layers_of, sites_of
from detoxlab.publish.export import export_merged
from detoxlab.records import Preference, Text
from detoxlab.runs import Run
from detoxlab.subject import Subject
from tests.support.contrasted import fitted, means, pairs, states
from tests.support.layouts import layout_lm, save_layout
from tests.support.tiny import save_tiny, tiny_model, tiny_tokenizer

FAMILIES = ("falcon", "gemma", "gpt2", "gpt_neox", "llama", "mistral", "qwen2")
COMPUTED = ("eigenshift", "profs")
DOWN = "model.layers.{}.mlp.down_proj.weight"
IDS = torch.tensor([[9, 8, 7, 20, 21]])


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "base")


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(IDS).logits
    return found


def dense(layer: Any) -> Tensor:
    """The weight as (outputs, inputs)."""
    return (layer.weight.T if isinstance(layer, Conv1D) else layer.weight).detach()


def sides(data: PairSplit) -> tuple[list[str], list[str]]:
    return [str(one.rejected) for one in data.train], [str(one.chosen) for one in data.train]


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


# --- ProFS ---


def planted() -> tuple[Tensor, Tensor, Tensor]:
    """Harmless states with a common direction, toxic ones that differ along another: (N, D), D."""
    u = torch.zeros(8, dtype=torch.float64)
    u[3] = 1.0
    harmless = gaussian(20, 8) * (1 - u)
    harmless[:, 0] += 9.0
    return harmless, harmless + gaussian(20, 1, seed=1) * u, u


def test_a_planted_direction_is_the_one_that_is_found() -> None:
    harmless, toxic, u = planted()
    found = toxic_directions(harmless, toxic, rank=3)
    assert found.shape == (8, 1)
    assert torch.allclose(found[:, 0].abs(), u, atol=1e-12)


def test_what_all_texts_have_in_common_is_protected_by_the_uncentred_states() -> None:
    """The first vector of the centred states is another one."""
    harmless, toxic, _ = planted()
    toxic = toxic + gaussian(20, 8, seed=2)
    common = np.linalg.svd(harmless.numpy(), full_matrices=False)[2][0]
    centred = np.linalg.svd((harmless - harmless.mean(0)).numpy(), full_matrices=False)[2][0]
    found = toxic_directions(harmless, toxic, rank=4).numpy()
    assert np.abs(common @ found).max() < 1e-12
    assert np.abs(centred @ found).max() > 0.1


def test_the_sink_is_protected_too_where_it_is_left_out() -> None:
    harmless, toxic, _ = planted()
    first = gaussian(8, seed=3)
    protected = protected_directions(harmless, first)
    assert torch.allclose(protected.T @ protected, torch.eye(2, dtype=torch.float64), atol=1e-12)
    found = toxic_directions(harmless, toxic + gaussian(20, 8, seed=2), 4, first)
    assert (first @ found).abs().max() < 1e-12
    assert (found.T @ found - torch.eye(4)).abs().max() < 1e-12


def test_a_planted_direction_of_a_model_is_projected_out_and_nothing_else(tmp_path: Path) -> None:
    """The residual stream is the embeddings: "!" is "." and 3 u, and only toxic texts have it."""
    model, tokenizer = tiny_model(tied=False), tiny_tokenizer()
    u = torch.zeros(32)
    u[5] = 1.0
    embeddings = model.model.embed_tokens.weight.data
    embeddings *= 1 - u
    mild, rude = (tokenizer(mark).input_ids[0] for mark in ".!")
    embeddings[rude] = embeddings[mild] + 3 * u
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.data.zero_()
        layer.mlp.up_proj.weight.data.zero_()
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    made = [Preference(f"{i}", (), f"it is {i}.", f"it is {i}!", "test") for i in range(8)]
    run = fitted("profs", tmp_path / "base", PairSplit(made), rank=5, depth=0.0)
    assert run.info["directions"] == {"0": 1, "1": 1}
    edited = load_model(run.path, merge_adapter=True).model
    for number in (0, 1):
        before, after = (one.get_parameter(DOWN.format(number)) for one in (model, edited))
        assert torch.allclose(after, before - torch.outer(u, u @ before), atol=1e-6)
        assert (u @ after).abs().max() < 1e-6
    assert torch.equal(edited.model.embed_tokens.weight, embeddings)


@pytest.mark.parametrize("sinks", ["leave-out", "keep"])
def test_profs_is_the_formula_in_numpy(base: Path, sinks: str) -> None:
    run, lm = fitted("profs", base, rank=3, depth=0.5, sinks=sinks), load_model(base)
    layer, (toxic, harmless) = layers_of(lm)[1], sides(pairs())
    start = 1 if sinks == "leave-out" else 0
    h_tox, h_non = (
        np.stack([states(lm, text, layer)[start:].mean(axis=0) for text in texts])
        for texts in (toxic, harmless)
    )
    q = np.linalg.svd(h_non, full_matrices=False)[2][:1].T
    if start:
        first = np.mean([states(lm, text, layer)[0] for text in harmless], axis=0)
        q = np.linalg.qr(np.concatenate([q, first[:, None]], axis=1))[0]
    d = (h_non - h_tox) / 2 @ (np.eye(32) - q @ q.T)
    v = np.linalg.svd(d, full_matrices=False)[2][:3].T
    expected = (np.eye(32) - v @ v.T) @ dense(layer.mlp.down_proj).double().numpy()
    edited = load_model(run.path, merge_adapter=True).model
    assert np.abs(edited.get_parameter(DOWN.format(1)).detach().numpy() - expected).max() < 1e-5
    assert torch.equal(edited.get_parameter(DOWN.format(0)), dense(layers_of(lm)[0].mlp.down_proj))


@pytest.mark.parametrize("kind", FAMILIES)
def test_profs_is_a_projection_in_every_layout(tmp_path: Path, kind: str) -> None:
    """The adapter is the dense edit, and twice the projection is once."""
    base = save_layout(tmp_path / "base", kind)
    run = fitted("profs", base, rank=2, depth=0.5)
    tensors = load_file(run.path / "adapter" / "adapter_model.safetensors")
    (v,) = (-one for name, one in tensors.items() if name.endswith("lora_B.weight"))
    assert torch.allclose(v.T @ v, torch.eye(2), atol=1e-5)
    projector = torch.eye(32) - v @ v.T
    assert torch.allclose(projector @ projector, projector, atol=1e-5)
    by_hand, lm = load_model(base), load_model(run.path)
    (site,) = sites_of(by_hand, ["down"], [1])
    weight: Any = site.module.weight
    edited = projector @ dense(site.module)
    weight.data = (edited.T if isinstance(site.module, Conv1D) else edited).contiguous()
    assert torch.allclose(logits(lm.model), logits(by_hand.model), atol=1e-4)
    assert not torch.allclose(logits(lm.model), logits(load_model(base).model), atol=1e-2)


@pytest.mark.parametrize(
    ("kind", "said"), [("gemma2", "a norm follows its MLP"), ("mixtral", "has no down")]
)
def test_profs_refuses_what_it_would_not_project(tmp_path: Path, kind: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        fitted("profs", save_layout(tmp_path / "base", kind))


# --- EigenShift ---


def test_the_singular_vectors_are_those_of_numpy() -> None:
    weight = gaussian(50, 6)
    found = right_singular_vectors(weight).numpy()
    expected = np.linalg.svd(weight.numpy(), full_matrices=False)[2].T
    assert np.abs(np.abs(np.sum(found * expected, axis=0)) - 1).max() < 1e-10


def test_directions_are_ranked_by_their_effect_in_standard_deviations() -> None:
    """By hand: W is diagonal, so that v_i is axis i. Effects −2 / √2, 3 / √18, 0.5 / √8."""
    weight = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
    toxic = torch.tensor([[-3.0, 6.0, 2.5], [-1.0, 0.0, -1.5]])
    other = torch.tensor([[1.0, 3.0, 2.0], [-1.0, -3.0, -2.0]])
    found = toxic_singular_vectors(weight, toxic, other, rank=2)
    assert found.places_K.tolist() == [0, 1]
    assert found.effects_K.abs().tolist() == pytest.approx([2 / 2**0.5, 3 / 18**0.5])
    assert torch.equal(found.vectors_DK.abs(), torch.eye(3, dtype=torch.float64)[:, :2])


@pytest.mark.parametrize("kind", FAMILIES)
def test_eigenshift_weakens_the_chosen_singular_values_alone(tmp_path: Path, kind: str) -> None:
    base = save_layout(tmp_path / "base", kind)
    run, lm = fitted("eigenshift", base, rank=2, factor=0.5), load_model(base)
    output = lm.model.get_output_embeddings()
    w, (toxic, other) = dense(output).double().numpy(), sides(pairs())
    u, s, vt = np.linalg.svd(w, full_matrices=False)
    a, b = (means(lm, texts, output, reads=True) @ vt.T for texts in (toxic, other))
    effects = np.abs(a.mean(0) - b.mean(0)) / np.sqrt((a.var(0, ddof=1) + b.var(0, ddof=1)) / 2)
    chosen = np.argsort(-effects)[:2]
    assert run.info["singular_values"] == chosen.tolist()
    s[chosen] *= 0.5
    found = load_model(run.path).model.get_output_embeddings().weight.detach().numpy()
    assert np.abs(found - (u * s) @ vt).max() < 1e-5


def test_the_file_of_an_edit_of_the_output_matrix_is_small(base: Path) -> None:
    run = fitted("eigenshift", base, rank=2)
    tensors = load_file(run.path / "edit" / "delta.safetensors")
    shapes = {name: tuple(one.shape) for name, one in tensors.items()}
    assert shapes == {"lm_head.weight.left": (260, 2), "lm_head.weight.right": (2, 32)}


# --- what both keep to ---


@pytest.mark.parametrize("name", COMPUTED)
def test_the_base_is_untouched_and_comes_back(base: Path, name: str) -> None:
    files = {path.name: path.read_bytes() for path in base.iterdir()}
    run = fitted(name, base, rank=2)
    assert {path.name: path.read_bytes() for path in base.iterdir()} == files
    lm, plain = load_model(run.path), load_model(base)
    with Subject(lm).base() as untouched:
        assert untouched.id == plain.id
        assert torch.equal(logits(untouched.model), logits(plain.model))
    assert not torch.allclose(logits(lm.model), logits(plain.model), atol=1e-3)
    assert torch.equal(logits(load_model(run.path, strength=0.0).model), logits(plain.model))
    info = run.info
    assert (info["method"], info["makes"], info["base_model_id"]) == (name, "edit", plain.id)
    assert (info["toxic_texts"], info["other_texts"], info["paired_texts"]) == (12, 12, True)


@pytest.mark.parametrize("name", COMPUTED)
def test_the_model_that_was_lent_is_as_it_was(name: str, tmp_path: Path) -> None:
    lm = layout_lm("gpt2")
    before = {key: value.clone() for key, value in lm.model.state_dict().items()}
    run = Run.start(tmp_path / "run", kind="train", config={})
    with run.writing():
        load_method(name, {"rank": 2}).fit(lm, pairs(), run)
    assert all(torch.equal(one, before[key]) for key, one in lm.model.state_dict().items())
    assert not any(module._forward_hooks for module in lm.model.modules())


@pytest.mark.parametrize("name", COMPUTED)
def test_it_gives_the_same_bytes_again_and_leaves_a_done_run_alone(base: Path, name: str) -> None:
    run = fitted(name, base, rank=2)
    (product,) = run.path.glob("*/*.safetensors")
    was = product.stat()
    fitted(name, base, rank=2)
    assert product.stat() == was
    first = product.read_bytes()
    product.unlink()
    (product.parent).rename(base.parent / "aside")
    fitted(name, base, rank=2)
    assert product.read_bytes() == first


@pytest.mark.parametrize("name", COMPUTED)
def test_the_export_is_a_plain_folder_of_the_same_logits(base: Path, name: str) -> None:
    """EigenShift's has an output matrix of its own, and says so."""
    run = fitted(name, base, rank=2)
    out = export_merged(run, base.parent / "model")
    plain = AutoModelForCausalLM.from_pretrained(out)
    assert torch.allclose(logits(plain), logits(load_model(run.path).model), atol=1e-4)
    assert plain.config.tie_word_embeddings is (name == "profs")
    assert torch.equal(plain.model.embed_tokens.weight, tiny_model().model.embed_tokens.weight)


@pytest.mark.parametrize("name", COMPUTED)
def test_a_changed_model_and_equal_sides_are_refused(base: Path, name: str) -> None:
    run = fitted(name, base, rank=2)
    again = base.parent / "again"
    method = load_method(name)
    with pytest.raises(TrainingError, match="already carries an"):
        method.fit(load_model(run.path), pairs(), Run.start(again, kind="train", config={}))
    same = TextSplit([Text("a", "so what", "test", "toxic")])
    with pytest.raises(TrainingError, match="1 toxic texts and 0 others"):
        method.fit(load_model(base), same, Run.start(base.parent / "3", kind="train", config={}))


def test_profs_refuses_texts_that_do_not_differ(base: Path) -> None:
    equal = [Preference(f"{i}", (), f"so what {i}", f"so what {i}", "test") for i in range(3)]
    with pytest.raises(TrainingError, match="do not differ"):
        fitted("profs", base, PairSplit(equal))


# --- pools and contrasts ---


def tokens_of(mask: list[list[int]]) -> Tokens:
    inputs = {"input_ids": torch.tensor(mask), "attention_mask": torch.tensor(mask)}
    return Tokens.of_texts(inputs, [0] * len(mask))


def test_padding_never_enters_a_mean() -> None:
    state = torch.tensor([[[9.0], [1.0], [3.0]], [[4.0], [5.0], [6.0]]])
    means_BD, first_BD = pool(state, tokens_of([[0, 1, 1], [1, 1, 1]]), without_sinks=False)
    assert means_BD.tolist() == [[2.0], [5.0]]
    assert first_BD.tolist() == [[1.0], [4.0]]


def test_the_first_token_and_far_larger_ones_are_left_out_as_sinks() -> None:
    """Of norms 2, 2, 2, 8 and 9 after the first, the median is 2: 8 is at the limit, 9 above."""
    assert SINK == 4.0
    state = torch.tensor([[[70.0], [2.0], [-2.0], [2.0], [8.0], [9.0]]])
    means_BD, first_BD = pool(state, tokens_of([[1] * 6]), without_sinks=True)
    assert means_BD.tolist() == [[2.5]]
    assert first_BD.tolist() == [[70.0]]


def test_texts_of_one_token_cannot_be_read_without_their_first(base: Path) -> None:
    made = PairSplit([Preference("a", (), "a", "ab", "test"), Preference("b", (), "bc", "d", "t")])
    with pytest.raises(TrainingError, match="1 texts have one token alone"):
        fitted("profs", base, made)


def test_sides_of_pairs_and_of_parts() -> None:
    one_sided = Preference("b", (), "so", None, "test")
    of_pairs = contrast_of([Preference("a", (), "dear", "you fool", "test"), one_sided])
    assert (of_pairs.toxic, of_pairs.other, of_pairs.is_paired) == (["you fool"], ["dear"], True)
    texts = [Text("a", "you fool", "t", "toxic"), Text("b", "dear", "t", "mild")]
    of_parts = contrast_of([*texts, Text("c", "well", "t", "wiki")])
    assert (of_parts.toxic, of_parts.other) == (["you fool"], ["dear", "well"])
    drawn = of_parts.sample(5, seed=0)
    assert len(drawn.toxic) == len(drawn.other) == 1
