"""Kill a detoxlab command at random moments, resume it, and compare with an undisturbed run.

    python benchmarks/kill.py --kills 20 --out runs/kill -- train sft embedded --set epochs=1
    python benchmarks/kill.py --kills 20 --out runs/kill -- measure embedded --limit 20

The command is given without --out and --resume. It runs once undisturbed; then it is killed
by SIGKILL at moments drawn uniformly over the time that took, start-up included, and resumed
each time, until it ends. A run that ends before its moment comes is compared, and the next
one begins, until all kills are done. What must be equal:

    measure   prompts, generations, scores and measurements, byte for byte
    train     train.jsonl but for times, and the adapter's weights byte for byte

Prints one line per kill and run, and ends with exit code 1 if anything differs.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

TIMES = ("seconds", "tokens_per_second")
SAME_BYTES = (
    "prompts.jsonl",
    "generations/*.jsonl",
    "scores/*.jsonl",
    "measurements.json",
    "adapter/adapter_model.safetensors",
    "rejected.jsonl",
    "samples.jsonl",
)


@dataclass
class Outcome:
    """What happened: kills that hit, seconds of the undisturbed run, and all differences."""

    kills: int = 0
    seconds: float = 0.0
    runs: int = 0
    differences: list[str] = field(default_factory=list)


def torture(command: list[str], out: Path, *, kills: int, seed: int, echo: bool = True) -> Outcome:
    """Kill `command` (a detoxlab command line without --out) so many times, and compare."""
    rng, outcome = random.Random(seed), Outcome()
    whole = out / "whole"
    began = time.monotonic()
    _finish(command, whole)
    outcome.seconds = time.monotonic() - began
    _say(echo, f"undisturbed: {outcome.seconds:.1f} s")
    while outcome.kills < kills:
        victim = out / f"killed-{outcome.runs}"
        while outcome.kills < kills:
            moment = rng.uniform(0, outcome.seconds)
            if not _kill_at(command, victim, moment):
                break
            outcome.kills += 1
            _say(echo, f"kill {outcome.kills}: {victim.name} after {moment:.2f} s")
        _finish(command, victim)
        outcome.runs += 1
        found = differences(whole, victim)
        outcome.differences += [f"{victim.name}: {one}" for one in found]
        _say(echo, f"{victim.name}: {'; '.join(found) or 'equal'}")
    return outcome


def differences(whole: Path, other: Path) -> list[str]:
    """What differs between two run folders that should hold the same."""
    found = []
    for pattern in SAME_BYTES:
        names = {p.relative_to(run) for run in (whole, other) for p in run.glob(pattern)}
        for name in sorted(names):
            if not _same_bytes(whole / name, other / name):
                found.append(f"{name} differs")
    if _train_rows(whole) != _train_rows(other):
        found.append("train.jsonl differs")
    status = json.loads((other / "run.json").read_text(encoding="utf-8"))["status"]
    if status != "finished":
        found.append(f"its status is {status}")
    return found


def _same_bytes(one: Path, two: Path) -> bool:
    return one.exists() and two.exists() and one.read_bytes() == two.read_bytes()


def _train_rows(run: Path) -> list[dict[str, object]]:
    path = run / "train.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = map(json.loads, lines)
    return [{k: v for k, v in row.items() if not k.startswith(TIMES)} for row in rows]


def _arguments(command: list[str], run: Path) -> list[str]:
    resume = ["--resume"] if (run / "run.json").exists() else []
    if not resume:
        shutil.rmtree(run, ignore_errors=True)  # killed before it had written anything
    return [sys.executable, "-m", "detoxlab", *command, "--out", str(run), *resume]


def _finish(command: list[str], run: Path) -> None:
    done = subprocess.run(_arguments(command, run), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")


def _kill_at(command: list[str], run: Path, seconds: float) -> bool:
    """Whether the command was still at work after so many seconds; then it is dead."""
    process = subprocess.Popen(
        _arguments(command, run),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def _say(echo: bool, text: str) -> None:
    if echo:
        print(text, flush=True)


def main() -> None:
    """Read the command line, torture, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="an empty or new folder")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- measure … or -- train …")
    options = parser.parse_args()
    if options.out.exists() and any(options.out.iterdir()):
        parser.error(f"{options.out} is not empty")
    command = [part for part in options.command if part != "--"]
    outcome = torture(command, options.out, kills=options.kills, seed=options.seed)
    print(
        f"{outcome.kills} kills, {outcome.runs} runs, "
        f"{len(outcome.differences)} differences from the undisturbed run"
    )
    sys.exit(bool(outcome.differences))


if __name__ == "__main__":
    main()
