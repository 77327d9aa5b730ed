"""Trackers get every row of the training log, numbers only, in a process of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from detoxlab.errors import DependencyError
from detoxlab.methods.loop.log import TrainLog
from detoxlab.methods.loop.trackers import TRACKERS, check_installed

pytestmark = pytest.mark.slow

TRAIN = [sys.executable, "-m", "detoxlab", "train", "sft", "embedded", "--limit", "24"]
SETTINGS = ["--set", "max_steps=3", "--set", "batch_size=4", "--set", "max_length=48"]

READ_TRACKIO = """
import json, sys
from trackio.sqlite_storage import SQLiteStorage
runs = SQLiteStorage.get_runs("detoxlab")
print(json.dumps([SQLiteStorage.get_logs("detoxlab", run) for run in runs]))
"""


@pytest.mark.e2e
def test_tensorboard_and_trackio_hold_the_rows_of_the_log(tmp_path: Path) -> None:
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    run = tmp_path / "run"
    names = ["--set", "report_to=[tensorboard, trackio]"]
    command = [*TRAIN, *SETTINGS, *names, "--out", str(run)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    rows = TrainLog(run).rows()
    losses = {row["step"]: row["loss"] for row in rows if "loss" in row}
    assert sorted(losses) == [1, 2, 3]

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert {e.step: e.value for e in events.Scalars("loss")} == pytest.approx(losses)
    assert not events.Tags()["tensors"], "texts would be here"

    reading = [sys.executable, "-c", READ_TRACKIO]
    done = subprocess.run(reading, env=environment, check=True, capture_output=True, text=True)
    (sent,) = json.loads(done.stdout.splitlines()[-1])
    assert {row["step"]: row["loss"] for row in sent if "loss" in row} == pytest.approx(losses)
    assert str(tmp_path) not in done.stdout


def test_a_tracker_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(DependencyError, match=r"report_to=wandb.*pip install wandb"):
        check_installed(("wandb",))


def test_every_name_of_the_setting_has_a_tracker() -> None:
    from typing import get_args

    from detoxlab.methods.loop.trackers import TrackerName

    assert set(get_args(TrackerName)) == set(TRACKERS)
