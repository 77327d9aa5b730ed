"""Fits of activation steerings, against each text read alone and formulas written out."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from detoxlab.data.split import PairSplit, TextSplit
from detoxlab.errors import DataError, ModelError
from detoxlab.methods import load_method
from detoxlab.methods.activation.collect import Reading
from detoxlab.methods.activation.rows import MatchedRows, matched_rows
from detoxlab.methods.loop.log import TrainLog
from detoxlab.models import LanguageModel
from detoxlab.models.layouts.sites import sites_of
from detoxlab.records import Preference, Text, Turn
from detoxlab.runs import Run
from detoxlab.steering.activations.files import read_content, read_maps
from detoxlab.subject import Subject
from tests.support.activations import KINDS, fitted, read_alone, split, steering, texts
from tests.support.layouts import layout_lm
from tests.support.tiny import tiny_lm

Rows = NDArray[np.float64]
Vectors = dict[str, dict[str, Rows]]


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return tiny_lm()


def rows_of(lm: LanguageModel, kind: str, **settings: Any) -> MatchedRows:
    config = load_method(kind, settings).config
    return matched_rows(lm, split().train, config, of_pairs=False)  # type: ignore[arg-type]


def vectors(run: Run) -> Vectors:
    maps = read_maps(run.path / "steering")
    return {
        key: {name: vector.double().numpy() for name, vector in one.vectors.items()}
        for key, one in maps.items()
    }


def assert_close(found: Vectors, expected: Vectors) -> None:
    assert found.keys() == expected.keys()
    for key, one in expected.items():
        assert found[key].keys() == one.keys()
        for name, vector in one.items():
            assert found[key][name] == pytest.approx(vector, abs=2e-4), (key, name)


# --- direct implementations ---


def layers(lm: LanguageModel) -> Any:
    return lm.model.model.layers


def usual(lm: LanguageModel, rows: MatchedRows) -> list[Rows]:
    """For each text which tokens are pooled in each layer (L, T), with one text at a time."""
    read = partial(read_alone, lm, modules=list(layers(lm)))
    norms = [
        np.stack([np.linalg.norm(z_TD, axis=1) for z_TD in read(ids)])
        for ids in (*rows.toxic, *rows.other)
    ]
    limits = 4 * np.median(np.concatenate([one[:, 1:] for one in norms], axis=1), axis=1)
    far = [one > limits[:, None] for one in norms]
    return [
        np.stack([~(one[layer] | one[max(layer - 1, 0)]) for layer in range(len(one))])
        & (np.arange(one.shape[1]) > 0)
        for one in far
    ]


def pooled(
    lm: LanguageModel,
    rows: MatchedRows,
    layer: int,
    module: Any,
    pool: Callable[..., Rows] = np.mean,
    changes: Any = None,
) -> tuple[Rows, Rows]:
    """Pooled rows of both sides; `changes` are on at the toxic texts."""
    sides: list[list[Rows]] = [[], []]
    for at, (ids, kept_LT) in enumerate(
        zip((*rows.toxic, *rows.other), usual(lm, rows), strict=True)
    ):
        is_other = at >= len(rows)
        hooked = [module] if is_other else [module, *(m for m, _ in (changes or []))]
        changed = None if is_other else {id(m): change for m, change in changes or []}
        z_TD = read_alone(lm, ids, list(dict.fromkeys(hooked)), changed)[0]
        sides[is_other].append(pool(z_TD[kept_LT[layer]], axis=0))
    return np.stack(sides[0]), np.stack(sides[1])


def carried(toxic: Rows, other: Rows, *, linear: bool) -> tuple[Rows, Rows]:
    a, b = np.sort(toxic, axis=0), np.sort(other, axis=0)
    a0, b0 = a - a.mean(0), b - b.mean(0)
    weight = (a0 * b0).sum(0) / (a0 * a0).sum(0) if linear else np.ones(a.shape[1])
    return weight, b.mean(0) - weight * a.mean(0)


@pytest.mark.parametrize("kind", ["mean-act", "linear-act"])
@pytest.mark.parametrize("sequential", [True, False])
def test_acts_are_fitted_in_order_with_earlier_maps_on_the_toxic_side(
    kind: str, sequential: bool, lm: LanguageModel, tmp_path: Path
) -> None:
    run = fitted(kind, tmp_path / "run", lm, samples=6, sequential=sequential)
    rows = rows_of(lm, kind, samples=6)
    expected: Vectors = {}
    changes: list[tuple[Any, Callable[[Tensor], Tensor]]] = []
    for layer, block in enumerate(layers(lm)):
        for name in ("input_layernorm", "post_attention_layernorm"):
            module = getattr(block, name)
            sides = pooled(lm, rows, layer, module, changes=changes if sequential else None)
            weight, bias = carried(*sides, linear=kind == "linear-act")
            expected[f"{layer}.{name}"] = {"weight": weight, "bias": bias}

            def change(z: Tensor, w: Rows = weight, b: Rows = bias) -> Tensor:
                return z * torch.from_numpy(w).float() + torch.from_numpy(b).float()

            changes.append((module, change))
    assert_close(vectors(run), expected)


def test_a_support_spans_the_toxic_texts(lm: LanguageModel, tmp_path: Path) -> None:
    settings = {"samples": 6, "sites": ["post_attention_layernorm"], "layers": [0]}
    run = fitted("linear-act", tmp_path / "run", lm, support=True, **settings)
    rows = rows_of(lm, "linear-act", samples=6)
    sides = pooled(lm, rows, 0, layers(lm)[0].post_attention_layernorm)
    weight, bias = carried(*sides, linear=True)
    span = {"low": sides[0].min(0), "high": sides[0].max(0)}
    assert_close(
        vectors(run), {"0.post_attention_layernorm": {"weight": weight, "bias": bias, **span}}
    )


def test_aura_reads_maxima_of_the_linear_layers(lm: LanguageModel, tmp_path: Path) -> None:
    run = fitted("aura", tmp_path / "run", lm, samples=6)
    rows = rows_of(lm, "aura", samples=6)
    expected: Vectors = {}
    for layer, block in enumerate(layers(lm)):
        for name in ("gate", "up", "down"):
            module = getattr(block.mlp, f"{name}_proj")
            toxic, other = pooled(lm, rows, layer, module, np.max)
            above = (toxic[:, None] > other[None]).mean(axis=(0, 1))
            expected[f"{layer}.{name}"] = {"damping": 2 * np.maximum(above - 0.5, 0)}
    assert_close(vectors(run), expected)


def test_caa_and_ablation_are_the_difference_of_means(lm: LanguageModel, tmp_path: Path) -> None:
    rows = rows_of(lm, "caa", samples=6)
    toxic, other = pooled(lm, rows, 0, layers(lm)[0])
    way = other.mean(0) - toxic.mean(0)
    caa = fitted("caa", tmp_path / "caa", lm, samples=6)
    assert_close(vectors(caa), {"0.residual": {"vector": way}})
    ablation = fitted("ablation", tmp_path / "ablation", lm, samples=6)
    unit = {"direction": way / np.linalg.norm(way)}
    assert_close(vectors(ablation), {"0.residual": unit, "1.residual": unit})


def test_iti_shifts_the_best_head_by_standard_deviations(lm: LanguageModel, tmp_path: Path) -> None:
    """One of eight heads is chosen; its shift is that many spreads of its tokens."""
    run = fitted("iti", tmp_path / "run", lm, samples=8, share=0.1, distance=3.0)
    ((key, found),) = vectors(run).items()
    layer, width = int(key[0]), 8
    start = int(np.flatnonzero(found["vector"])[0]) // width * width
    part = slice(start, start + width)
    assert not np.delete(found["vector"], np.arange(32)[part]).any()
    rows = rows_of(lm, "iti", samples=8)
    inputs: list[Rows] = []
    output = layers(lm)[layer].self_attn.o_proj
    handle = output.register_forward_pre_hook(
        lambda _module, args: inputs.append(args[0][0, :, part].double().numpy())
    )
    for ids in (*rows.toxic, *rows.other):
        read_alone(lm, ids, [layers(lm)[layer]])
    handle.remove()
    kept = [z[mask[layer]] for z, mask in zip(inputs, usual(lm, rows), strict=True)]
    means = np.stack([z.mean(0) for z in kept])
    way = means[len(rows) :].mean(0) - means[: len(rows)].mean(0)
    direction = way / np.linalg.norm(way)
    spread = (np.concatenate(kept) @ direction).std()
    assert found["vector"][part] == pytest.approx(3.0 * spread * direction, abs=2e-4)


def test_lineas_learns_from_its_own_loss(lm: LanguageModel, tmp_path: Path) -> None:
    """The loss of its first step is that of the texts as they are; it then falls."""
    run = fitted("lineas", tmp_path / "run", lm, samples=6, steps=30, learning_rate=0.02)
    rows = rows_of(lm, "lineas", samples=6)
    loss = 0.0
    for layer, block in enumerate(layers(lm)):
        for name in ("input_layernorm", "post_attention_layernorm"):
            toxic, other = pooled(lm, rows, layer, getattr(block, name))
            loss += float(((np.sort(toxic, 0) - np.sort(other, 0)) ** 2).mean(0).sum())
    logged = [row["loss"] for row in TrainLog(run.path).rows()]
    assert logged[0] == pytest.approx(loss, rel=1e-4)
    assert logged[-1] < 0.6 * logged[0]
    assert not any(one.requires_grad and one.grad is not None for one in lm.model.parameters())


def test_a_sparse_lineas_leaves_neurons_as_they_were(lm: LanguageModel, tmp_path: Path) -> None:
    run = fitted("lineas", tmp_path / "run", lm, samples=6, sparsity=1e4)
    for one in vectors(run).values():
        assert (one["weight"] == 1).all()
        assert (one["bias"] == 0).all()


# --- what is pooled ---


def test_the_first_token_padding_and_outliers_are_left_out(lm: LanguageModel) -> None:
    odd = tiny_lm()
    with torch.no_grad():
        odd.model.get_input_embeddings().weight[70] *= 400
    toxic, other = (50, 51, 70, 52, 53, 54), (50, 55, 56)
    reading = Reading.of(odd, MatchedRows((toxic, toxic), (other, other)))
    kept_LBT = reading.batches[0].kept_LBT
    assert kept_LBT[:, 0].tolist() == [[False, True, False, True, True, True]] * 2
    assert kept_LBT[:, 2].tolist() == [[False] * 4 + [True] * 2] * 2
    handle = layers(odd)[1].register_forward_hook(lambda _m, _i, z: torch.ones_like(z))
    before = Reading.of(odd, MatchedRows((toxic, toxic), (other, other))).batches[0].kept_LBT
    handle.remove()
    assert before.equal(kept_LBT)  # too long before a layer that evens it out
    every = Reading.of(lm, MatchedRows((toxic, toxic), (other, other))).batches[0].kept_LBT
    assert every[0, 0].tolist() == [False] + [True] * 5


def test_batches_and_padding_change_no_pool(lm: LanguageModel) -> None:
    rows = rows_of(lm, "caa")
    sites = sites_of(lm, ["residual"])
    (toxic, _), *_ = Reading.of(lm, rows).pooled(sites, "mean").values()
    assert len({len(ids) for ids in rows.toxic}) > 3
    limited = usual(lm, rows)
    for n, ids in enumerate(rows.toxic):
        z_TD = read_alone(lm, ids, [layers(lm)[0]])[0]
        assert toxic[n] == pytest.approx(z_TD[limited[n][0]].mean(0), abs=1e-5)


def test_both_sides_have_equal_tokens(lm: LanguageModel) -> None:
    rows = rows_of(lm, "caa", max_length=20)
    assert [len(ids) for ids in rows.toxic] == [len(ids) for ids in rows.other]
    assert max(len(ids) for ids in rows.toxic) == 20
    config = load_method("caa", {"samples": 3}).config
    pairs = [Preference(f"p{i}", (), f"kind {i}", f"UNKIND WORDS {i}", "test") for i in range(5)]
    made = matched_rows(lm, pairs, config, of_pairs=True)  # type: ignore[arg-type]
    assert len(made) == 3
    for toxic, other in zip(made.toxic, made.other, strict=True):
        chosen = lm.tokenizer.decode(other)
        number = chosen.split()[1]
        original = lm.prompt_ids(f"UNKIND WORDS {number}", chat=False)
        assert list(toxic) == original[: len(other)]  # the pair stayed together


def test_data_that_do_not_fit_are_refused(lm: LanguageModel, tmp_path: Path) -> None:
    method = load_method("caa")
    run = Run.start(tmp_path / "run", kind="train", config={})
    turns = (Turn("user", "so what"),)
    for data, said in (
        (TextSplit([Text("a", "so what then", "test", "texts")] * 4), "a part 'toxic'"),
        (TextSplit(texts(1)), "1 toxic and other texts"),
        (PairSplit([Preference("p", turns, "kind", "unkind", "test")] * 3), "answer turns"),
    ):
        with pytest.raises(DataError, match=said):
            method.fit(lm, data, run)


# --- runs ---


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_is_the_same_each_time_and_says_what_it_made(kind: str, tmp_path: Path) -> None:
    lm = tiny_lm()
    before = {name: one.clone() for name, one in lm.model.state_dict().items()}
    one, two = (fitted(kind, tmp_path / name, lm) for name in ("one", "two"))
    for file in ("steering.json", "steering.safetensors"):
        assert (one.path / "steering" / file).read_bytes() == (
            two.path / "steering" / file
        ).read_bytes()
    assert all(torch.equal(before[name], now) for name, now in lm.model.state_dict().items())
    assert one.info["makes"] == "steering"
    assert (one.info["method"], one.info["base_model_id"]) == (kind, "tiny@00000000")
    content = read_content(one.path / "steering")
    assert (content.kind, content.positions, content.training_scorers) == (kind, "all", ())
    assert content.facts["rows_sha256"] == one.info["rows_sha256"]
    assert steering(one).id == steering(two).id
    assert steering(fitted(kind, tmp_path / "three", lm, samples=5)).id != steering(one).id


def test_a_fit_that_was_cut_off_begins_anew_and_a_done_one_is_left_alone(tmp_path: Path) -> None:
    lm, method = tiny_lm(), load_method("caa")
    whole = fitted("caa", tmp_path / "whole", lm)
    cut = Run.start(tmp_path / "cut", kind="train", config={})
    draft = cut.path / ".steering.tmp"
    draft.mkdir()
    (draft / "steering.json").write_text('{"kind": ')
    method.fit(lm, split(), cut)
    file = "steering/steering.safetensors"
    assert (cut.path / file).read_bytes() == (whole.path / file).read_bytes()
    assert not draft.exists()
    content = cut.path / "steering" / "steering.json"
    content.write_text(json.dumps(json.loads(content.read_text()) | {"seen": True}))
    method.fit(lm, split(), cut)
    assert json.loads(content.read_text())["seen"]


FAMILIES = ("falcon", "gemma", "gpt2", "gpt_neox", "llama", "mistral", "qwen2")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_fitted_and_steered(family: str, tmp_path: Path) -> None:
    """All methods; a row beside a longer one is steered as the row alone."""
    lm = layout_lm(family)
    prompts, responses = [[50, 51, 52, 53, 54, 55], [60, 61]], [[70, 71], [72, 73, 74]]
    plain = log_probs(lm, (), prompts, responses)
    for kind in KINDS:
        one = steering(fitted(kind, tmp_path / kind, lm, samples=6))
        together = log_probs(lm, (one,), prompts, responses)
        apart = [
            log_probs(lm, (one,), [p], [r])[0] for p, r in zip(prompts, responses, strict=True)
        ]
        for whole, alone, base in zip(together, apart, plain, strict=True):
            assert whole == pytest.approx(alone, abs=2e-4)
            assert whole != pytest.approx(base, abs=1e-3), kind


def log_probs(
    lm: LanguageModel, stack: Any, prompts: list[list[int]], responses: list[list[int]]
) -> list[list[float]]:
    return [one.tolist() for one in Subject(lm, stack).token_log_probs(prompts, responses)]


def test_an_unknown_layout_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="layout of its architecture, bloom, is not known"):
        fitted("caa", tmp_path / "run", layout_lm("bloom"))
