"""`kill -9` at random moments of a regularised training: the resumed run is the undisturbed one.

Equal are the log with its divergences, the adapter, the records of the iterations with
acceptance and weight, and the heads, so that model, buffer, weight and iteration were restored.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detoxlab.methods.loop.log import TRAIN_LOG
from tests.support.kill_driver import kill_driver, kill_when_grown
from tests.support.launching import finding_tests
from tests.support.tiny import save_tiny

pytestmark = pytest.mark.slow

DRIVER = Path(__file__).parents[1] / "support" / "regularised_driver.py"
SETTINGS: dict[str, Any] = {
    "batch_size": 4,
    "learning_rate": 1e-2,
    "save_steps": 3,
    "lora_r": 4,
    "conditions": [{"scorer": "shouting"}],
    "draws": {"k": 2, "max_new_tokens": 8},
    "prompts": 24,
    "head": {"steps": 12, "batch_size": 16},
    "max_steps": 48,
}
WAYS: dict[str, dict[str, Any]] = {
    "snapshot": {
        "schedule": "parallel",
        "iterations": 4,
        "domains": {"loud": {"required": 0.97, "dual_rate": 2.0}},
    },
    "reference": {"anchor": "reference", "top_k": 40, "domains": {"loud": {}}},
}


def start_training(model: Path, run: Path, way: str) -> "subprocess.Popen[bytes]":
    plans = json.dumps({str(run): SETTINGS | WAYS[way]})
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(model), plans],
        env=os.environ | finding_tests(),
        stderr=subprocess.PIPE,
    )


def finish(process: "subprocess.Popen[bytes]") -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()[-2000:]


@pytest.mark.e2e
@pytest.mark.parametrize("way", WAYS)
def test_a_training_killed_twice_equals_an_undisturbed_one(tmp_path: Path, way: str) -> None:
    rng, model = random.Random(way), save_tiny(tmp_path / "model")
    whole, victim = tmp_path / "whole", tmp_path / "victim"
    finish(start_training(model, whole, way))
    grown = (whole / TRAIN_LOG).stat().st_size // 3
    for _ in range(2):
        process = start_training(model, victim, way)
        assert kill_when_grown(
            process, victim / TRAIN_LOG, rng.randrange(grown), rng.uniform(0, 0.2)
        )
    finish(start_training(model, victim, way))
    assert kill_driver().differences(whole, victim) == []
    for name in ("iterations.jsonl", "auxiliary/loud/head.safetensors"):
        assert (victim / name).read_bytes() == (whole / name).read_bytes(), name
    if way == "snapshot":
        rows = [json.loads(line) for line in (whole / "iterations.jsonl").read_text().splitlines()]
        assert [row["iteration"] for row in rows] == [1, 2, 3, 4]
        assert len({row["weight"] for row in rows}) > 1
