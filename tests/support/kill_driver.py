"""Killing commands in tests: the driver in benchmarks/, and a kill at a file's growth."""

import importlib.util
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def kill_driver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kill", ROOT / "benchmarks" / "kill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def runs_when_grown(running: Callable[[], bool], log: Path, bytes_more: int, delay: float) -> bool:
    """Wait until the log has grown so far past its end, and a moment more: is it running still?"""
    before = log.stat().st_size if log.exists() else 0
    while running() and (not log.exists() or log.stat().st_size < before + bytes_more):
        time.sleep(0.005)
    time.sleep(delay)
    return running()


def kill_when_grown(
    process: "subprocess.Popen[bytes]", log: Path, bytes_more: int, delay: float
) -> bool:
    """Kill once the log has grown so far past its end, and a moment more; False if it ended."""
    hit = runs_when_grown(lambda: process.poll() is None, log, bytes_more, delay)
    if hit:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    return hit
