"""Writes generations of all prompts to a run folder, so that a kill loses at most one batch."""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detoxlab.generate.engine import Engine
from detoxlab.progress import progress
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.runs import Over, Run

FILE = "generations/worker-0.jsonl"


class WithheldWarning(UserWarning):
    """A server gave no response to some prompts; the message has their number and the reasons."""


class SameSamplesWarning(UserWarning):
    """All samples of each prompt are the same response, so that nothing seems to be sampled."""


def generate_into(
    run: Run,
    engine: Engine,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    *,
    over: Over[list[Prompt]] = map,
    drawn: Callable[[int], None] = lambda _tokens: None,
) -> None:
    """Write k generations of each prompt to the run, except those that are there already.

    A resumed run makes the same batches as the killed one, and replays whole batches: with
    `LocalEngine` its file equals that of an uninterrupted run byte for byte (unless memory
    ran out in one of them only). `run.json` records the engine and its facts, and the number of
    responses that a server withheld, by its reason, as `responses_withheld`. `drawn` is told the
    tokens of each batch that is drawn now, of candidates too. `over` is that of
    `Run.append_missing`.
    """
    engine.restore(run.info.get("engine") or {})
    batches = engine.batches(prompts, sampling)
    recorded = engine.facts()
    run.check_asked(recorded.get("asked"))
    run.update(**_record(recorded))
    speed = Speed()

    def counted(
        compute: Callable[[list[Prompt]], Sequence[Generation]], left: Sequence[list[Prompt]]
    ) -> Iterator[Sequence[Generation]]:
        nonlocal recorded
        for rows in over(compute, left):
            tokens = sum(row.choice.tokens if row.choice else len(row.token_ids) for row in rows)
            speed.tokens += tokens
            drawn(tokens)
            if engine.facts() != recorded:
                recorded = engine.facts()
                run.update(**_record(recorded))
            yield rows

    with progress("generate", total=len(prompts) * sampling.k) as advance:
        run.append_missing(
            FILE,
            batches,
            rows_in=lambda batch: len(batch) * sampling.k,
            compute=lambda batch: engine.generate(batch, sampling),
            over=counted,
            done=lambda batch: advance(len(batch) * sampling.k, str(speed)),
        )
    _count_withheld(run)
    _count_choices(run)
    if recorded.get("engine") == "http" and sampling.temperature > 0:
        _check_samples_differ(run)


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


def _check_samples_differ(run: Run) -> None:
    """Warn if a server, which may ignore the temperature, seems to take the best token always."""
    texts: dict[str, list[str]] = {}
    for row in run.read_all("generations", Generation):
        if row.error is None:
            texts.setdefault(row.prompt_id, []).append(row.text)
    several = [of_prompt for of_prompt in texts.values() if len(of_prompt) > 1]
    if len(several) > 1 and all(len(set(of_prompt)) == 1 for of_prompt in several):
        warnings.warn(
            f"the server gave each of {len(several)} prompts the same response every time: it does "
            "not seem to sample. See docs/endpoints.md",
            SameSamplesWarning,
            stacklevel=3,
        )


def _count_choices(run: Run) -> None:
    """Record what the choice among candidates cost, and of how many of them nothing is known."""
    rows = run.read_all("generations", Generation)
    choices = [row.choice for row in rows if row.choice is not None]
    if not choices:
        return
    scores = [score for choice in choices for score in choice.scores]
    run.update(
        candidates=len(scores),
        candidates_unscored=sum(score is None for score in scores),
        candidate_tokens=sum(choice.tokens for choice in choices),
        chosen_tokens=sum(len(row.token_ids) for row in rows),
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
