"""Measures and comparisons of responses that stay on disk are those of the same in memory."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from detoxlab.comparisons import compare
from detoxlab.comparisons.excerpts import DRAWN, ENDS, chosen, excerpts
from detoxlab.errors import DataError
from detoxlab.measures import measure
from detoxlab.measures.grid import grid_of
from detoxlab.protocols import get_protocol
from detoxlab.records import Generation, Prompt, Responses, Score
from detoxlab.runs import tables
from detoxlab.runs.tables import Stored, write_table

SAMPLING = dataclasses.replace(get_protocol("rtp").sampling, k=3)
TEXTS = (
    "What a fine day it is today, she said.",
    "I cannot help with that, it is wrong to ask.",
    "no no no no no",
    "",
    "Куда ты идёшь сегодня?",
    "Fine.\nUser: and you?",
    "the cat sat on the mat and the cat sat on the mat",
)


def run_of(seed: int, name: str, prompts: int = 40) -> Responses:
    """Responses of all kinds: repeated, empty, withheld, absent, unscored, read in part."""
    rng = np.random.default_rng(seed)
    asked = [Prompt(f"p{at}", ("What is it?", "The day")[at % 2], "made") for at in range(prompts)]
    generations, scores = [], []
    for prompt in asked:
        scores.append(Score(prompt.id, -1, "a@1", "toxicity", round(float(rng.random()), 6)))
        for sample in range(3):
            text = TEXTS[rng.integers(len(TEXTS))]
            withheld = "filtered" if rng.random() < 0.05 else None
            if rng.random() < 0.03:
                continue
            end = ("eos", "length", "stop", "unknown")[rng.integers(4)]
            text = "" if withheld else text
            generations.append(Generation(prompt.id, sample, text, (1,), end, withheld))  # type: ignore[arg-type]
            for scorer in ("a@1", "b@1"):
                value = round(float(rng.random()), 6)
                place = (prompt.id, sample, scorer, "toxicity")
                if withheld or value < 0.05:
                    scores.append(Score(*place, error="no response"))
                else:
                    scores.append(Score(*place, value, cut=value > 0.9 or None))
    return Responses(
        name,
        tuple(asked),
        tuple(generations),
        tuple(scores),
        SAMPLING,
        "rtp",
        judge_id="a@1",
        second_id="b@1",
    )


def stored(run: Responses, folder: Path, *, mixed: bool = False) -> Responses:
    """The same responses on disk; `mixed` puts the samples of a prompt far from each other."""
    folder.mkdir()
    rows = sorted(run.generations, key=lambda one: one.sample) if mixed else run.generations
    write_table(folder / "drawn.parquet", rows, Generation)
    write_table(folder / "scored.parquet", run.scores, Score)
    return dataclasses.replace(
        run,
        generations=Stored([folder / "drawn.parquet"], Generation),
        scores=Stored([folder / "scored.parquet"], Score),
    )


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "GROUP", 20)


@pytest.mark.parametrize("mixed", [False, True])
def test_measures_are_the_same_in_all_digits(tmp_path: Path, mixed: bool) -> None:
    held = run_of(1, "base")
    protocol = get_protocol("rtp")
    found = measure(stored(held, tmp_path / "run", mixed=mixed), protocol=protocol, resamples=200)
    assert found == measure(held, protocol=protocol, resamples=200)
    assert len(found) > 25


def test_comparisons_are_the_same_in_all_digits(tmp_path: Path) -> None:
    base, other = run_of(1, "base"), run_of(2, "other", prompts=36)
    streamed = compare(
        stored(base, tmp_path / "base"), stored(other, tmp_path / "other"), resamples=200
    )
    assert streamed == compare(base, other, resamples=200)
    assert streamed == compare(base, stored(other, tmp_path / "again"), resamples=200)


def test_rows_that_do_not_fit_are_named(tmp_path: Path) -> None:
    run = run_of(1, "base")
    twice = dataclasses.replace(run, generations=(*run.generations, run.generations[0]))
    with pytest.raises(DataError, match="two generations"):
        _ = grid_of(stored(twice, tmp_path / "twice")).generated
    stray = dataclasses.replace(run, generations=(Generation("q", 0, "", (), "eos"),))
    with pytest.raises(DataError, match="a prompt that is not there"):
        _ = grid_of(stored(stray, tmp_path / "stray")).generated
    beyond = dataclasses.replace(run, scores=(Score("p0", -1, "a@1", "toxicity", 1.5),))
    with pytest.raises(DataError, match=r"a score of 1\.5"):
        grid_of(stored(beyond, tmp_path / "beyond")).of("a@1", "toxicity")
    again = dataclasses.replace(run, scores=(*run.scores, run.scores[0]))
    with pytest.raises(DataError, match="one text twice"):
        grid_of(stored(again, tmp_path / "again")).of("a@1", "toxicity")


def test_an_excerpt_has_the_ends_and_no_more_than_it_says(tmp_path: Path) -> None:
    moved = np.arange(10_000.0)
    moved[5_000:5_010] = np.nan
    places = chosen(moved, np.arange(10_000), seed=0)
    assert set(range(ENDS)) | set(range(10_000 - ENDS, 10_000)) <= set(places.tolist())
    assert set(range(5_000, 5_010)) <= set(places.tolist())
    assert len(places) <= 2 * ENDS + DRAWN + 10
    runs = [stored(run_of(seed, str(seed)), tmp_path / str(seed)) for seed in (1, 2)]
    found = excerpts(runs, [grid_of(run) for run in runs], "toxicity", seed=0)
    both = {(one.prompt_id, one.sample) for one in run_of(1, "").generations}
    both &= {(one.prompt_id, one.sample) for one in run_of(2, "").generations}
    for run, seed in zip(found, (1, 2), strict=True):
        kept = [one for one in run_of(seed, "").generations if (one.prompt_id, one.sample) in both]
        assert list(run.generations) == kept
