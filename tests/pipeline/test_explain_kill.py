"""`kill -9` in the middle of `explain`: the resumed run is the undisturbed one, to the byte."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kill_driver import kill_when_grown
from tests.support.measured_runs import measured
from tests.support.tiny import save_tiny

pytestmark = pytest.mark.slow

ROWS = "attributions.jsonl"
FILES = (ROWS, "faithfulness.jsonl", "measurements.json", "differences.json")
OPTIONS = (
    *("--limit", "12", "--steps", "4", "--batch-size", "2", "--check", "2"),
    *("--method", "input-x-gradient", "--resamples", "200", "--set", "encoder=hashed-ngrams"),
)


def explain(runs: list[str], out: Path, *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "detoxlab", "explain", *runs, "--out", str(out)]
    return subprocess.Popen(
        [*command, *OPTIONS, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(process: "subprocess.Popen[bytes]") -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()[-2000:]


@pytest.mark.e2e
def test_an_explanation_killed_in_the_middle_equals_an_undisturbed_one(tmp_path: Path) -> None:
    tiny = save_tiny(tmp_path / "tiny")
    warmer = {"max_new_tokens": 4, "temperature": 1.5}
    runs = [
        str(measured(tiny, tmp_path / "base").path),
        str(measured(tiny, tmp_path / "warm", sampling=warmer).path),
    ]
    whole, victim = tmp_path / "whole", tmp_path / "victim"
    finish(explain(runs, whole))
    third = (whole / ROWS).stat().st_size // 3
    for options in ((), ("--resume",)):
        assert kill_when_grown(explain(runs, victim, *options), victim / ROWS, third, 0.0)
    assert third < (victim / ROWS).stat().st_size < (whole / ROWS).stat().st_size
    finish(explain(runs, victim, "--resume"))
    for name in FILES:
        assert (victim / name).read_bytes() == (whole / name).read_bytes(), name
