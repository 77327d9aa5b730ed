"""Steering of activations: the formulas at every site, what 0 means, positions, and files."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from detoxlab.data.settings import PromptSettings
from detoxlab.errors import ConfigError, ModelError, UnknownNameError
from detoxlab.generate import LocalEngine
from detoxlab.methods import METHODS
from detoxlab.models import LanguageModel, evaluating, load_model
from detoxlab.pipeline import measure_model
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.runs import Run, TornLineWarning
from detoxlab.steering import ACTIVATIONS, check_steering, load_steering
from detoxlab.steering.activations.files import (
    Content,
    Positions,
    SiteMap,
    find_steering,
    read_maps,
    write_steering,
)
from detoxlab.steering.activations.maps import MAPS, VECTORS
from detoxlab.steering.activations.session import ActivationSteering
from detoxlab.subject import Subject
from tests.support.activations import KINDS, fitted, steering
from tests.support.layouts import layout_lm
from tests.support.tiny import save_tiny, tiny_lm

PROMPTS, RESPONSES = [[50, 51, 52, 53, 54], [60]], [[70, 71], [72, 73, 74]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("fitted")
    return {kind: fitted(kind, folder / kind, tiny_lm()) for kind in KINDS}


def vector(size: int, seed: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def written(
    folder: Path, key: str, one: str, vectors: dict[str, Tensor], positions: Positions = "all"
) -> ActivationSteering:
    content = Content("caa", positions, {key: one}, (), {"model": "tiny@00000000"})
    write_steering(folder, content, {key: SiteMap(one, vectors)})
    return ActivationSteering(folder, 0.5)


# --- formulas ---

W, B, LOW, HIGH = vector(32, 1), vector(32, 2), vector(32, 3) - 0.5, vector(32, 3) + 0.5
GATE, WAY, UNIT = vector(64, 4).abs(), vector(32, 5), vector(32, 6) / vector(32, 6).norm()

Formula = Callable[[Tensor], Tensor]
CASES: dict[str, tuple[str, str, dict[str, Tensor], Formula]] = {
    "affine": (
        "0.input_layernorm",
        "affine",
        {"weight": W, "bias": B},
        lambda z: 0.5 * z + 0.5 * (W * z + B),
    ),
    "affine with support": (
        "1.post_attention_layernorm",
        "affine",
        {"weight": W, "bias": B, "low": LOW, "high": HIGH},
        lambda z: torch.where((z >= LOW) & (z <= HIGH), 0.5 * z + 0.5 * (W * z + B), z),
    ),
    "scale": ("1.gate", "scale", {"damping": GATE}, lambda z: z - 0.5 * GATE * z),
    "shift": ("0.residual", "shift", {"vector": WAY}, lambda z: z + 0.5 * WAY),
    "shift of heads": ("1.heads", "shift", {"vector": WAY}, lambda z: z + 0.5 * WAY),
    "projection": (
        "0.residual",
        "projection",
        {"direction": UNIT},
        lambda z: z - 0.5 * (z @ UNIT)[..., None] * UNIT,
    ),
}


@contextlib.contextmanager
def by_hand(lm: LanguageModel, key: str, change: Formula, start: int) -> Iterator[None]:
    """The change at one site, from token `start` of a row on."""
    layer, _, name = key.partition(".")
    block = lm.model.model.layers[int(layer)]

    def changed(z: Tensor) -> Tensor:
        return torch.cat([z[:, :start], change(z[:, start:])], dim=1)

    if name == "heads":
        projection = block.self_attn.o_proj
        handle = projection.register_forward_pre_hook(lambda _m, args: (changed(args[0]),))
    else:
        modules = {"gate": block.mlp.gate_proj, "residual": block}
        module = modules.get(name) or getattr(block, name)
        handle = module.register_forward_hook(lambda _m, _i, output: changed(output))
    yield
    handle.remove()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("positions", ["all", "response"])
def test_each_map_is_its_formula_at_the_tokens_that_are_steered(
    case: str, positions: Positions, tmp_path: Path
) -> None:
    """By hand on each row alone, unpadded; the shorter one is padded in the batch."""
    lm, (key, one, vectors, formula) = tiny_lm(), CASES[case]
    subject = Subject(lm, (written(tmp_path / "s", key, one, vectors, positions),))
    found = subject.token_log_probs(PROMPTS, RESPONSES)
    for prompt, response, values in zip(PROMPTS, RESPONSES, found, strict=True):
        start = 0 if positions == "all" else len(prompt)
        with evaluating(lm), by_hand(lm, key, formula, start):
            logits_TV = lm.model(torch.tensor([[*prompt, *response]]), use_cache=False).logits[0]
        log_probs_TV = logits_TV.log_softmax(dim=-1)[len(prompt) - 1 : -1]
        expected = log_probs_TV.gather(1, torch.tensor(response)[:, None])[:, 0]
        assert values.tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_every_map_has_a_formula_here_and_names_its_vectors() -> None:
    assert MAPS.keys() == VECTORS.keys() == {one for _, one, _, _ in CASES.values()}


# --- laws ---


@pytest.mark.parametrize("kind", KINDS)
def test_strength_0_changes_nothing_bit_for_bit(kind: str, runs: dict[str, Run]) -> None:
    lm = tiny_lm()
    zero, half = (Subject(lm, (steering(runs[kind], by),)) for by in (0.0, 0.5))
    plain = Subject(lm).token_log_probs(PROMPTS, RESPONSES)
    found = zero.token_log_probs(PROMPTS, RESPONSES)
    assert [one.tobytes() for one in found] == [one.tobytes() for one in plain]
    assert drawn(zero, 3) == drawn(Subject(lm), 3)
    assert [one.tobytes() for one in half.token_log_probs(PROMPTS, RESPONSES)] != [
        one.tobytes() for one in plain
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_any_size_give_the_same_records(kind: str, runs: dict[str, Run]) -> None:
    subject = Subject(tiny_lm(), (steering(runs[kind]),))
    together = drawn(subject, 64)
    assert len({len(row.token_ids) for row in together}) > 2
    assert drawn(subject, 1) == drawn(subject, 7) == together


def drawn(subject: Subject, batch_size: int) -> list[Generation]:
    prompts = [Prompt(f"p{i}", "so what" + " then" * (i % 4), "test") for i in range(9)]
    sampling = Sampling(k=2, max_new_tokens=8, seed=3, stop=tuple("abcdefghijkl"))
    engine = LocalEngine(subject, chat=False, batch_size=batch_size)
    batches = engine.batches(prompts, sampling)
    rows = [row for batch in batches for row in engine.generate(batch, sampling)]
    return sorted(rows, key=lambda row: (row.prompt_id, row.sample))


def test_half_precision_stays_what_it_was(runs: dict[str, Run]) -> None:
    lm = tiny_lm()
    lm.model.to(torch.bfloat16)
    for run in runs.values():
        (values,) = Subject(lm, (steering(run, 0.5),)).token_log_probs([[50, 51]], [[52]])
        assert torch.isfinite(torch.from_numpy(values)).all()


@pytest.mark.slow
def test_a_measured_run_is_its_base_with_the_steering(tmp_path: Path) -> None:
    """Strength 0 is the base; a run that was cut off goes on to the same bytes."""
    base = save_tiny(tmp_path / "base")
    run = fitted("mean-act", tmp_path / "run", load_model(base))
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"text": f"so what {i}"}) + "\n" for i in range(4)))
    sampling = {"k": 2, "max_new_tokens": 4}

    def measured(name: str, model: Path, *, resume: bool = False, **settings: Any) -> Run:
        given = MeasureSettings(
            model=str(model),
            prompts=PromptSettings(source=str(file)),
            sampling=sampling,
            resamples=100,
            hate=None,
            batch_size=1,
            **settings,
        )
        return measure_model(given, tmp_path / name, resume=resume)

    def rows(one: Run) -> bytes:
        return (one.path / "generations" / "worker-0.jsonl").read_bytes()

    plain, zero = measured("plain", base), measured("zero", run.path, strength=0.0)
    own = measured("own", run.path, strength=0.5)
    named = measured("named", base, steer=f"mean-act:{run.path}@0.5")
    assert rows(plain) == rows(zero) != rows(own) == rows(named)
    assert own.info["model"]["steering"] == steering(run, 0.5).id
    assert own.info["train_scorers"] == []
    whole, path = rows(own), own.path / "generations" / "worker-0.jsonl"
    path.write_bytes(whole[: len(whole) // 2])
    own.update(status="failed")
    with pytest.warns(TornLineWarning):
        assert rows(measured("own", run.path, strength=0.5, resume=True)) == whole


# --- names and files ---


def test_every_method_that_steers_activations_is_a_kind(runs: dict[str, Run]) -> None:
    assert set(KINDS) == set(ACTIVATIONS)
    assert {name for name, spec in METHODS.items() if spec.makes == "steering"} >= set(KINDS)
    run = runs["aura"]
    check_steering(f"aura:{run.path}@0.3")
    one = load_steering(f"aura:{run.path}@0.3")
    assert one.id.startswith("aura@")
    assert one.id.endswith("*0.3")
    assert load_steering(f"aura:{run.path / 'steering'}", strength=0.3).id == one.id


def test_wrong_names_are_refused(runs: dict[str, Run], tmp_path: Path) -> None:
    run = runs["aura"]
    for check in (check_steering, load_steering):
        with pytest.raises(ConfigError, match="holds a steering of kind aura, not caa"):
            check(f"caa:{run.path}")
        with pytest.raises(ModelError, match="holds no steering"):
            check(f"aura:{tmp_path}")
    with pytest.raises(ConfigError, match="strength is -1"):
        load_steering(f"aura:{run.path}", strength=-1)
    with pytest.raises(UnknownNameError, match="Did you mean 'aura'"):
        check_steering("aurora:x")


def test_files_that_are_broken_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    written(folder, "0.residual", "shift", {"vector": WAY})
    tensors = load_file(folder / "steering.safetensors")
    save_file({"0.residual.direction": WAY}, folder / "steering.safetensors")
    with pytest.raises(ModelError, match=r"cannot be read \(site 0.residual\)"):
        read_maps(folder)
    (folder / "steering.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="cannot be read"):
        read_maps(folder)
    save_file(tensors, folder / "steering.safetensors")
    content = json.loads((folder / "steering.json").read_text())
    (folder / "steering.json").write_text(json.dumps(content | {"sites": {"0.residual": "turn"}}))
    with pytest.raises(ModelError, match=r"site 0\.residual"):
        read_maps(folder)
    (folder / "steering.json").write_text("[]")
    with pytest.raises(ModelError, match="cannot be read"):
        find_steering(folder)


def test_a_model_without_the_sites_or_of_another_width_is_refused(tmp_path: Path) -> None:
    lm: Any = tiny_lm()
    far = written(tmp_path / "far", "5.residual", "shift", {"vector": WAY})
    with pytest.raises(ModelError, match="tiny@00000000: has no layer 5"):
        Subject(lm, (far,))
    wide = written(tmp_path / "wide", "0.residual", "shift", {"vector": vector(33, 1)})
    with pytest.raises(ModelError, match=r"0.residual is 32 wide, its vectors 33"):
        Subject(lm, (wide,))
    gate = written(tmp_path / "gate", "0.gate", "scale", {"damping": GATE})
    with pytest.raises(ModelError, match="layer 0 has no gate"):
        Subject(layout_lm("gpt2"), (gate,))
