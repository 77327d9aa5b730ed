"""Generations of all prompts into a run folder, so that a kill loses at most one batch."""

import time
from collections.abc import Sequence

from detoxlab.generate.engine import Engine
from detoxlab.progress import progress
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.runs import Run

FILE = "generations/worker-0.jsonl"


def generate_into(run: Run, engine: Engine, prompts: Sequence[Prompt], sampling: Sampling) -> None:
    """Write k generations of each prompt to the run, leaving out what is there already.

    A resumed run takes its batches as the killed one did, and replays whole batches: with
    `LocalEngine` its file equals that of an uninterrupted run byte for byte (unless memory
    ran out in one of them only). What the engine is and did is recorded in `run.json`.
    """
    engine.restore(run.info.get("engine") or {})
    batches = engine.batches(prompts, sampling)
    recorded = engine.facts()
    run.update(engine=recorded)
    tokens, started = 0, time.monotonic()

    def compute(batch: list[Prompt]) -> list[Generation]:
        nonlocal tokens, recorded
        rows = engine.generate(batch, sampling)
        tokens += sum(len(row.token_ids) for row in rows)
        if engine.facts() != recorded:
            recorded = engine.facts()
            run.update(engine=recorded)
        return rows

    with progress("generate", total=len(prompts) * sampling.k) as advance:
        run.fill(
            FILE,
            batches,
            rows_in=lambda batch: len(batch) * sampling.k,
            compute=compute,
            done=lambda batch: advance(len(batch) * sampling.k),
        )
    if tokens:
        rate = tokens / (time.monotonic() - started)
        run.update(generation_tokens_per_second=round(rate, 1))
