"""The overhead of `--on ray`: texts scored by its workers against this process, on one core each.

    python benchmarks/workers.py [--texts 50000] [--workers 1] [--rounds 2]

The linear scorer is the fastest there is, so the engine's part is largest with it. Time is counted
from the first batch that is written to the last: loading and the start of the cluster are shown
apart. Both write the same file of scores, byte for byte, or the benchmark fails.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from detoxlab.pipeline.stages.scoring import Scoring
from detoxlab.records import Generation
from detoxlab.runs import Run
from detoxlab.scorers import load_scorer, score_into
from detoxlab.workers import Workers, workers_on

WORDS = ("it rains today", "what a nice dog", "they left early", "nobody was there")


def texts(number: int) -> list[Generation]:
    """Generations of about twenty words, each its own."""
    words = [f"{at}: {'; '.join(WORDS[(at + i) % 4] for i in range(5))}." for at in range(number)]
    return [Generation(f"p{at}", 0, text, (), "eos") for at, text in enumerate(words)]


def timed(workers: Workers, rows: Sequence[Generation], folder: Path) -> tuple[float, float, bytes]:
    """Seconds until the first batch, seconds from there to the last one, and the file."""
    begun, written = time.monotonic(), []
    scorer = load_scorer("rtp-linear", cache=False)

    def over(compute: Callable[[Any], Any], left: Sequence[Any]) -> Iterator[Any]:
        work = Scoring(scorer.id, scorer.attributes, "rtp-linear")
        for found in workers.results(work, compute, left):
            yield found
            written.append(time.monotonic())

    run = Run.start(folder, kind="score", config={})
    score_into(run, scorer, rows, over=over)
    file = next((folder / "scores").iterdir())
    return written[0] - begun, written[-1] - written[0], file.read_bytes()


def main() -> None:
    """Print both times of each round, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    rows = texts(options.texts)
    with tempfile.TemporaryDirectory() as folder, workers_on("ray", options.workers) as cluster:
        for round_ in range(options.rounds):
            place = partial(Path(folder).joinpath)
            with workers_on("local") as here:
                start, local, expected = timed(here, rows, place(f"here-{round_}"))
            begun, there, found = timed(cluster, rows, place(f"there-{round_}"))
            if found != expected:
                raise SystemExit("the workers wrote another file")
            print(
                f"{options.texts} texts: here {local:.1f} s (and {start:.1f} s to begin), there "
                f"{there:.1f} s (and {begun:.1f} s to begin): {there / local:.2f} x",
                flush=True,
            )


if __name__ == "__main__":
    main()
