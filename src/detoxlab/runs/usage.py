"""The time and memory that each stage of a run took, in the entry `usage` of its `run.json`.

A run that was cut off and resumed adds its parts up. A part that was killed has recorded nothing:
it is counted as lost, and the sums are then lower bounds.
"""

import contextlib
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detoxlab.runs.run import Run

ENTRY = "usage"
TRAIN, GENERATE = "train", "generate"
RESET_PEAK = "5"  # Linux, proc(5): writing this resets the peak
DIGITS = 3  # of seconds


@dataclass(frozen=True)
class Usage:
    """The usage of one stage over all its `parts`: one, and one more for each resumption.

    `wall_seconds` are those of the clock, `cpu_seconds` those of all threads and of children that
    have ended. `peak_bytes` is the most memory of this process, libraries included, and
    `peak_device_bytes` the most of the GPU, where it computed there. `tokens` were drawn in these
    seconds, where the stage draws any.

    >>> Usage(cpu_seconds=3.0, tokens=1500).seconds_per_1000_tokens
    2.0
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    peak_device_bytes: int | None = None
    parts: int = 0
    lost_parts: int = 0
    tokens: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether no part was lost; else seconds and peaks are lower bounds."""
        return self.lost_parts == 0

    @property
    def seconds_per_1000_tokens(self) -> float | None:
        """Seconds for 1,000 drawn tokens: of the clock on a GPU, else of the processor.

        Other programs on the machine take from the clock, not from the processor's seconds. None
        where no tokens were counted.
        """
        on_gpu = self.peak_device_bytes is not None
        seconds = self.wall_seconds if on_gpu else self.cpu_seconds
        return 1000 * seconds / self.tokens if self.tokens else None

    @property
    def peak_working_bytes(self) -> int:
        """The most memory where it computed: of the GPU if it was used, of the process else."""
        return self.peak_bytes if self.peak_device_bytes is None else self.peak_device_bytes

    def __add__(self, other: "Usage") -> "Usage":
        """Both together: sums of seconds, parts and tokens, the larger peak."""
        return Usage(
            wall_seconds=round(self.wall_seconds + other.wall_seconds, DIGITS),
            cpu_seconds=round(self.cpu_seconds + other.cpu_seconds, DIGITS),
            peak_bytes=max(self.peak_bytes, other.peak_bytes),
            peak_device_bytes=_larger(self.peak_device_bytes, other.peak_device_bytes),
            parts=self.parts + other.parts,
            lost_parts=self.lost_parts + other.lost_parts,
            tokens=_sum(self.tokens, other.tokens),
        )


@dataclass
class Meter:
    """Counts what a stage does while it runs; `usage` is that of the part, when it has ended."""

    tokens: int | None = None
    usage: Usage = field(default_factory=Usage)

    def count_tokens(self, number: int) -> None:
        """Add tokens that were drawn."""
        self.tokens = (self.tokens or 0) + number


def read_usage(info: Mapping[str, Any], stage: str) -> Usage | None:
    """The usage of a stage by the content of a `run.json`; None where it is not recorded.

    >>> read_usage({"usage": {"train": {"wall_seconds": 9.5, "parts": 1}}}, "train").wall_seconds
    9.5
    """
    stored = (info.get(ENTRY) or {}).get(stage)
    if stored is not None:
        return Usage(**stored)
    if stage == TRAIN and "training_seconds" in info:  # a run of an earlier version
        peak = int(info.get("peak_memory_bytes") or 0)
        return Usage(wall_seconds=float(info["training_seconds"]), peak_bytes=peak, parts=1)
    return None


@contextlib.contextmanager
def recorded(run: Run, stage: str, device: str) -> Iterator[Meter]:
    """Add the usage of the block to that of the stage in `run.json`, also where it fails.

    Until the block ends, its part stands there as lost, so a kill leaves the truth. `device` is
    the kind on which it computes, "cpu" or "cuda".
    """
    before = read_usage(run.info, stage) or Usage()
    _write(run, stage, before + Usage(parts=1, lost_parts=1))
    meter = Meter()
    try:
        with measured_usage(device, meter):
            yield meter
    finally:
        _write(run, stage, before + meter.usage)


@contextlib.contextmanager
def measured_usage(device: str, meter: Meter) -> Iterator[None]:
    """Give the meter the usage of the block when it has ended, also where it fails.

    Where the system cannot reset the peak (all but Linux), it is that of the whole process so
    far.
    """
    started, busy = time.perf_counter(), _cpu_seconds()
    _reset_peak(device)
    try:
        yield
    finally:
        meter.usage = Usage(
            wall_seconds=time.perf_counter() - started,
            cpu_seconds=_cpu_seconds() - busy,
            peak_bytes=peak_bytes(),
            peak_device_bytes=peak_bytes(device) if device == "cuda" else None,
            parts=1,
            tokens=meter.tokens,
        )


def peak_bytes(device: str = "cpu") -> int:
    """The most memory held since the peak was reset: of the GPU on "cuda", of this process else.

    Linux counts it per program. `ru_maxrss` of a process begun by a larger one starts at the
    other's peak.
    """
    if device == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# --- inside ---


def _write(run: Run, stage: str, usage: Usage) -> None:
    known = {name: value for name, value in asdict(usage).items() if value is not None}
    run.update(**{ENTRY: {**(run.info.get(ENTRY) or {}), stage: known}})


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _reset_peak(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)


def _larger(first: int | None, second: int | None) -> int | None:
    known = [value for value in (first, second) if value is not None]
    return max(known, default=None)


def _sum(first: int | None, second: int | None) -> int | None:
    known = [value for value in (first, second) if value is not None]
    return sum(known) if known else None
