"""The contract of methods, over everything registered; their registry, configs and log."""

import importlib.metadata
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from detoxlab.data.split import DialogueSplit, TextSplit
from detoxlab.errors import ConfigError, UnknownNameError
from detoxlab.methods import BUILT_IN, METHODS, load_method
from detoxlab.methods.imitation.sft import SFTConfig
from detoxlab.methods.loop.log import (
    TrainLog,
    best_step,
    validations,
    validations_since_best,
)
from detoxlab.models import LanguageModel
from detoxlab.records import Prompt, Text
from detoxlab.registry import with_entry_points
from detoxlab.runs import Run, TornLineWarning
from detoxlab.settings import parse
from tests.support.tiny import dialogues, tiny_lm

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parents[2] / "src" / "detoxlab"
ALONE = [name for name, place in BUILT_IN.items() if ".config:" not in place]
SMALL: dict[str, Any] = {"batch_size": 4, "lora_r": 4}
DIALOGUES = DialogueSplit(dialogues(8), dialogues(2, start=100))
PROMPTS = [Prompt(f"q{i}", f"well {i}", "test") for i in range(14)]
TEXTS = TextSplit([Text(f"t{i}", f"you fool {i}", "test", "toxic") for i in range(8)])
# `auxiliary` leaves a head; steerings and edits that are computed have tests of their own,
# `test_activation_fit.py` and `test_edits.py`.
STEERED = {name for name, spec in METHODS.items() if spec.makes == "steering"}
TRAINED = sorted(METHODS.keys() - {"auxiliary", "eigenshift", "profs"} - STEERED)
# The tiny model's own responses are strings of random bytes, which some gates stop.
OWN: dict[str, Any] = {
    "draws": {"k": 4, "max_new_tokens": 8},
    "reward": {"gates": {"other_language": False, "repeated_unit": False}},
}
GROUPS: dict[str, Any] = {"rollout": {"prompts": 2, "k": 4, "max_new_tokens": 8}}

# The data of each method of this project, and the settings of a run of three steps.
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "dpo": (PROMPTS, SMALL | OWN | {"margin": 0.0}),
    "filter": (DIALOGUES, SMALL),
    "grpo": (PROMPTS, SMALL | GROUPS),
    "kto": (PROMPTS, SMALL | OWN | {"margin": 0.0}),
    "ppo": (PROMPTS, SMALL | {"rollout": {"prompts": 4, "max_new_tokens": 8}}),
    "regularised": (
        DIALOGUES,
        SMALL | {"draws": {"k": 4, "max_new_tokens": 8}, "head": {"steps": 3}},
    ),
    "rejection": (PROMPTS, SMALL | OWN),
    "rloo": (PROMPTS, SMALL | GROUPS),
    "sft": (DIALOGUES, SMALL),
    "simpo": (PROMPTS, SMALL | OWN | {"margin": 0.0}),
    "task-negation": (TEXTS, SMALL),
}


def fitted(name: str, folder: Path, lm: LanguageModel, **settings: Any) -> Run:
    data, common = CASES[name]
    method = load_method(name, common | settings)
    run = Run.start(folder, kind="train", config=method.config.model_dump(mode="json"))
    with run.writing():
        adapter = method.fit(lm, data, run)
    assert (adapter / "adapter_model.safetensors").is_file()
    return run


@pytest.mark.parametrize("name", TRAINED)
class TestContract:
    def test_the_base_model_stays_as_it_was(self, name: str, tmp_path: Path) -> None:
        lm = tiny_lm()
        before = {key: value.clone() for key, value in lm.model.state_dict().items()}
        fitted(name, tmp_path / "run", lm, max_steps=3)
        after = lm.model.state_dict()
        assert list(after) == list(before)
        assert all(torch.equal(after[key], before[key]) for key in before)

    def test_the_same_seed_gives_the_same_log(self, name: str, tmp_path: Path) -> None:
        logs = []
        for attempt in ("one", "two"):
            run = fitted(name, tmp_path / attempt, tiny_lm(), max_steps=3, seed=5)
            rows = TrainLog(run.path).rows()
            logs.append([(row["step"], row.get("loss"), row.get("eval_loss")) for row in rows])
        assert logs[0] == logs[1]
        assert [step for step, loss, _ in logs[0] if loss is not None] == [1, 2, 3]

    def test_the_record_says_what_was_made_of_what(self, name: str, tmp_path: Path) -> None:
        info = fitted(name, tmp_path / "run", tiny_lm(), max_steps=1).info
        assert info["method"] == name
        assert info["base_model"] == "tiny"
        assert info["base_model_id"] == "tiny@00000000"
        assert (info["adapter"], info["steps"]) == ("adapter", 1)

    def test_a_done_run_is_left_alone(self, name: str, tmp_path: Path) -> None:
        run = fitted(name, tmp_path / "run", tiny_lm(), max_steps=1)
        before = {p.name: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
        data, common = CASES[name]
        load_method(name, common | {"max_steps": 1}).fit(tiny_lm(), data, run)
        assert {p.name: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before


# --- registry and configs ---


@pytest.mark.parametrize("name", ALONE)
def test_the_registry_alone_knows_a_method_of_one_file_by_one_line(name: str) -> None:
    module = BUILT_IN[name].partition(":")[0]
    lines = [line for path in SOURCE.rglob("*.py") for line in path.read_text().splitlines()]
    named = [line.strip() for line in lines if re.search(rf"{re.escape(module)}\b", line)]
    assert named == [f'"{name}": "{module}:METHOD",']


def test_an_unknown_method_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'sft'"):
        load_method("stf")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"learning_rat": 1},
            "sft: unknown key 'learning_rat'. Did you mean 'learning_rate'",
        ),
        ({"xyzzy": 1}, "Known: batch_size"),
        ({"learning_rate": 0}, "learning_rate: Input should be greater than 0"),
        ({"targets": "first"}, "targets: Input should be 'last' or 'all'"),
        ({"batch_size": "secret words"}, "batch_size: Input should be a valid integer"),
        ({"report_to": ["mlflow"]}, "report_to"),
        ({"lora_dropout": 1.0}, "lora_dropout: Input should be less than 1"),
    ],
)
def test_a_wrong_hyperparameter_is_named_without_its_value(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_method("sft", settings)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_every_default_says_where_it_comes_from() -> None:
    for name, spec in METHODS.items():
        for key, field in spec.config.model_fields.items():
            assert field.description, f"{name}.{key}"


def test_a_config_survives_the_recipe() -> None:
    config = SFTConfig(target_modules=("q_proj", "v_proj"), report_to=("trackio",), bf16=True)
    assert parse(SFTConfig, config.model_dump(mode="json"), place="sft") == config


def test_a_name_taken_twice_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("sft", "other.package:SPEC", "detoxlab.methods")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [point])
    with pytest.raises(ConfigError, match=r"'sft' is registered twice.*other\.package"):
        with_entry_points("detoxlab.methods", METHODS)


# --- the log ---


def test_the_log_is_cut_at_the_step_it_resumes_from(tmp_path: Path) -> None:
    log = TrainLog(tmp_path)
    assert log.rows() == []
    log.cut_after(3)
    for step in range(5):
        log.append({"step": step, "loss": 1.0 / (step + 1)})
    with log.path.open("a") as handle:
        handle.write('{"step": 5, "lo')
    with pytest.warns(TornLineWarning):
        log.cut_after(2)
    assert [row["step"] for row in log.rows()] == [0, 1, 2]
    log.append({"step": 3, "loss": float("nan")})
    assert log.rows()[-1] == {"step": 3, "loss": None}


def test_patience_counts_validations_without_a_new_best() -> None:
    rows = [{"step": s, "eval_loss": v} for s, v in [(0, 0.1), (2, 3.0), (4, 2.0), (6, 2.0)]]
    assert validations(rows) == [(2, 3.0), (4, 2.0), (6, 2.0)]
    assert best_step(rows) == 4
    assert validations_since_best(rows) == 1
    assert validations_since_best(rows[:3]) == 0
    assert (best_step([]), validations_since_best([])) == (None, 0)
