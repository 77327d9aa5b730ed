"""What a stage took is measured for itself, and a resumed run adds its parts up honestly."""

import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from detoxlab.runs import Run
from detoxlab.runs.usage import GENERATE, TRAIN, Meter, Usage, measured_usage, read_usage, recorded

MIB = 2**20


def take(size: int) -> None:
    """Take memory from the system, not from what the allocator has kept, use it, give it back."""
    with mmap.mmap(-1, size) as memory:
        memory[:: mmap.PAGESIZE] = b"x" * (size // mmap.PAGESIZE)


def new_run(path: Path) -> Run:
    return Run.start(path, kind="train", config={"name": "x"})


def usage(run: Run, stage: str) -> Usage:
    found = read_usage(run.info, stage)
    assert found is not None
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak cannot be started anew")
def test_the_peak_is_that_of_the_block() -> None:
    large, small = Meter(), Meter()
    with measured_usage("cpu", large):
        take(200 * MIB)
    with measured_usage("cpu", small):
        take(10 * MIB)
    assert 150 * MIB < large.usage.peak_bytes - small.usage.peak_bytes < 250 * MIB
    assert large.usage.wall_seconds > 0
    assert large.usage.peak_device_bytes is None


def test_work_of_the_processor_counts_and_waiting_does_not() -> None:
    waiting, working = Meter(), Meter()
    with measured_usage("cpu", waiting):
        subprocess.run(["sleep", "0.3"], check=True)
    with measured_usage("cpu", working):
        sum(range(10_000_000))
    assert waiting.usage.wall_seconds >= 0.3
    assert waiting.usage.cpu_seconds < 0.2
    assert working.usage.cpu_seconds > 0.02


def test_parts_of_a_run_add_up(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.update(usage={GENERATE: {"wall_seconds": 10.0, "cpu_seconds": 4.0, "peak_bytes": 2**50}})
    with recorded(run, GENERATE, "cpu") as meter:
        meter.count_tokens(300)
        meter.count_tokens(200)
    found = usage(run, GENERATE)
    assert 10.0 <= found.wall_seconds < 15.0
    assert found.cpu_seconds >= 4.0
    assert found.peak_bytes == 2**50
    assert (found.parts, found.lost_parts, found.tokens) == (1, 0, 500)
    assert found.is_complete


def test_a_stage_that_fails_is_recorded_all_the_same(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    with pytest.raises(RuntimeError), recorded(run, TRAIN, "cpu"):
        raise RuntimeError
    assert usage(run, TRAIN).parts == 1
    assert usage(run, TRAIN).is_complete
    assert usage(run, TRAIN).peak_bytes > MIB


def test_a_killed_part_is_known_to_be_lost(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    killed = (
        "import os, sys; from detoxlab.runs import Run; from detoxlab.runs.usage import recorded\n"
        "with recorded(Run.open(sys.argv[1]), 'train', 'cpu'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed, str(run.path)], check=False)
    assert not usage(run, TRAIN).is_complete
    with recorded(run, TRAIN, "cpu"):
        pass
    assert (usage(run, TRAIN).parts, usage(run, TRAIN).lost_parts) == (2, 1)


def test_stages_stand_beside_each_other_and_unknown_ones_are_none(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    for stage in (GENERATE, "score"):
        with recorded(run, stage, "cpu"):
            pass
    assert list(run.info["usage"]) == [GENERATE, "score"]
    assert read_usage(run.info, TRAIN) is None


def test_the_record_of_an_earlier_version_is_read() -> None:
    found = read_usage({"training_seconds": 28.7, "peak_memory_bytes": 5}, TRAIN)
    assert found == Usage(wall_seconds=28.7, peak_bytes=5, parts=1)


def test_cost_per_token_and_the_memory_that_counts() -> None:
    times = {"wall_seconds": 6.0, "cpu_seconds": 3.0}
    assert Usage(**times, tokens=1500).seconds_per_1000_tokens == 2.0
    assert Usage(**times, tokens=1500, peak_device_bytes=1).seconds_per_1000_tokens == 4.0
    assert Usage(**times).seconds_per_1000_tokens is None
    assert Usage(peak_bytes=7).peak_working_bytes == 7
    assert Usage(peak_bytes=7, peak_device_bytes=3).peak_working_bytes == 3


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is that of all so far")
def test_a_program_does_not_begin_with_the_peak_of_the_one_that_began_it() -> None:
    large = np.ones(400 * MIB, dtype=np.uint8)
    said = "from detoxlab.runs.usage import peak_bytes; print(peak_bytes())"
    done = subprocess.run([sys.executable, "-c", said], check=True, capture_output=True, text=True)
    assert int(done.stdout) < large.nbytes
