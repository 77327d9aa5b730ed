"""Writes generations of all prompts to a run folder, so that a kill loses at most one batch."""

import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detoxlab.generate.engine import Engine
from detoxlab.progress import progress
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.runs import Run

FILE = "generations/worker-0.jsonl"


class WithheldWarning(UserWarning):
    """A server gave no response to some prompts; the message has their number and the reasons."""


def generate_into(run: Run, engine: Engine, prompts: Sequence[Prompt], sampling: Sampling) -> None:
    """Write k generations of each prompt to the run, except those that are there already.

    A resumed run makes the same batches as the killed one, and replays whole batches: with
    `LocalEngine` its file equals that of an uninterrupted run byte for byte (unless memory
    ran out in one of them only). `run.json` records the engine and its facts, and the number of
    responses that a server withheld, by its reason, as `responses_withheld`.
    """
    engine.restore(run.info.get("engine") or {})
    batches = engine.batches(prompts, sampling)
    recorded = engine.facts()
    run.check_asked(recorded.get("asked"))
    run.update(**_record(recorded))
    speed = Speed()

    def compute(batch: list[Prompt]) -> list[Generation]:
        nonlocal recorded
        rows = engine.generate(batch, sampling)
        speed.tokens += sum(len(row.token_ids) for row in rows)
        if engine.facts() != recorded:
            recorded = engine.facts()
            run.update(**_record(recorded))
        return rows

    with progress("generate", total=len(prompts) * sampling.k) as advance:
        run.append_missing(
            FILE,
            batches,
            rows_in=lambda batch: len(batch) * sampling.k,
            compute=compute,
            done=lambda batch: advance(len(batch) * sampling.k, str(speed)),
        )
    _count_withheld(run)
    if speed.tokens:
        run.update(generation_tokens_per_second=round(speed.tokens_per_second, 1))


def _count_withheld(run: Run) -> None:
    rows = run.read_all("generations", Generation)
    reasons = Counter(row.error for row in rows if row.error is not None)
    if not reasons:
        return
    run.update(responses_withheld=dict(sorted(reasons.items())))
    named = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    warnings.warn(
        f"{reasons.total()} of {len(rows)} responses were withheld by the server ({named}): "
        "they are unknown, not harmless",
        WithheldWarning,
        stacklevel=3,
    )


def _record(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `run.json`: the engine, and separately the input that was asked."""
    rest = {name: value for name, value in facts.items() if name != "asked"}
    return {"engine": rest, **({"asked": facts["asked"]} if "asked" in facts else {})}


@dataclass
class Speed:
    """Counts tokens drawn since its creation; servers that give no token ids leave it at 0."""

    tokens: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def tokens_per_second(self) -> float:
        """Tokens drawn per second of wall clock."""
        return self.tokens / max(time.monotonic() - self.started, 1e-9)

    def __str__(self) -> str:
        return f"{self.tokens_per_second:,.0f} tokens/s" if self.tokens else ""
