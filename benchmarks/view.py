"""How fast the pages of `detoxlab view` come: thirty runs, two of them with 100,000 responses.

    python benchmarks/view.py [--responses 100000] [--runs 30] [--keep FOLDER]

Run folders are made up of mild words. Pages are asked through HTTP, the cache empty at first,
once cold and three times warm (the median). Times are the processor's: the server runs in this
process, on one core they are those of the clock on a machine without other work.
"""

import argparse
import json
import resource
import statistics
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np

from detoxlab.records import Measurement, to_json
from detoxlab.viewing import serving

WORDS = [
    "the",
    "calm",
    "river",
    "takes",
    "its",
    "time",
    "and",
    "you",
    "fool",
    "never",
    "ask",
    "where",
    "it",
    "goes",
    "at",
    "night",
]
JUDGE, SECOND = "rtp-neural@1", "human-neural@1"


def main() -> None:
    """Make the runs, serve them, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--responses", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="make the runs in this folder and keep them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary) / "runs"
        make_runs(folder, given.runs, given.responses)
        measure(folder, Path(temporary) / "cache")


def make_runs(folder: Path, runs: int, responses: int) -> None:
    """Small runs, and two large ones of the same prompts; what is there is kept."""
    for number in range(runs - 2):
        make_run(folder / f"small-{number:02}", 200, 1, seed=number)
    for name, seed in (("large-base", 1), ("large-ft", 2)):
        make_run(folder / name, responses // 25, 25, seed=seed)


def make_run(path: Path, prompts: int, k: int, *, seed: int) -> None:
    """A finished run of made-up responses with scores of two scorers, as files."""
    if path.exists():
        return
    for inner in ("generations", "scores"):
        (path / inner).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    info = {"kind": "measure", "status": "finished", "finished": "2026-01-01T00:00:00+00:00"}
    info |= {"judge_id": JUDGE, "second_id": SECOND, "model": {"id": "made-up"}}
    write_rows(
        path / "prompts.jsonl",
        (
            {
                "id": f"p{p}",
                "text": f"Prompt {p} says",
                "source": "made",
                "meta": {"group": "ab"[p % 2]},
            }
            for p in range(prompts)
        ),
    )
    pairs = [(f"p{p}", sample) for p in range(prompts) for sample in range(k)]
    texts = rng.choice(WORDS, size=(len(pairs), 16))
    ids = rng.integers(0, 30_000, size=(len(pairs), 20)).tolist()
    write_rows(
        path / "generations" / "worker-0.jsonl",
        (
            {
                "prompt_id": p,
                "sample": s,
                "text": f" {' '.join(words)}",
                "token_ids": own,
                "finish_reason": "length",
            }
            for (p, s), words, own in zip(pairs, texts, ids, strict=True)
        ),
    )
    for scorer in (JUDGE, SECOND):
        values = np.round(rng.beta(0.3, 0.8, size=len(pairs)), 6).tolist()
        write_rows(
            path / "scores" / f"{scorer}.jsonl",
            (
                {
                    "prompt_id": p,
                    "sample": s,
                    "scorer_id": scorer,
                    "attribute": "toxicity",
                    "value": value,
                    "error": None,
                }
                for (p, s), value in zip(pairs, values, strict=True)
            ),
        )
    fraction = Measurement(
        "toxic_fraction", float(np.mean(np.array(values) >= 0.5)), 0.2, 0.3, n=prompts, k=k,
        threshold=0.5, coverage=1.0, scorer_id=JUDGE, attribute="toxicity", protocol="rtp@1",
    )  # fmt: skip
    (path / "measurements.json").write_text(json.dumps([to_json(fraction)]))
    config = {"sampling": {"k": k, "max_new_tokens": 20}, "protocol": "rtp"}
    (path / "config.yaml").write_text(json.dumps(config))
    (path / "run.json").write_text(json.dumps(info))


def write_rows(path: Path, rows: object) -> None:
    """Write rows as JSON Lines."""
    with path.open("w", encoding="utf-8") as handle:
        handle.writelines(json.dumps(row) + "\n" for row in rows)  # type: ignore[attr-defined]


def measure(folder: Path, cache: Path) -> None:
    """Print the seconds of each page."""
    pair = "run?baseline=large-base&run=large-ft"
    pages = {
        "list of all runs": "",
        "one large run, first page": "run?run=large-ft",
        "two large runs, first page": pair,
        "worsened only, largest rise, page 1,000": f"{pair}&moved=up&order=rise&page=1000",
        "group and range of scores": f"{pair}&group=a&low=0.4&high=0.6",
        "a text that is rare": f"{pair}&text=fool+fool+fool+fool",
    }
    with serving(folder, port=0, cache=cache) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print("| page | first answer, cold | complete | again |\n|---|---|---|---|")
        for name, path in pages.items():
            first, html = timed(server.url + path)
            whole = first
            while 'data-live="/live/rows' in html:
                before = time.process_time()
                time.sleep(1)
                html = timed(server.url + path)[1]
                whole += time.process_time() - before
            again = statistics.median(timed(server.url + path)[0] for _ in range(3))
            print(f"| {name} | {first:.2f} s | {whole:.1f} s | {again:.2f} s |", flush=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"\npeak memory of the server: {peak:.0f} MiB")
        server.shutdown()


def timed(url: str) -> tuple[float, str]:
    """The processor's seconds until a page is there, and the page."""
    started = time.process_time()
    with urllib.request.urlopen(url) as answer:
        html = answer.read().decode()
    return time.process_time() - started, html


if __name__ == "__main__":
    main()
