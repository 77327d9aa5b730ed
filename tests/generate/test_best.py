"""Best of n by hand: the choice, its coupling with the responses without choice, its record."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from detoxlab.errors import ConfigError
from detoxlab.generate import BestOf, LocalEngine, generate_into
from detoxlab.records import Choice, Generation, Prompt, Sampling
from detoxlab.runs import Run
from detoxlab.scorers import FloatArray
from detoxlab.subject import Subject
from tests.support.tiny import tiny_lm

PROMPTS = [Prompt(f"p{i}", "so what" + " then" * (i % 3), "test") for i in range(7)]
SAMPLING = Sampling(k=2, max_new_tokens=6, seed=3)


class ByLength:
    """The share of 40 characters that a text has; texts with a vowel cannot be scored."""

    id, attributes, missing_reason = "by-length@1", ("other", "toxicity"), None

    def __init__(self, unscored: str = "aeiou") -> None:
        self.unscored = unscored

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        column = [
            np.nan if set(text) & set(self.unscored) else min(1.0, len(text) / 40) for text in texts
        ]
        return np.stack([np.zeros(len(texts)), np.array(column)], axis=1)


def engine(batch_size: int = 4) -> LocalEngine:
    return LocalEngine(Subject(tiny_lm()), chat=False, batch_size=batch_size)


def drawn(engine: LocalEngine | BestOf, sampling: Sampling) -> list[Generation]:
    rows = [
        row
        for batch in engine.batches(PROMPTS, sampling)
        for row in engine.generate(batch, sampling)
    ]
    return sorted(rows, key=lambda row: (row.prompt_id, row.sample))


def scored(text: str, unscored: str) -> float | None:
    return None if set(text) & set(unscored) else round(min(1.0, len(text) / 40), 6)


@pytest.mark.parametrize("unscored", ["", "aeiou", "abcdefghijklmnopqrstuvwxyz"])
def test_the_choice_by_hand(unscored: str) -> None:
    """Of 3 candidates, samples s, s + 2 and s + 4 of the engine, the first of lowest score."""
    several = {(r.prompt_id, r.sample): r for r in drawn(engine(), Sampling(6, 6, seed=3))}
    chosen = drawn(BestOf(engine(), 3, ByLength(unscored)), SAMPLING)
    assert [(row.prompt_id, row.sample) for row in chosen] == [
        (prompt.id, sample) for prompt in PROMPTS for sample in range(2)
    ]
    unknown = 0
    for row in chosen:
        candidates = [several[row.prompt_id, row.sample + 2 * at] for at in range(3)]
        scores = [scored(one.text, unscored) for one in candidates]
        known = [score for score in scores if score is not None]
        best = scores.index(min(known)) if known else 0
        unknown += len(known) < 3
        assert (row.text, row.token_ids) == (candidates[best].text, candidates[best].token_ids)
        tokens = sum(len(one.token_ids) for one in candidates)
        assert row.choice == Choice(best, tuple(scores), tokens)
    assert (unknown > 0) == bool(unscored)


def test_a_missing_score_is_never_the_best() -> None:
    """Unknown is not zero; of equal scores the first is taken, and if all are unknown too."""

    class Given:
        id, attributes, values = "given@1", ("toxicity",), [np.nan, 0.9, 0.4, 0.4]

        def __call__(self, texts: Sequence[str]) -> FloatArray:
            assert len(texts) == len(self.values)
            return np.array(self.values)[:, None]

    given = Given()
    best = BestOf(engine(), 4, given)
    (row,) = best.generate(PROMPTS[:1], Sampling(k=1, max_new_tokens=4))
    assert row.choice is not None
    assert (row.choice.index, row.choice.scores) == (2, (None, 0.9, 0.4, 0.4))
    given.values = [np.nan] * 4
    (row,) = best.generate(PROMPTS[:1], Sampling(k=1, max_new_tokens=4))
    assert row.choice is not None
    assert (row.choice.index, row.choice.scores) == (0, (None,) * 4)


def test_one_candidate_is_the_response_without_choice() -> None:
    plain = drawn(engine(), SAMPLING)
    chosen = drawn(BestOf(engine(), 1, ByLength()), SAMPLING)
    assert [row.token_ids for row in chosen] == [row.token_ids for row in plain]
    assert [row.choice.index for row in chosen if row.choice] == [0] * len(plain)
    with pytest.raises(ConfigError, match="best_of is 0"):
        BestOf(engine(), 0, ByLength())


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batches_change_nothing(batch_size: int) -> None:
    one, other = (drawn(BestOf(engine(size), 3, ByLength()), SAMPLING) for size in (4, batch_size))
    assert one == other


def test_the_run_records_the_choice_and_its_cost_and_resumes_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    files = []
    for name in ("whole", "cut"):
        run = Run.start(tmp_path / name, kind="measure", config={})
        with run.writing():
            generate_into(run, BestOf(engine(), 3, ByLength()), PROMPTS, SAMPLING)
        files.append(run.path / "generations" / "worker-0.jsonl")
    rows = run.read_all("generations", Generation)
    choices = [row.choice for row in rows if row.choice is not None]
    assert run.info["engine"]["best_of"] == 3
    assert run.info["engine"]["by"] == "by-length@1"
    assert run.info["candidates"] == 3 * len(rows) == 42
    assert run.info["candidates_unscored"] == sum(s is None for c in choices for s in c.scores)
    assert run.info["candidate_tokens"] == sum(choice.tokens for choice in choices)
    assert run.info["chosen_tokens"] == sum(len(row.token_ids) for row in rows)
    whole = files[0].read_bytes()
    files[1].write_bytes(whole[: len(whole) // 2].rpartition(b"\n")[0] + b"\n")
    with run.writing():
        generate_into(run, BestOf(engine(), 3, ByLength()), PROMPTS, SAMPLING)
    assert files[1].read_bytes() == whole
