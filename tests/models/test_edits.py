"""Edits: a run that changed weights is loaded with them, and its base is there to the last bit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from detoxlab.errors import ModelError, TrainingError
from detoxlab.methods.imitation.sft import SFTConfig
from detoxlab.methods.loop.adapters import check_can_train
from detoxlab.models import LanguageModel, load_model, token_log_probs
from detoxlab.publish.export import export_merged
from detoxlab.runs import Run
from detoxlab.subject import Subject
from tests.support.tiny import save_tiny

DOWN = "model.layers.1.mlp.down_proj.weight"
HEAD, EMBEDDINGS = "lm_head.weight", "model.embed_tokens.weight"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "base")


def delta_of(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def edited(base: Path, deltas: dict[str, Tensor], **fields: Any) -> Run:
    """A run beside its base that says it makes an edit, and holds this one."""
    run = Run.start(base.parent / "cut", kind="train", config={"method": "by-hand"})
    with run.writing():
        (run.path / "edit").mkdir()
        save_file(deltas, run.path / "edit" / "delta.safetensors")
        record = {"base_model": "../base", "base_model_id": load_model(base).id}
        run.update(method="by-hand", makes="edit", **record, **fields)
    return run


def logits(lm: LanguageModel) -> Tensor:
    with torch.no_grad():
        found: Tensor = lm.model(torch.tensor([[5, 6, 7]])).logits
    return found


def weights(lm: LanguageModel) -> dict[str, Tensor]:
    return {name: one.detach().clone() for name, one in lm.model.named_parameters()}


def test_a_delta_is_added_to_its_weight_and_to_no_other(base: Path) -> None:
    delta = delta_of((32, 64))
    before, after = (weights(load_model(one)) for one in (base, edited(base, {DOWN: delta}).path))
    assert torch.equal(after.pop(DOWN), before.pop(DOWN) + delta)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_name_says_which_edit_of_which_base_it_is(base: Path) -> None:
    run = edited(base, {DOWN: delta_of((32, 64))}, train_scorers=["rtp-linear@1"])
    of_run, of_folder = load_model(run.path), load_model(run.path / "edit")
    moved = load_model(base, adapter=run.path)
    assert of_run.id == of_folder.id == moved.id
    assert of_run.id.startswith(f"{load_model(base).id}+cut@")
    assert of_run.base_id == load_model(base).id
    assert Subject(of_run).training_scorers == ("rtp-linear@1",)
    assert torch.equal(logits(of_run), logits(moved))


def test_its_base_is_the_untouched_model_to_the_last_bit(base: Path) -> None:
    """Values that a sum and a difference would round: 1e8 added to weights of about 0.2."""
    run = edited(base, {DOWN: delta_of((32, 64)) * 1e8})
    lm, plain = load_model(run.path), load_model(base)
    changed = weights(lm)
    with Subject(lm).base() as untouched:
        assert untouched.id == plain.id
        assert all(torch.equal(one, weights(plain)[name]) for name, one in weights(lm).items())
        assert torch.equal(logits(untouched), logits(plain))
    assert all(torch.equal(one, changed[name]) for name, one in weights(lm).items())
    assert not torch.equal(logits(lm), logits(plain))


def test_an_edit_of_the_output_matrix_leaves_tied_embeddings_alone(base: Path) -> None:
    run = edited(base, {HEAD: delta_of((260, 32))})
    lm, plain = load_model(run.path), load_model(base)
    assert plain.model.config.tie_word_embeddings
    assert not lm.model.config.tie_word_embeddings
    assert torch.equal(weights(lm)[EMBEDDINGS], weights(plain)[EMBEDDINGS])
    assert torch.equal(lm.model.lm_head.weight, plain.model.lm_head.weight + delta_of((260, 32)))
    with lm.as_base():
        assert torch.equal(logits(lm), logits(plain))


def test_an_exported_edit_is_the_edited_model(base: Path, tmp_path: Path) -> None:
    run = edited(base, {HEAD: delta_of((260, 32))})
    exported = load_model(export_merged(run, tmp_path / "model"))
    assert torch.equal(logits(exported), logits(load_model(run.path)))


def test_it_scores_as_a_model_of_these_weights(base: Path) -> None:
    delta, other = delta_of((32, 64)), load_model(base)
    with torch.no_grad():
        other.model.get_parameter(DOWN).add_(delta)
    (found,) = Subject(load_model(edited(base, {DOWN: delta}).path)).token_log_probs(
        [[5]], [[6, 7]]
    )
    assert found.tolist() == token_log_probs(other, [[5]], [[6, 7]])[0].tolist()


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("model.layers.9.mlp.down_proj.weight", (32, 64), "no such weight"),
        ("model.layers.1.mlp.down_proj", (32, 64), "no such weight"),
        (DOWN, (64, 32), r"its shape is \(64, 32\), the weight's \(32, 64\)"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused(
    base: Path, name: str, shape: tuple[int, int], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        load_model(edited(base, {name: delta_of(shape)}).path)


def test_a_broken_file_and_another_base_are_refused(base: Path) -> None:
    run = edited(base, {DOWN: delta_of((32, 64))})
    other = save_tiny(base.parent / "other", seed=1)
    with pytest.raises(ModelError, match="was trained on base@"):
        load_model(other, adapter=run.path)
    (run.path / "edit" / "delta.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(run.path)


def test_an_edited_model_is_not_trained_further(base: Path) -> None:
    """What came of it would name a base that no file holds."""
    lm = load_model(edited(base, {DOWN: delta_of((32, 64))}).path)
    with pytest.raises(TrainingError, match="already carries an edit"):
        check_can_train(SFTConfig(), lm)


def test_low_rank_factors_are_read_as_an_adapter(base: Path) -> None:
    """With alpha equal to the rank, an edit B A is the LoRA of these factors."""
    left, right = delta_of((32, 2), 1), delta_of((2, 64), 2)
    run = edited(base, {DOWN: left @ right})
    whole = load_model(run.path)
    factors = run.path.parent / "factors"
    (factors / "adapter").mkdir(parents=True)
    info = {name: run.info[name] for name in ("base_model", "base_model_id", "makes", "kind")}
    (factors / "run.json").write_text(json.dumps(info | {"status": "finished"}))
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": 2,
        "lora_alpha": 2,
        "target_modules": r"model\.layers\.1\.mlp\.down_proj",
        "base_model_name_or_path": "../base",
    }
    (factors / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    place = f"base_model.model.{DOWN.removesuffix('.weight')}"
    save_file(
        {f"{place}.lora_A.weight": right, f"{place}.lora_B.weight": left},
        factors / "adapter" / "adapter_model.safetensors",
    )
    low_rank = load_model(factors)
    assert torch.allclose(logits(low_rank), logits(whole), atol=1e-4)
    with low_rank.as_base(), whole.as_base():
        assert torch.equal(logits(low_rank), logits(whole))
