"""Ctrl-C stops where it is heard, in the last step too, and what was done is gone on with."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detoxlab.data.split import DialogueSplit
from detoxlab.methods.loop.log import TrainLog
from detoxlab.runs import Run
from tests.support.killable import CASES
from tests.support.tiny import dialogues, tiny_lm
from tests.support.training_runs import fitted, logged

pytestmark = pytest.mark.slow

STEPS = 4
SHORT: dict[str, Any] = {"max_steps": STEPS, "save_steps": 3}
REGULARISED: dict[str, Any] = {
    "domains": {"*": {}},
    "prompts": 16,
    "iterations": 2,
    "draws": {"k": 2, "max_new_tokens": 4},
}
TRAINERS = ("sft", "dpo", "rejection", "grpo", "ppo")  # kto and rloo have those of dpo and grpo
METHODS = {name: (CASES[name][0], CASES[name][1] | SHORT) for name in TRAINERS}
METHODS["regularised"] = (DialogueSplit(dialogues(16)), REGULARISED | SHORT)

RECIPE = """name: r
model: embedded
prompts: {source: embedded, limit: 4}
sampling: {k: 1, max_new_tokens: 4}
judge: rtp-linear
second: null
resamples: 100
variants:
  - name: ft
    method: sft
    dialogues: {source: embedded, limit: 16}
    config: {max_steps: 2, batch_size: 4}
"""
DRIVER = """
import os, signal, sys
from detoxlab.cli import main
from detoxlab.methods.loop.log import TrainLog
append = TrainLog.append
def append_then_press(self, row):
    append(self, row)
    if row["step"] == 2 and "loss" in row:
        os.kill(os.getpid(), signal.SIGINT)
TrainLog.append = append_then_press
main(sys.argv[1:])
"""


def pressing(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ctrl-C while the row of `step` is written."""
    append = TrainLog.append

    def append_then_press(self: TrainLog, row: Any) -> None:
        append(self, row)
        if row["step"] == step and "loss" in row:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(TrainLog, "append", append_then_press)


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_in_the_last_step_stops_the_training(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, settings = METHODS[method]
    whole = fitted(method, tmp_path / "whole", data, tiny_lm(), **settings)
    with monkeypatch.context() as patched:
        pressing(patched, STEPS)
        with pytest.raises(KeyboardInterrupt):
            fitted(method, tmp_path / "run", data, tiny_lm(), **settings)
    run = Run.open(tmp_path / "run")
    assert run.info["status"] == "interrupted"
    assert max(logged(run)) == STEPS
    fitted(method, run.path, data, tiny_lm(), **settings)
    assert logged(run) == logged(whole)
    name = "adapter/adapter_model.safetensors"
    assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_ctrl_c_in_a_step_after_which_patience_ends_stops_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DialogueSplit(dialogues(24), dialogues(6, start=100))
    settings = {"patience": 1, "save_steps": 1, "max_steps": 20, "learning_rate": 5.0}
    whole = fitted("sft", tmp_path / "whole", data, tiny_lm(), **settings)
    assert whole.info["stopped_early"]
    pressing(monkeypatch, whole.info["steps"])
    with pytest.raises(KeyboardInterrupt):
        fitted("sft", tmp_path / "run", data, tiny_lm(), **settings)


def test_ctrl_c_before_a_training_of_no_steps_stops_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detoxlab.methods.imitation.train import Trainer

    save = Trainer.write_weights

    def press_then_save(self: Any, *args: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        save(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "write_weights", press_then_save)
        with pytest.raises(KeyboardInterrupt):
            fitted("sft", tmp_path / "run", DialogueSplit(dialogues(8)), max_steps=0)
    run = fitted("sft", tmp_path / "run", DialogueSplit(dialogues(8)), max_steps=0)
    assert run.info["status"] == "finished"


def test_a_recipe_stops_at_the_signal_and_goes_on_from_there(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    arguments = ["run", "r.yaml", "--out", "r"]
    stopped = subprocess.run(
        [sys.executable, "-c", DRIVER, *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert stopped.returncode == 130, stopped.stderr
    assert "Go on with --resume" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    for run in ("r", "r/trained/ft"):
        assert json.loads((tmp_path / run / "run.json").read_text())["status"] == "interrupted"
    assert not (tmp_path / "r" / "ft").exists(), "nothing was measured after the signal"
    command = [sys.executable, "-m", "detoxlab", *arguments, "--resume"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "r" / "report.html").is_file()
