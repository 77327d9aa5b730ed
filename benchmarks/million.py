"""Time and memory of measures on 1,000,000 prompts × 25 responses: measured, compared, reported.

    python benchmarks/million.py [--prompts 1000000] [--k 25] [--out FOLDER] [--coverage 0]

Two synthetic runs in Parquet: a prompt's share of toxic responses is drawn from a beta distribution
of mean .1 (of the treated run 5 % lower), a toxic response scores above .5, half a per cent has no
score, a second scorer errs on one response in ten. Prompts and responses are mild sentences, of
which there are `--texts` distinct ones; a text that occurs again is read once, so a run whose texts
are all distinct takes longer. Then the commands run, each in a process of its own: `score RUN
--judge JUDGE` (which measures), `compare`, `report`.

Printed for each is its time of the clock, of the processor, and its peak memory. Then it is
checked that the table of a part in Parquet equals that of the same part in memory, and that the
intervals hold the truth. With `--coverage N`, N further runs of as many prompts are drawn, and
counted how often their intervals hold the truth.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

SHARE, FALL, TAIL, UNSCORED, ERRS = 0.1, 0.05, 9.0, 0.005, 0.1
JUDGE, SECOND = "synthetic-a@1", "synthetic-b@1"
GIB = 2**30
PART = 400  # prompts of the part that is measured in memory too


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--prompts", type=int, default=1_000_000)
    parser.add_argument("--k", type=int, default=25)
    parser.add_argument("--texts", type=int, default=2_000)
    parser.add_argument("--coverage", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--step", choices=("make", "part", "coverage"))
    asked = parser.parse_args()
    if asked.step:
        steps = {"make": make_both, "part": check_part, "coverage": count_coverage}
        steps[asked.step](asked)
        return
    with tempfile.TemporaryDirectory() as folder:
        asked.out = asked.out or Path(folder)
        measure_commands(asked)


def measure_commands(asked: argparse.Namespace) -> None:
    """Every step in a process of its own, whose time and memory the system counts."""
    base, treated = (str(asked.out / name) for name in ("base", "treated"))
    own = [__file__, f"--out={asked.out}", f"--prompts={asked.prompts}", f"--k={asked.k}"]
    own.append(f"--texts={asked.texts}")
    ours = ["-m", "detoxlab"]
    if not Path(treated, "run.json").exists():
        spent("make both runs", [*own, "--step=make"])
    parts = [
        spent("measure the base", [*ours, "score", base, "--judge", JUDGE]),
        spent("measure the treated", [*ours, "score", treated, "--judge", JUDGE]),
        spent("compare", [*ours, "compare", base, treated]),
        spent("report", [*ours, "report", base, treated, "--out", str(asked.out / "report")]),
    ]
    wall, busy, peaks = zip(*parts, strict=True)
    print(
        f"all commands: {sum(wall) / 60:.1f} minutes of the clock, "
        f"{sum(busy) / 60:.1f} of the processor, at most {max(peaks) / GIB:.2f} GiB"
    )
    check_truth(Path(base))
    spent("check a part", [*own, "--step=part"])
    if asked.coverage:
        spent("coverage", [*own, f"--coverage={asked.coverage}", "--step=coverage"])


def spent(title: str, command: list[str]) -> tuple[float, float, int]:
    """Seconds of the clock and of the processor, and peak bytes, of a Python command."""
    started = time.perf_counter()
    sys.stdout.flush()
    pid = os.posix_spawn(sys.executable, [sys.executable, *command], os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"{title}: ended with status {os.waitstatus_to_exitcode(status)}")
    wall, busy = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss * 1024
    print(f"{title}: {wall:.0f} s, processor {busy:.0f} s, peak {peak / GIB:.2f} GiB", flush=True)
    return wall, busy, peak


def make_both(asked: argparse.Namespace) -> None:
    """Write both runs, from the same random numbers."""
    for name, fall in (("base", 0.0), ("treated", FALL)):
        make_run(asked.out / name, asked.prompts, asked.k, asked.texts, fall)


def make_run(out: Path, prompts: int, k: int, texts: int, fall: float) -> None:
    """Write one run, some prompts at a time."""
    import dataclasses

    import numpy as np
    import pyarrow.parquet as pq

    from detoxlab.protocols import get_protocol
    from detoxlab.records import Generation, Prompt, Score, to_json
    from detoxlab.runs import Run
    from detoxlab.runs.tables import TOGETHER, schema_of

    sampling = dataclasses.replace(get_protocol("rtp").sampling, k=k)
    config = {"model": "synthetic", "protocol": "rtp", "sampling": to_json(sampling)}
    run = Run.start(out, kind="measure", config=config)
    run.append(
        "prompts.jsonl",
        [Prompt(f"p{at:07d}", f"{mild(at % texts)} and", "made") for at in range(prompts)],
    )
    (out / "generations").mkdir()
    (out / "scores").mkdir()
    files = {
        "generations/worker-0.parquet": Generation,
        f"scores/{JUDGE}.parquet": Score,
        f"scores/{SECOND}.parquet": Score,
    }
    writers = {
        name: pq.ParquetWriter(out / name, schema_of(kind), compression="zstd")
        for name, kind in files.items()
    }
    pool = [mild(at) for at in range(texts)]
    step = max(1, 250_000 // k)
    for start in range(0, prompts, step):
        rng = np.random.default_rng([7, start])
        numbers = np.arange(start, min(prompts, start + step))
        drawn, judged, checked = drawn_rows(rng, numbers, k, pool, fall)
        for name, rows in zip(files, (drawn, judged, checked), strict=True):
            writers[name].write_table(rows, row_group_size=rows.num_rows)
    for writer in writers.values():
        writer.add_key_value_metadata({TOGETHER.decode(): "True"})
        writer.close()
    run.update(judge_id=JUDGE, second_id=SECOND, model={"id": "synthetic"})
    run.finish()


def drawn_rows(rng, numbers, k, pool, fall):  # type: ignore[no-untyped-def]
    """Tables of the generations, the judge's scores and the second scorer's of some prompts."""
    import numpy as np
    import pyarrow as pa

    from detoxlab.records import Generation, Score
    from detoxlab.runs.tables import schema_of

    count = len(numbers)
    share_P = rng.beta(SHARE * TAIL / (1 - SHARE), TAIL, size=count)
    luck_PK, size_PK = rng.random((count, k + 1)), rng.random((count, k + 1))
    toxic_PK = luck_PK < share_P[:, None] * (1 - fall)
    scores_PK = np.round(0.499999 * size_PK + 0.5 * toxic_PK, 6)
    errs_PK, other_PK = rng.random((count, k + 1)) < ERRS, rng.random((count, k + 1))
    checked_PK = np.where(errs_PK, np.round(other_PK, 6), scores_PK)
    missing_PK = rng.random((count, k + 1)) < UNSCORED
    texts_PK = rng.integers(0, len(pool), (count, k))
    names = [f"p{at:07d}" for at in numbers.tolist()]

    def coded(codes, values):  # type: ignore[no-untyped-def]
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), values)

    def one(value, size):  # type: ignore[no-untyped-def]
        return coded(np.zeros(size, np.int32), [value])

    def table(kind, columns):  # type: ignore[no-untyped-def]
        schema = schema_of(kind)
        arrays = [columns[field.name].cast(field.type) for field in schema]
        return pa.Table.from_arrays(arrays, schema=schema)

    size, wide = count * k, count * (k + 1)
    drawn = table(
        Generation,
        {
            "prompt_id": coded(np.repeat(np.arange(count), k), names),
            "sample": pa.array(np.tile(np.arange(k), count)),
            "text": coded(texts_PK.ravel(), pool),
            "token_ids": pa.array([[]], pa.list_(pa.int32())).take(pa.array(np.zeros(size, int))),
            "finish_reason": coded(texts_PK.ravel() % 2, ["eos", "length"]),
            "error": pa.nulls(size),
            "choice": pa.nulls(size),
        },
    )
    found = [drawn]
    for scorer, values_PK in ((JUDGE, scores_PK), (SECOND, checked_PK)):
        lost = missing_PK.ravel()
        found.append(
            table(
                Score,
                {
                    "prompt_id": coded(np.repeat(np.arange(count), k + 1), names),
                    "sample": pa.array(np.tile(np.arange(-1, k), count)),
                    "scorer_id": one(scorer, wide),
                    "attribute": one("toxicity", wide),
                    "value": pa.array(values_PK.ravel(), mask=lost),
                    "error": pa.array(np.where(lost, "made missing", None), pa.string()),
                    "cut": pa.nulls(wide),
                    "readings": pa.nulls(wide),
                },
            )
        )
    return found


def mild(at: int) -> str:
    """A harmless sentence for a number, distinct for numbers below 100,000."""
    who = ("the gardener", "my neighbour", "a teacher", "the baker", "our doctor")
    does = ("waters", "draws", "carries", "paints", "watches", "likes", "sells", "brings")
    what = ("the roses", "a small boat", "two apples", "the old piano", "fresh bread")
    rest, w = divmod(at, len(who))
    rest, d = divmod(rest, len(does))
    rest, t = divmod(rest, len(what))
    return f"{who[w]} {does[d]} {what[t]} on day {rest} of the long summer by the sea"


def check_truth(run: Path) -> None:
    """Whether the intervals of the base hold the numbers from which it was drawn."""
    rows = json.loads((run / "measurements.json").read_text())
    row = next(
        one
        for one in rows
        if one["name"] == "toxic_fraction"
        and one["scorer_id"] == JUDGE
        and one["subset"] in (None, "P")
    )
    held = row["ci_low"] <= SHARE <= row["ci_high"]
    print(
        f"toxic fraction {row['value']:.6f}, 95 % interval {row['ci_low']:.6f} to "
        f"{row['ci_high']:.6f}; the truth, {SHARE}, is {'in' if held else 'not in'} it"
    )


def check_part(asked: argparse.Namespace) -> None:
    """The measures of the first prompts, streamed and in memory, must be equal in all digits."""
    import dataclasses

    from detoxlab.measures import measure
    from detoxlab.protocols import get_protocol
    from detoxlab.records import Generation, Score
    from detoxlab.runs import Run
    from detoxlab.runs.tables import Stored, write_table

    whole = Run.open(asked.out / "base").responses()
    prompts = whole.prompts[:PART]
    names = {prompt.id for prompt in prompts}
    width = asked.k * PART
    generations = [one for one in whole.generations[:width] if one.prompt_id in names]
    scores = [
        one for part in whole.scores.parts for one in part[: width + PART] if one.prompt_id in names
    ]
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "drawn.parquet"), Path(folder, "scored.parquet")
        write_table(files[0], generations, Generation)
        write_table(files[1], scores, Score)
        held = dataclasses.replace(
            whole, prompts=prompts, generations=tuple(generations), scores=tuple(scores)
        )
        stored = dataclasses.replace(
            held, generations=Stored([files[0]], Generation), scores=Stored([files[1]], Score)
        )
        tables = [measure(one, protocol=get_protocol("rtp")) for one in (held, stored)]
    if tables[0] != tables[1]:
        sys.exit("the measures of the part differ between memory and Parquet")
    print(f"{len(tables[0])} measures of {len(prompts)} prompts are equal in memory and Parquet")


def count_coverage(asked: argparse.Namespace) -> None:
    """How often the interval of the toxic fraction holds the truth, over fresh draws."""
    import numpy as np

    from detoxlab.measures.statistics import bootstrap

    rng = np.random.default_rng(11)
    hits = 0
    for draw in range(asked.coverage):
        share_P = rng.beta(SHARE * TAIL / (1 - SHARE), TAIL, size=asked.prompts)
        toxic_P = rng.binomial(asked.k, share_P)
        columns_PS = np.stack([toxic_P, np.full(asked.prompts, asked.k)], axis=1).astype(float)
        interval = bootstrap(columns_PS, seed=draw, resamples=1_000)
        hits += interval is not None and interval.low <= SHARE <= interval.high
    print(f"intervals of {hits} of {asked.coverage} runs hold the truth")


if __name__ == "__main__":
    main()
