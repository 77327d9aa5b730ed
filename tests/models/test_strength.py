"""Strength scales the change of an adapter or edit: 0 is the base, byte for byte, 1 the whole."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch import Tensor

from detoxlab.errors import ConfigError, ModelError
from detoxlab.models import LanguageModel, load_model
from detoxlab.pipeline.subjects import load_subject
from detoxlab.publish.export import export_merged
from detoxlab.recipe.measuring import SubjectSettings
from detoxlab.runs import Run
from tests.support.tiny import save_tiny, tiny_model

DOWN, HEAD = "model.layers.1.mlp.down_proj", "lm_head"
IDS = torch.tensor([[5, 6, 7]])


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "base")


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def lora(base: Path, **settings: Any) -> Path:
    """An adapter of rank 2 on one layer, with weights that change much."""
    folder = base.parent / "lora"
    config = LoraConfig(r=2, lora_alpha=8, target_modules=["down_proj"], **settings)
    model = get_peft_model(tiny_model(), config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(len(name)))
    model.save_pretrained(folder)
    return folder


def edit(base: Path, tensors: dict[str, Tensor]) -> Run:
    """A run beside the base that made this edit."""
    run = Run.start(base.parent / "cut", kind="train", config={})
    with run.writing():
        (run.path / "edit").mkdir()
        save_file(tensors, run.path / "edit" / "delta.safetensors")
        run.update(
            method="m", makes="edit", base_model="../base", base_model_id=load_model(base).id
        )
    return run


def logits(lm: LanguageModel) -> Tensor:
    with torch.no_grad():
        found: Tensor = lm.model(IDS).logits
    return found


@pytest.mark.parametrize("kind", ["adapter", "edit"])
def test_nothing_of_it_is_the_base_and_the_name_still_says_which_it_was(
    base: Path, kind: str
) -> None:
    place = lora(base) if kind == "adapter" else edit(base, {f"{DOWN}.weight": torch.ones(32, 64)})
    plain = load_model(base)
    path = place if isinstance(place, Path) else place.path
    lm = load_model(base, adapter=path, strength=0.0)
    assert torch.equal(logits(lm), logits(plain))
    assert all(
        torch.equal(one, other)
        for one, other in zip(lm.model.parameters(), plain.model.parameters(), strict=True)
    )
    whole = load_model(base, adapter=path)
    assert (lm.id, lm.base_id) == (f"{whole.id}*0", plain.id)
    assert not torch.equal(logits(whole), logits(plain))


@pytest.mark.parametrize("merge", [False, True])
def test_a_part_of_an_adapter_is_that_part_of_its_change(base: Path, merge: bool) -> None:
    folder = lora(base)
    whole = load_model(base, adapter=folder, merge_adapter=True)
    part = load_model(base, adapter=folder, strength=0.25, merge_adapter=merge)
    by_hand, plain = tiny_model(), tiny_model()
    for name, weight in by_hand.named_parameters():
        weight.data += 0.25 * (whole.model.get_parameter(name) - plain.get_parameter(name))
    assert torch.allclose(logits(part), by_hand(IDS).logits, atol=1e-4)
    assert part.id.endswith("*0.25")
    assert part.facts["strength"] == 0.25


def test_a_part_of_an_edit_is_that_part_of_its_tensors(base: Path) -> None:
    delta = random(32, 64, seed=0)
    lm = load_model(edit(base, {f"{DOWN}.weight": delta}).path, strength=0.5)
    plain = tiny_model().get_parameter(f"{DOWN}.weight")
    assert torch.equal(lm.model.get_parameter(f"{DOWN}.weight"), plain + 0.5 * delta)
    with lm.as_base():
        assert torch.equal(lm.model.get_parameter(f"{DOWN}.weight"), plain)


def test_factors_are_the_edit_of_their_product(base: Path) -> None:
    left, right = random(260, 2, seed=0), random(2, 32, seed=1)
    factors = {f"{HEAD}.weight.left": left, f"{HEAD}.weight.right": right}
    lm = load_model(edit(base, factors).path)
    assert torch.equal(lm.model.lm_head.weight, tiny_model().lm_head.weight + left @ right)
    assert torch.equal(lm.model.model.embed_tokens.weight, tiny_model().lm_head.weight)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({f"{HEAD}.weight.left": (260, 2)}, "its factor lm_head.weight.right is missing"),
        (
            {f"{HEAD}.weight.left": (260, 2), f"{HEAD}.weight.right": (3, 32)},
            r"of shapes \(260, 2\) and \(3, 32\)",
        ),
        (
            {f"{HEAD}.weight.left": (99, 2), f"{HEAD}.weight.right": (2, 32)},
            r"its shape is \(99, 32\), the weight's \(260, 32\)",
        ),
    ],
)
def test_factors_that_do_not_fit_are_refused(
    base: Path, tensors: dict[str, tuple[int, int]], said: str
) -> None:
    made = {name: torch.ones(shape) for name, shape in tensors.items()}
    with pytest.raises(ModelError, match=said):
        load_model(edit(base, made).path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"use_dora": True}, "LORA with use_dora"),
        ({"modules_to_save": ["lm_head"]}, "LORA with modules_to_save"),
    ],
)
def test_an_adapter_that_is_no_sum_has_no_strength(
    base: Path, settings: dict[str, Any], said: str
) -> None:
    folder = lora(base)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | settings))
    with pytest.raises(ModelError, match=f"strength: an adapter of {said} has no scale"):
        load_model(base, adapter=folder, strength=0.5)


def test_strength_of_a_plain_model_is_refused(base: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"strength 0\.5: .*base has no adapter, edit or steering"
    ):
        load_subject(SubjectSettings(model=str(base), strength=0.5))
    with pytest.raises(ConfigError, match="there is nothing to scale"):
        load_model(base, strength=0.5)


def test_one_option_is_the_strength_of_a_run_of_any_product(base: Path) -> None:
    run = edit(base, {f"{DOWN}.weight": random(32, 64, seed=0)})
    subject = load_subject(SubjectSettings(model=str(run.path), strength=0.5))
    assert subject.id == load_model(run.path, strength=0.5).id
    assert torch.equal(logits(subject.lm), logits(load_model(run.path, strength=0.5)))
    with subject.base() as plain:
        assert torch.equal(logits(plain), logits(load_model(base)))


def test_an_export_has_the_strength_asked_for(base: Path, tmp_path: Path) -> None:
    run = edit(base, {f"{DOWN}.weight": random(32, 64, seed=0)})
    exported = load_model(export_merged(run, tmp_path / "model", strength=0.5))
    assert torch.equal(logits(exported), logits(load_model(run.path, strength=0.5)))
    card = (tmp_path / "model" / "README.md").read_text()
    assert "| strength | 0.5 |" in card
