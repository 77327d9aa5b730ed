"""`kill -9` at random moments of a training: the resumed run is the undisturbed one."""

import multiprocessing
import random
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from kill_driver import kill_driver, runs_when_grown
from tiny import dialogues, save_tiny
from training_runs import fitted

from detoxlab.methods import METHODS, DialogueSplit
from detoxlab.methods.loop.log import TRAIN_LOG
from detoxlab.models import load_model
from detoxlab.records import Prompt

DRAWN = "generations/worker-0.jsonl"
PROMPTS = [Prompt(f"q{i}", f"well {i}", "test") for i in range(40)]
UNGATED = {"gates": {"other_language": False, "repeated_unit": False}}
SAMPLED: dict[str, Any] = {
    "draws": {"k": 4, "max_new_tokens": 16, "batch_size": 2},
    "reward": UNGATED,
    "epochs": 4,
    "max_steps": 40,
    "patience": 0,
    "save_steps": 3,
}
GROUPS: dict[str, Any] = {
    "rollout": {"prompts": 2, "k": 4, "max_new_tokens": 8},
    "reward": UNGATED,
    "samples_every": 2,
    "stop": {"kl_budget": None, "reward_drop": None, "entropy_floor": None},
    "max_steps": 30,
    "save_steps": 3,
}
# What a method learns from, its settings, and the file that grows until the first kill.
CASES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "sft": (
        DialogueSplit(dialogues(24), dialogues(6, start=100)),
        {"epochs": 8, "save_steps": 3},
        TRAIN_LOG,
    ),
    "dpo": (PROMPTS, SAMPLED | {"margin": 0.0}, DRAWN),
    "kto": (PROMPTS, SAMPLED | {"margin": 0.0}, DRAWN),
    "rejection": (PROMPTS, SAMPLED, DRAWN),
    "grpo": (PROMPTS, GROUPS, TRAIN_LOG),
    "rloo": (PROMPTS, GROUPS, TRAIN_LOG),
    "ppo": (PROMPTS, GROUPS | {"kl_target": 0.05, "kl_horizon": 50}, TRAIN_LOG),
}


def train(method: str, model: Path, folder: Path) -> None:
    """The whole training of a case, or the rest of it."""
    data, settings, _ = CASES[method]
    fitted(method, folder, data, load_model(model), **settings)


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    """Starts processes that have the libraries loaded, each with its own state."""
    context = multiprocessing.get_context("forkserver")
    places = {spec.fit.partition(":")[0] for spec in METHODS.values() if isinstance(spec.fit, str)}
    context.set_forkserver_preload(sorted(places))
    return context


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("killed") / "model")


@pytest.mark.e2e
@pytest.mark.parametrize("method", CASES)
def test_a_training_killed_three_times_equals_an_undisturbed_one(
    method: str, model: Path, forks: ForkServerContext, tmp_path: Path
) -> None:
    rng, whole, victim = random.Random(0), tmp_path / "whole", tmp_path / "victim"

    def started(folder: Path) -> ForkServerProcess:
        process = forks.Process(target=train, args=(method, model, folder))
        process.start()
        return process

    def finish(folder: Path) -> None:
        process = started(folder)
        process.join(timeout=300)
        assert process.exitcode == 0

    finish(whole)
    for grows in (CASES[method][2], TRAIN_LOG, TRAIN_LOG):
        process = started(victim)
        size = (whole / grows).stat().st_size  # three kills within .9 of it: it never ends before
        more, delay = int(size * rng.uniform(0.05, 0.3)), rng.uniform(0, 0.03)
        assert runs_when_grown(process.is_alive, victim / grows, more, delay)
        process.kill()
        process.join()
        assert grows == TRAIN_LOG or not (victim / TRAIN_LOG).exists()  # killed while drawing
    finish(victim)
    assert kill_driver().differences(whole, victim) == []


def test_the_driver_tells_runs_apart(tmp_path: Path) -> None:
    kill = kill_driver()
    for name, loss, seconds in (("a", 1.0, 5), ("b", 1.0, 6), ("c", 1.1, 5)):
        folder = tmp_path / name
        (folder / "generations").mkdir(parents=True)
        (folder / "run.json").write_text('{"status": "finished"}')
        (folder / TRAIN_LOG).write_text(f'{{"step": 1, "loss": {loss}, "seconds": {seconds}}}\n')
    assert kill.differences(tmp_path / "a", tmp_path / "b") == []
    assert kill.differences(tmp_path / "a", tmp_path / "c") == ["train.jsonl differs"]
    (tmp_path / "a" / "generations" / "worker-0.jsonl").write_text("{}\n")
    found = kill.differences(tmp_path / "a", tmp_path / "b")
    assert found == ["generations/worker-0.jsonl differs"]
    (tmp_path / "b" / "generations" / "worker-0.jsonl").write_text("{ }\n")
    assert kill.differences(tmp_path / "a", tmp_path / "b") == found
