"""`kill -9` at random moments of a training: the resumed run is the undisturbed one."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from kill_driver import kill_driver, kill_when_grown
from tiny import save_tiny

from detoxlab.methods.training.log import TRAIN_LOG

ROOT = Path(__file__).parent.parent
TRAIN = """
import sys
from pathlib import Path
from tiny import dialogues
from detoxlab.methods import SFT, DialogueSplit, SFTConfig
from detoxlab.models import load_model
from detoxlab.runs import Run

config = SFTConfig(epochs=8, batch_size=4, learning_rate=1e-2, save_steps=3, lora_r=4)
run = Run.start(sys.argv[2], kind="train", config=config.model_dump(mode="json"), resume=True)
data = DialogueSplit(dialogues(24), dialogues(6, start=100))
with run.writing():
    SFT(config).fit(load_model(sys.argv[1]), data, run)
"""


def start_training(model: Path, run: Path) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(model), str(run)],
        env=environment,
        stderr=subprocess.PIPE,
    )


def finish(process: "subprocess.Popen[bytes]") -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()[-2000:]


@pytest.mark.e2e
def test_a_training_killed_three_times_equals_an_undisturbed_one(tmp_path: Path) -> None:
    rng, model = random.Random(0), save_tiny(tmp_path / "model")
    whole, victim = tmp_path / "whole", tmp_path / "victim"
    finish(start_training(model, whole))
    hits = 0
    for _ in range(3):
        process = start_training(model, victim)
        hits += kill_when_grown(
            process, victim / TRAIN_LOG, rng.randrange(200, 3000), rng.uniform(0, 0.2)
        )
    finish(start_training(model, victim))
    assert hits == 3
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
