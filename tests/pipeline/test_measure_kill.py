"""`kill -9` at random moments of `measure`: the resumed run is the undisturbed one, to the byte."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kill_driver import kill_driver, kill_when_grown

pytestmark = pytest.mark.slow

MEASURE = (
    *("measure", "embedded", "--limit", "60", "--k", "4", "--max-new-tokens", "20"),
    *("--batch-size", "4", "--judge", "rtp-linear", "--second", "none", "--hate", "none"),
    *("--resamples", "200"),
)


def measure(out: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "detoxlab", *MEASURE, "--out", str(out)]
    if out.exists():
        command.append("--resume")
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: "subprocess.Popen[bytes]") -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()[-2000:]


@pytest.mark.e2e
def test_a_measurement_killed_three_times_equals_an_undisturbed_one(tmp_path: Path) -> None:
    rng = random.Random(0)
    whole, victim = tmp_path / "whole", tmp_path / "victim"
    finish(measure(whole))
    rows = "generations/worker-0.jsonl"
    size = (whole / rows).stat().st_size
    hits = 0
    for _ in range(3):
        process = measure(victim)
        more = rng.randrange(1, size // 4)
        hits += kill_when_grown(process, victim / rows, more, rng.uniform(0, 0.05))
    finish(measure(victim))
    assert hits == 3
    assert kill_driver().differences(whole, victim) == []
