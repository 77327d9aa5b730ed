"""Laws of regularised fine-tuning: idle it is SFT, cut off it goes on, at work it accepts more."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
from trl.trainer.utils import add_fused_lm_head

from detoxlab.data.split import DialogueSplit
from detoxlab.errors import ConfigError, TrainingError
from detoxlab.generate import LocalEngine
from detoxlab.generate.engine import PromptTruncatedWarning
from detoxlab.methods import load_method, method_of
from detoxlab.methods.base import MethodConfig
from detoxlab.methods.imitation.sft import SFTConfig
from detoxlab.methods.loop.log import TrainLog
from detoxlab.methods.regularised import domain as regularised_domain
from detoxlab.methods.regularised.config import RegularisedConfig
from detoxlab.methods.regularised.forward import Joined
from detoxlab.models import LanguageModel, load_model
from detoxlab.records import Prompt, Sampling
from detoxlab.runs import Run
from detoxlab.subject import Subject
from tests.support.shouting import shouting, texts
from tests.support.tiny import dialogue, dialogues, save_tiny, tiny_lm

__all__ = ["shouting"]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shouting")]

FAST: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-2, "save_steps": 3, "lora_r": 4}
DATA = texts(24)
SETTINGS: dict[str, Any] = FAST | {
    "conditions": [{"scorer": "shouting"}],
    "domains": {"loud": {"weight": 5.0}},
    "draws": {"k": 2, "max_new_tokens": 8},
    "prompts": 24,
    "head": {
        "steps": 12,
        "batch_size": 16,
        "learning_rate": 1e-2,
        "weight_decay": 0.01,
        "consistency": 0.1,
    },
    "iterations": 2,
    "max_steps": 8,
    "top_k": 40,
}


def fitted(folder: Path, method: Any, data: Any = DATA, lm: LanguageModel | None = None) -> Run:
    config: MethodConfig = method.config
    run = Run.start(folder, kind="train", config=config.model_dump(mode="json"), resume=True)
    with run.writing():
        method.fit(lm or tiny_lm(), data, run)
    return run


def regularised(folder: Path, data: Any = DATA, **settings: Any) -> Run:
    return fitted(folder, method_of(RegularisedConfig(**(SETTINGS | settings))), data)


def log(run: Run, *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(row.get(k) for k in ("step", *keys)) for row in TrainLog(run.path).rows()]


def adapter_bytes(run: Run) -> bytes:
    return (run.path / "adapter" / "adapter_model.safetensors").read_bytes()


def iterations(run: Run) -> list[dict[str, Any]]:
    lines = (run.path / "iterations.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


# --- idle ---


def test_a_constraint_that_is_met_changes_nothing(tmp_path: Path) -> None:
    plain = fitted(tmp_path / "sft", method_of(SFTConfig(**FAST, max_steps=8)))
    idle = regularised(tmp_path / "idle", domains={"loud": {"required": 0.05}})
    assert all(row["met"] for row in iterations(idle))
    assert log(idle, "loss", "eval_loss") == log(plain, "loss", "eval_loss")
    assert adapter_bytes(idle) == adapter_bytes(plain)


def test_one_that_each_prompt_meets_changes_nothing(tmp_path: Path) -> None:
    """By what the head expects of each; the regulariser stays at work, for one may come."""
    plain = fitted(tmp_path / "sft", method_of(SFTConfig(**FAST, max_steps=8)))
    asked = {"loud": {"required": 0.01, "per_prompt": True}}
    idle = regularised(tmp_path / "idle", domains=asked, sampled_rows=0)
    assert not any(row["met"] for row in iterations(idle))
    assert adapter_bytes(idle) == adapter_bytes(plain)


def test_dialogues_as_long_as_the_context_are_read_as_they_were_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = []
    reading = regularised_domain.read_features

    def read(lm: Any, output: Any, samples: Any, length: int) -> Any:
        longest.append(max(len(one.prompt_ids) + len(one.ids) for one in samples))
        return reading(lm, output, samples, length)

    monkeypatch.setattr(regularised_domain, "read_features", read)
    lm = tiny_lm()
    asked = "you fool " * 28
    data = DialogueSplit([dialogue(asked[:-i], "I AM", name=f"d{i}") for i in range(1, 9)])
    config = RegularisedConfig(
        **(SETTINGS | {"domains": {"*": {}}, "max_steps": 2, "max_length": lm.context_length})
    )
    with pytest.warns(PromptTruncatedWarning, match="6 of 8 prompts are longer"):
        fitted(tmp_path / "run", method_of(config), data, lm)
    assert max(longest) == lm.context_length


def test_one_that_cannot_be_met_says_so(tmp_path: Path) -> None:
    never = [{"scorer": "shouting", "threshold": 0.05}]
    with pytest.raises(TrainingError, match=r"none of 48 responses.*acceptance 0.*threshold"):
        regularised(tmp_path / "run", conditions=never)


# --- at work ---


def test_the_first_step_is_at_the_anchor_and_then_it_moves(tmp_path: Path) -> None:
    run = regularised(tmp_path / "run", lora_dropout=0.0)
    rows = [row for row in TrainLog(run.path).rows() if "loss" in row]
    assert rows[0]["kl_to_anchor"] == pytest.approx(0, abs=1e-5)
    assert rows[0]["kl_to_target"] > 1e-3  # the head asks for something
    assert rows[3]["kl_to_anchor"] > 1e-4
    assert [row["iteration"] for row in rows] == [1] * 4 + [2] * 4
    assert rows[4]["kl_to_anchor"] == pytest.approx(0, abs=1e-5)  # a new snapshot
    first, second = iterations(run)
    assert (first["domain"], first["drawn"], first["buffer"]) == ("loud", 48, 48)
    assert second["buffer"] == 96
    assert 0 < first["acceptance"] < 1
    assert "held_out_auroc" not in first  # all texts begin alike: no beginning is unseen
    assert (run.path / "auxiliary" / "loud" / "head.safetensors").is_file()


def test_beginnings_that_no_head_is_fitted_on_tell_how_good_it_is(tmp_path: Path) -> None:
    run = regularised(tmp_path / "run", prompt_tokens=12, max_steps=2, iterations=1)
    (row,) = iterations(run)
    assert row["held_out_responses"] == 4  # to 2 of 24 beginnings, drawn twice each
    assert [one["position"] for one in row["held_out_positions"]] == [*range(1, 9)]


def acceptance(lm: LanguageModel) -> float:
    beginnings = [Prompt(f"p{i}", "you fo", "test") for i in range(40)]
    drawn = LocalEngine(Subject(lm), chat=False).generate(beginnings, Sampling(4, 8))
    return sum(not any("A" <= c <= "Z" for c in one.text) for one in drawn) / len(drawn)


def test_it_learns_loud_texts_and_speaks_less_loudly(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    common = {"epochs": 8, "max_steps": None, "patience": 0, "lora_r": 16, "save_steps": 1000}
    plain = fitted(tmp_path / "sft", method_of(SFTConfig(**(FAST | common))), lm=load_model(base))
    strong = {
        "domains": {"loud": {"weight": 10.0}},
        "draws": {"k": 12, "max_new_tokens": 8},
        "head": {"steps": 150, "learning_rate": 1e-2, "blocks": 0, "tied": False},
    }
    config = RegularisedConfig(**(SETTINGS | common | strong))
    treated = fitted(tmp_path / "run", method_of(config), lm=load_model(base))
    rates = [acceptance(load_model(run.path)) for run in (plain, treated)]
    assert rates[1] > rates[0] + 0.1


@pytest.mark.parametrize(
    "settings",
    [
        {"anchor": "reference"},
        {"anchor": "reference", "top_k": None, "sampled_rows": 0},
        {"anchor": "current", "schedule": "parallel", "top_k": None},
        {"schedule": "parallel", "gradient_accumulation": 2},
        {"domains": {"*": {"required": 0.97, "dual_rate": 2.0, "retention": 0.5}}},
        {"domains": {"loud": {"required": 0.97, "per_prompt": True}}, "top_k": None},
        {"kl_budget": 1e-9, "max_steps": 12, "iterations": 1},
        {"draws": {"k": 2, "max_new_tokens": 8, "temperature": 1.3}},
    ],
    ids=str,
)
def test_every_setting_trains(tmp_path: Path, settings: dict[str, Any]) -> None:
    run = regularised(tmp_path / "run", **({"max_steps": 4} | settings))
    rows = [row for row in TrainLog(run.path).rows() if "loss" in row]
    assert all(math.isfinite(row["loss"]) and row["kl_to_target"] >= -1e-6 for row in rows)
    seen = {row["iteration"] for row in iterations(run)}
    if settings.get("anchor") == "reference":
        assert seen == {1}
        assert (run.path / "targets-loud.safetensors").is_file() == ("top_k" not in settings)
    else:
        assert seen == {1, 2}
    if "*" in settings.get("domains", {}):
        weights = [r["weight"] for r in iterations(run) if r["domain"] == "loud"]
        assert weights[1] > weights[0] > 3.0


@pytest.mark.parametrize("anchor", ["reference", "snapshot"])
def test_cached_targets_are_those_made_afresh(tmp_path: Path, anchor: str) -> None:
    """Of the reference, and of what any anchor drew; those of a whole vocabulary are not kept."""
    common = {"anchor": anchor, "lora_dropout": 0.0, "max_steps": 4}
    cached = regularised(tmp_path / "cached", top_k=259, **common)
    afresh = regularised(tmp_path / "afresh", top_k=None, **common)
    one, two = ([row[1] for row in log(run, "loss")] for run in (cached, afresh))
    assert [x for x in one if x] == pytest.approx([x for x in two if x], abs=2e-4)


def test_rows_behind_a_batch_change_nothing_in_it() -> None:
    lm = tiny_lm()
    add_fused_lm_head(lm.model, outputs=("log_probs", "entropy", "is_top1"))
    collate = DataCollatorForLanguageModeling(pad_token_id=lm.pad_id)
    batch = collate([{"input_ids": ids, "labels": ids} for ids in ([5, 6, 7], [8, 9])])
    further = collate([{"input_ids": [5, 6, 7, 8, 9], "labels": [-100, -100, 7, 8, 9]}])
    alone, joined = (Joined(lm.model, rows, lm.pad_id) for rows in (None, further))
    one, two = (model(**batch, use_cache=False, fused_lm_head=True) for model in (alone, joined))
    assert torch.allclose(two.log_probs.sum(dim=1), one.log_probs.sum(dim=1), atol=1e-5)
    assert (two.label_mask.sum(), two.is_top1.sum()) == (one.label_mask.sum(), one.is_top1.sum())
    behind = Joined(lm.model, None, lm.pad_id)(**further, use_cache=False, fused_lm_head=True)
    assert torch.allclose(joined.outputs.log_probs[2], behind.log_probs[0], atol=1e-5)


def test_dialogues_can_be_regularised_too(tmp_path: Path) -> None:
    data = DialogueSplit(dialogues(16))
    run = regularised(tmp_path / "run", data, domains={"*": {}}, max_steps=2, prompts=16)
    assert {row["domain"] for row in iterations(run)} == {"dialogues"}


# --- cut off ---


def test_an_interrupted_run_goes_on_as_if_never_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"schedule": "parallel", "iterations": 3, "max_steps": 9}
    whole = regularised(tmp_path / "whole", **settings)
    append = TrainLog.append

    def fail_at_eight(self: TrainLog, row: Any) -> None:
        append(self, row)
        if row["step"] == 8:
            raise OSError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(TrainLog, "append", fail_at_eight)
        with pytest.raises(OSError, match="gone"):
            regularised(tmp_path / "run", **settings)
    run = regularised(tmp_path / "run", **settings)
    assert log(run, "loss", "kl_to_target") == log(whole, "loss", "kl_to_target")
    assert iterations(run) == iterations(whole)
    assert adapter_bytes(run) == adapter_bytes(whole)


# --- refusing ---


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"domains\.lout: the data have no such.*general, loud"):
        regularised(tmp_path / "a", domains={"lout": {}})
    with pytest.raises(ConfigError, match=r"anchor current over 600 steps.*would drift"):
        regularised(tmp_path / "b", anchor="current", max_steps=None, epochs=50, iterations=2)
    with pytest.raises(ConfigError, match="dual_rate without required"):
        load_method("regularised", {"domains": {"*": {"dual_rate": 1.0}}})
    with pytest.raises(ConfigError, match=r"top_p is 0\.9"):
        load_method("regularised", {"draws": {"top_p": 0.9}})
    assert load_method("regularised").config.training_scorers == ("rtp-linear",)


def test_the_base_is_given_back(tmp_path: Path) -> None:
    lm = tiny_lm()
    before = {name: value.clone() for name, value in lm.model.state_dict().items()}
    fitted(tmp_path / "run", method_of(RegularisedConfig(**SETTINGS)), lm=lm)
    after = lm.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
