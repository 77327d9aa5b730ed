"""A scorer that reads only the beginning of a long text says so, in the run and in the table."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from detoxlab.comparisons import compare
from detoxlab.measures import measure
from detoxlab.protocols import get_protocol
from detoxlab.records import Generation, Prompt, Responses
from detoxlab.runs import Run
from detoxlab.scorers import Ensemble, Scorer, cached, load_scorer, score_generations, score_into
from detoxlab.scorers.base import cut_texts
from detoxlab.scorers.huggingface import load_classifier
from detoxlab.scorers.scoring import CutTextWarning
from tests.support.tiny_classifier import WORDS, save_tiny_classifier

READ = 8  # tokens, of which two are special


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_classifier(tmp_path_factory.mktemp("scorer"), ["fine", "toxic"])


def words(count: int) -> str:
    return " ".join((WORDS * count)[:count])


@pytest.mark.parametrize("kind", ["alone", "cached", "mean", "max", "ensemble of cached"])
def test_a_text_is_cut_from_its_ninth_token_on(folder: Path, tmp_path: Path, kind: str) -> None:
    alone: Scorer = load_classifier(str(folder), max_tokens=READ)
    linear = load_scorer("rtp-linear")
    scorers: dict[str, Scorer] = {
        "alone": alone,
        "cached": cached(alone, tmp_path),
        "mean": Ensemble([linear, alone]),
        "max": Ensemble([alone, linear], "max"),
        "ensemble of cached": Ensemble([cached(alone, tmp_path), linear]),
    }
    texts = [words(count) for count in (6, 7, 1, 20)] + [""]
    for _ in range(2):  # once computed, once looked up
        scorers[kind](texts)
        assert cut_texts(scorers[kind], texts) == [False, True, False, True, False]


def test_the_embedded_judge_reads_256_tokens_and_says_so() -> None:
    scorer = load_scorer("rtp-neural", cache=False)
    beginning = " ".join(["hat"] * 254)
    texts = [beginning, f"{beginning} hat", f"{beginning} you fool"]
    assert cut_texts(scorer, texts) == [False, True, True]
    assert np.ptp(scorer(texts), axis=0).max() == 0.0


def test_a_scorer_that_reads_all_cuts_nothing() -> None:
    assert cut_texts(load_scorer("rtp-linear"), [words(5000)]) == [False]


def generations(texts: Sequence[str]) -> list[Generation]:
    return [Generation(f"p{at}", 0, text, (), "eos") for at, text in enumerate(texts)]


def test_a_score_says_it_only_where_the_end_was_not_read(folder: Path) -> None:
    scorer = load_classifier(str(folder), max_tokens=READ)
    rows = score_generations(scorer, generations([words(6), words(7), ""]))
    assert [row.cut for row in rows] == [None, True, None]


def test_the_run_counts_them(folder: Path, tmp_path: Path) -> None:
    scorer = load_classifier(str(folder), max_tokens=READ)
    run = Run.start(tmp_path / "run", kind="measure", config={})
    made = generations([words(3), words(9), words(30), "", words(6)])
    with pytest.warns(CutTextWarning, match=r"read only the beginning of 2 of 5 texts"):
        score_into(run, scorer, made)
    (file,) = (run.path / "scores").iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line.get("cut", "absent") for line in lines] == ["absent", True, True] + ["absent"] * 2


def responses(scorer: Scorer, texts: Sequence[str], name: str = "run") -> Responses:
    made = generations(texts)
    prompts = tuple(Prompt(one.prompt_id, words(12), "t") for one in made)
    asked = [Generation(prompt.id, -1, prompt.text, (), "unknown") for prompt in prompts]
    scores = score_generations(scorer, [*asked, *made])
    return Responses(name, prompts, tuple(made), tuple(scores), judge_id=scorer.id)


def test_the_table_has_their_share_of_the_scored_responses(folder: Path) -> None:
    scorer = load_classifier(str(folder), max_tokens=READ)
    found = measure(
        responses(scorer, [words(3), words(9), words(30), "", words(6)]),
        protocol=get_protocol("imported"),
        resamples=50,
    )
    (row,) = (one for one in found if one.name == "read_in_part")
    assert (row.value, row.n, row.scorer_id) == (0.5, 4, scorer.id)


def test_where_all_was_read_the_table_is_as_before(folder: Path) -> None:
    scorer = load_classifier(str(folder), max_tokens=READ)
    found = measure(
        responses(scorer, [words(3), words(6)]), protocol=get_protocol("imported"), resamples=50
    )
    assert "read_in_part" not in {one.name for one in found}


def test_a_comparison_remarks_on_what_was_not_read(folder: Path) -> None:
    scorer = load_classifier(str(folder), max_tokens=READ)
    short, long = [words(3), words(6), words(4), words(5)], [words(3), words(9), words(4), words(5)]
    base, treated = responses(scorer, short, "base"), responses(scorer, long, "treated")
    says = (
        f"{scorer.id} read only the beginning of 0.0 % of the responses of base and 25.0 % of the "
        "responses of treated: what they say after that is in no score."
    )
    assert says in compare(base, treated, resamples=50).remarks
    assert not [one for one in compare(base, base, resamples=50).remarks if "beginning" in one]


def test_a_run_without_a_single_response_has_none_that_was_read_in_part(folder: Path) -> None:
    scorer = load_classifier(str(folder), max_tokens=READ)
    base = responses(scorer, [words(9)] * 3, "base")
    withheld = tuple(dataclasses.replace(g, text="", error="filter") for g in base.generations)
    treated = dataclasses.replace(
        base,
        name="treated",
        generations=withheld,
        scores=tuple(score_generations(scorer, withheld)),
    )
    (said,) = (one for one in compare(base, treated, resamples=50).remarks if "beginning" in one)
    assert "100.0 % of the responses of base and 0.0 % of the responses of treated" in said
