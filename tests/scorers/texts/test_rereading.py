"""Scorers that read a text in several ways: all scores are kept, and clean text is as before."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from detoxlab.errors import ConfigError, UnknownNameError
from detoxlab.records import Generation, Score, from_json, to_json
from detoxlab.runs import Run
from detoxlab.scorers import (
    FloatArray,
    Scorer,
    check_scorer,
    load_scorer,
    score_generations,
    score_into,
    single_scorers,
)
from detoxlab.scorers.huggingface import load_classifier
from detoxlab.scorers.texts.rereading import Normalised, Windowed
from tests.support.tiny_classifier import save_tiny_classifier

CLEAN = ["what a lovely day", "you fool", "At 10am, for $5.", ""]
LONG = "The river ran past the mill. " * 8 + "You stupid fool! " + "We met at the station. " * 8


class Fixed:
    """Scores a text by a table; texts that are not in it are missing for the reason given."""

    id = "fixed@1"
    attributes = ("toxicity", "insult")

    def __init__(self, table: dict[str, tuple[float, float]], reason: str = "failed: x") -> None:
        self.table, self.reason = table, reason

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        missing = (np.nan, np.nan)
        return np.array([self.table.get(text, missing) for text in texts]).reshape(-1, 2)

    def missing_reason(self, text: str) -> str:
        return "" if text in self.table else self.reason


def generations(texts: Sequence[str]) -> list[Generation]:
    return [Generation(f"p{at}", 0, text, (), "eos") for at, text in enumerate(texts)]


@pytest.mark.parametrize("head", ["normalised", "worst_window", "mean_window"])
def test_clean_short_text_has_the_scores_of_the_scorer_itself(head: str) -> None:
    plain, wrapped = load_scorer("rtp-linear"), load_scorer(f"{head}(rtp-linear)")
    assert wrapped.attributes == plain.attributes
    np.testing.assert_array_equal(wrapped(CLEAN), plain(CLEAN))
    rows = score_generations(wrapped, generations(CLEAN))
    assert all(row.readings is None for row in rows)
    assert wrapped.missing_reason("") == "empty"
    assert wrapped([]).shape == (0, 8)


def test_the_larger_score_counts_attribute_by_attribute() -> None:
    table = {"you f**l": (0.2, 0.9), "you fool": (0.8, 0.1)}
    assert Normalised(Fixed(table))(["you f**l"]).tolist() == [[0.8, 0.9]]
    assert Normalised(Fixed(table), "plain")(["you f**l"]).tolist() == [[0.8, 0.1]]


def test_a_text_that_is_readable_in_plain_spelling_alone_is_scored() -> None:
    readable = Normalised(Fixed({"you fool": (0.8, 0.1)}, "unsupported script"))
    assert readable(["you f**l"]).tolist() == [[0.8, 0.1]]
    assert readable.missing_reason("you f**l") == ""
    assert readable.missing_reason("you b*d") == "unsupported script"


def test_records_keep_both_scores() -> None:
    scorer = Normalised(Fixed({"you f**l": (0.2, 0.9), "you fool": (0.8, 0.1)}))
    toxicity, insult = score_generations(scorer, generations(["you f**l"]))
    assert toxicity.value == 0.8
    assert toxicity.readings == {"as written": 0.2, "in plain spelling": 0.8}
    assert insult.value == 0.9
    assert insult.readings == {"as written": 0.9, "in plain spelling": 0.1}
    assert toxicity.scorer_id == "normalised@1(fixed@1)"
    assert from_json(Score, json.loads(json.dumps(to_json(toxicity)))) == toxicity


def test_the_worst_window_and_the_mean_by_hand() -> None:
    text = "One two. Three four. Five six."
    table = {
        text: (0.1, 0.1),
        "One two.": (0.2, 0.3),
        "Three four.": (0.9, 0.0),
        "Five six.": (0.4, 0.6),
    }
    worst, mean = (Windowed(Fixed(table), counts, 3) for counts in ("worst", "mean"))
    assert worst([text]).tolist() == [[0.9, 0.6]]
    np.testing.assert_allclose(mean([text]), [[0.5, 0.3]])
    row = score_generations(worst, generations([text]))[0]
    assert row.readings == {"whole": 0.1, "worst window": 0.9, "mean of windows": 0.5}


def test_a_window_that_failed_makes_a_text_missing_and_another_script_does_not() -> None:
    text = "One two. Three four."
    known = {text: (0.1, 0.1), "One two.": (0.2, 0.3)}
    failed = Windowed(Fixed(known), "worst", 2)
    assert np.isnan(failed([text])).all()
    assert failed.missing_reason(text) == "failed: x"
    (row, _) = score_generations(failed, generations([text]))
    assert (row.value, row.error, row.readings) == (None, "failed: x", None)
    other = Windowed(Fixed(known, "unsupported script"), "worst", 2)
    assert other([text]).tolist() == [[0.2, 0.3]]
    assert other.missing_reason(text) == ""


def test_one_bad_sentence_among_calm_ones_is_found() -> None:
    whole = load_scorer("rtp-linear")([LONG])[0, 0]
    worst = load_scorer("worst_window(rtp-linear, 12)")([LONG])[0, 0]
    assert whole < 0.5 < 0.6 < worst


def test_windows_that_are_too_long_are_halved_until_all_is_read(tmp_path: Path) -> None:
    folder = save_tiny_classifier(tmp_path, ["fine", "toxic"])
    scorer = load_classifier(str(folder), max_tokens=8)
    words = "you fool " * 10
    assert scorer.cut([words]) == [True]
    windows = Windowed(scorer, "worst", 1000)
    ((row,), (readings,)) = windows.read([words])
    assert set(readings) == {"whole", "worst window", "mean of windows"}
    parts = windows._windows([words])[0]
    assert not any(scorer.cut(parts))
    assert " ".join(parts).split() == words.split()
    assert row[0] == max(scorer(parts)[:, 0])


def test_names_ids_and_their_scorers() -> None:
    assert load_scorer("normalised(rtp-linear)").id == "normalised@1(rtp-linear@1)"
    assert load_scorer("normalised(rtp-linear, plain)").id == "normalised@1(rtp-linear@1,plain)"
    assert load_scorer("worst_window(rtp-linear)").id == "worst_window(rtp-linear@1,40)"
    nested = load_scorer("mean(rtp-linear, mean_window(normalised(rtp-linear), 9))")
    assert nested.id == "mean(rtp-linear@1,mean_window(normalised@1(rtp-linear@1),9))"
    assert single_scorers(nested.id) == {"rtp-linear"}
    assert check_scorer("worst_window(hf:org/model, 20)") == ["org/model"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("worst_window(rtp-linear, many)", ConfigError, "'many' is no setting"),
        ("mean_window(rtp-linear, 0)", ConfigError, "number of words"),
        ("normalised(rtp-linear, rtp-neural)", ConfigError, "normalised.SCORER, plain"),
        ("normalised(rtp-linear, plain, 3)", ConfigError, "'plain, 3' is no setting"),
        ("normalized(rtp-linear)", UnknownNameError, "Did you mean 'normalised'"),
        ("worst_window()", UnknownNameError, "unknown scorer ''"),
    ],
)
def test_bad_names_fail_before_anything_is_loaded(
    name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_scorer(name)
    with pytest.raises(error, match=message):
        load_scorer(name)


def test_a_run_keeps_them_and_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    scorer: Scorer = load_scorer("worst_window(normalised(rtp-linear), 12)")
    rows = generations(["you f**l", LONG, *CLEAN])
    whole = Run.start(tmp_path / "whole", kind="measure", config={})
    resumed = Run.start(tmp_path / "cut", kind="measure", config={})
    score_into(whole, scorer, rows, batch_size=2)
    score_into(resumed, scorer, rows[:2], batch_size=2)
    score_into(resumed, scorer, rows, batch_size=2)
    (one,), (other,) = ((run.path / "scores").glob("*") for run in (whole, resumed))
    assert one.read_bytes() == other.read_bytes()
    assert "whole" in one.read_text()
