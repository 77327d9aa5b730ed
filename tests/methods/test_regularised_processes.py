"""Two processes, of which one draws, labels and fits while the other trains, do what one does."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.kill_driver import kill_driver
from tests.support.launching import LAUNCH, finish, second_worker, start
from tests.support.tiny import save_tiny

pytestmark = pytest.mark.slow

DRIVER = Path(__file__).parents[1] / "support" / "regularised_driver.py"
SETTINGS: dict[str, Any] = {
    "schedule": "parallel",
    "iterations": 3,
    "max_steps": 18,
    "save_steps": 2,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "lora_r": 4,
    "conditions": [{"scorer": "shouting"}],
    "domains": {"loud": {"required": 0.97, "dual_rate": 2.0}},
    "draws": {"k": 2, "max_new_tokens": 8},
    "prompts": 24,
    "head": {"steps": 12, "batch_size": 16},
}


def begun(here: Path, out: str, *, processes: int = 2, **settings: Any) -> "subprocess.Popen[str]":
    program = [*LAUNCH, str(DRIVER)] if processes == 2 else [sys.executable, str(DRIVER)]
    return start(["base", out, json.dumps(SETTINGS | settings)], here, program)


def check_equal(one: Path, two: Path) -> None:
    """The log but for times, the adapter, the records of the iterations, the newest head."""
    assert kill_driver().differences(one, two) == []
    for name in ("iterations.jsonl", "auxiliary/loud/head.safetensors"):
        assert (two / name).read_bytes() == (one / name).read_bytes(), name
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()}


@pytest.mark.e2e
def test_two_processes_do_what_one_does_also_when_killed(tmp_path: Path) -> None:
    save_tiny(tmp_path / "base")
    one, two, victim = (tmp_path / name for name in ("one", "two", "victim"))
    finish(begun(tmp_path, "one", processes=1))
    _, errors = finish(begun(tmp_path, "two"))
    assert errors.count("training: done") == 1
    check_equal(one, two)
    rows = [json.loads(line) for line in (two / "iterations.jsonl").read_text().splitlines()]
    assert [(row["iteration"], row["step"]) for row in rows] == [(1, 0), (2, 6), (3, 12)]

    process = begun(tmp_path, "victim")
    while process.poll() is None and not list(victim.glob("checkpoints/checkpoint-8/*state.json")):
        time.sleep(0.02)
    os.kill(second_worker(process.pid), signal.SIGKILL)
    process.communicate(timeout=300)
    assert not (victim / "adapter").exists()
    finish(begun(tmp_path, "victim"))
    check_equal(one, victim)


@pytest.mark.e2e
def test_the_policy_as_it_is_can_be_the_anchor_of_two(tmp_path: Path) -> None:
    save_tiny(tmp_path / "base")
    for name, processes in (("one", 1), ("two", 2)):
        finish(begun(tmp_path, name, processes=processes, anchor="current"))
    check_equal(tmp_path / "one", tmp_path / "two")


@pytest.mark.e2e
def test_what_the_second_process_cannot_do_ends_both(tmp_path: Path) -> None:
    save_tiny(tmp_path / "base")
    for settings, message in (
        ({"conditions": [{"scorer": "shouting", "threshold": 0.05}]}, "acceptance 0"),
        ({"schedule": "sequential"}, "with schedule parallel and anchor snapshot or current"),
    ):
        process = begun(tmp_path, f"run{len(message)}", **settings)
        _, errors = process.communicate(timeout=300)
        assert process.returncode != 0
        assert message in errors
