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

from detoxlab import processes
from detoxlab.errors import TrainingError
from detoxlab.methods import load_method
from detoxlab.models import load_model
from detoxlab.runs import Run
from tests.support.kill_driver import kill_driver
from tests.support.launching import LAUNCH, finish, second_worker, start
from tests.support.shouting import register, texts
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


PLANS: dict[str, dict[str, Any]] = {
    "snapshot": SETTINGS,
    "current": SETTINGS | {"anchor": "current"},
}


def begun(here: Path, plans: dict[str, Any], *, processes: int = 2) -> "subprocess.Popen[str]":
    """Trainings in run folders by these names, one after another."""
    program = [*LAUNCH, str(DRIVER)] if processes == 2 else [sys.executable, str(DRIVER)]
    return start(["base", json.dumps(plans)], here, program)


def check_equal(one: Path, two: Path) -> None:
    """The log but for times, the adapter, the records of the iterations, the newest head."""
    assert kill_driver().differences(one, two) == []
    for name in ("iterations.jsonl", "auxiliary/loud/head.safetensors"):
        assert (two / name).read_bytes() == (one / name).read_bytes(), name
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All plans trained in one process, then in two."""
    here = tmp_path_factory.mktemp("regularised")
    save_tiny(here / "base")
    finish(begun(here, {f"{name}-one": plan for name, plan in PLANS.items()}, processes=1))
    _, errors = finish(begun(here, {f"{name}-two": plan for name, plan in PLANS.items()}))
    assert errors.count("training: done") == len(PLANS)
    return here


@pytest.mark.e2e
@pytest.mark.parametrize("anchor", PLANS)
def test_two_processes_do_what_one_does(anchor: str, trained: Path) -> None:
    check_equal(trained / f"{anchor}-one", trained / f"{anchor}-two")
    lines = (trained / f"{anchor}-two" / "iterations.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["iteration"], row["step"]) for row in rows] == [(1, 0), (2, 6), (3, 12)]


@pytest.mark.e2e
def test_two_processes_go_on_where_one_was_killed(trained: Path) -> None:
    process, victim = begun(trained, {"victim": SETTINGS}), trained / "victim"
    while process.poll() is None and not list(victim.glob("checkpoints/checkpoint-8/*state.json")):
        time.sleep(0.02)
    os.kill(second_worker(process.pid), signal.SIGKILL)
    process.communicate(timeout=300)
    assert not (victim / "adapter").exists()
    finish(begun(trained, {"victim": SETTINGS}))
    check_equal(trained / "snapshot-one", victim)


@pytest.mark.e2e
def test_what_the_second_process_cannot_do_ends_both(trained: Path) -> None:
    unheard = SETTINGS | {"conditions": [{"scorer": "shouting", "threshold": 0.05}]}
    process = begun(trained, {"unheard": unheard})
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "acceptance 0" in errors


def test_two_processes_cannot_share_every_schedule(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    register(monkeypatch)
    method = load_method("regularised", SETTINGS | {"schedule": "sequential"})
    model = load_model(save_tiny(tmp_path / "base"))
    run = Run.start(tmp_path / "run", kind="train", config={})
    monkeypatch.setattr(processes, "count", lambda: 2)
    with pytest.raises(TrainingError, match=r"cannot share its work among 2 processes.*") as found:
        method.fit(model, texts(24), run)
    assert "with schedule parallel and anchor snapshot or current" in str(found.value)
