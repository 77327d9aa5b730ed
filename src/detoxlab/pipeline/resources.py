"""Measures the time and the peak memory of a piece of work."""

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RESET_PEAK = "5"  # Linux, proc(5): writing this resets the peak


@dataclass
class Usage:
    """`seconds` on the clock and `peak_bytes` of memory; both are set when the work has ended."""

    seconds: float = 0.0
    peak_bytes: int = 0


@contextlib.contextmanager
def measured_usage(device: str) -> Iterator[Usage]:
    """The usage of the block: memory of the GPU on "cuda", of this process otherwise.

    Where the system cannot reset the peak (all but Linux), it is that of the whole process so
    far.
    """
    usage, started = Usage(), time.perf_counter()
    _reset_peak(device)
    try:
        yield usage
    finally:
        usage.seconds = time.perf_counter() - started
        usage.peak_bytes = peak_bytes(device)


def peak_bytes(device: str) -> int:
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


def _reset_peak(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
