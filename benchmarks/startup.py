"""How long `detoxlab --help`, and that of every command, takes to show.

    python benchmarks/startup.py [--rounds 5]

The shortest of the rounds counts, in seconds from the start of the process to its end; CPU
seconds stand beside, which a busy neighbour disturbs less. Aims: .5 for `detoxlab --help`, .7
for a command. `python -X importtime -m detoxlab --help` says
which imports take it; tests/cli/test_helping.py holds that none of them is a heavy package.
"""

import argparse
import resource
import subprocess
import sys
import time

from detoxlab.cli import app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    names = sorted(info.callback.__name__ for info in app.registered_commands if info.callback)
    for command in ([], *([name] for name in names), ["help", "settings"]):
        clock, cpu = map(
            min, zip(*(timed([*command, "--help"]) for _ in range(rounds)), strict=True)
        )
        print(f"{clock:.2f} s, {cpu:.2f} s of CPU  detoxlab {' '.join([*command, '--help'])}")


def timed(arguments: list[str]) -> tuple[float, float]:
    """Seconds on the clock, and of CPU, of one call of detoxlab."""
    started, before = time.perf_counter(), cpu_seconds()
    command = [sys.executable, "-m", "detoxlab", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started, cpu_seconds() - before


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
