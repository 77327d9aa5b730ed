"""The score cache: saves work, never changes a result, never stops a run, holds no text."""

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from detoxlab.scorers import CachedScorer, CacheWarning, FloatArray, cached, load_scorer


class Counting:
    """Length over ten as the score; keeps what it was asked; no score for "?" and "!"."""

    id = "counting@1"
    attributes = ("toxicity", "insult")

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        self.asked.append(list(texts))
        values_N = np.array([len(t) / 10 if t not in "?!" else np.nan for t in texts])
        return np.stack([values_N, values_N / 3], axis=1)

    def missing_reason(self, text: str) -> str:
        return {"?": "empty", "!": "failed: try again"}.get(text, "")


def test_only_unknown_texts_are_computed_each_once(tmp_path: Path) -> None:
    scorer = Counting()
    first_NA = CachedScorer(scorer, tmp_path)(["you", "fool", "you"])
    second_NA = CachedScorer(scorer, tmp_path)(["fool", "day", "you"])
    assert scorer.asked == [["you", "fool"], ["day"]]
    np.testing.assert_allclose(first_NA, [[0.3, 0.1], [0.4, 0.4 / 3], [0.3, 0.1]])
    np.testing.assert_allclose(second_NA, [[0.4, 0.4 / 3], [0.3, 0.1], [0.3, 0.1]])
    assert second_NA[1].tolist() == [len("day") / 10, len("day") / 10 / 3]


def test_missing_scores_come_back_with_their_reason(tmp_path: Path) -> None:
    scorer = Counting()
    CachedScorer(scorer, tmp_path)(["?"])
    again = CachedScorer(scorer, tmp_path)
    assert np.isnan(again(["?"])).all()
    assert again.missing_reason("?") == "empty"
    assert scorer.asked == [["?"]]


def test_a_kept_score_counts_only_while_the_scorer_still_reads_the_text(tmp_path: Path) -> None:
    """Which texts a scorer reads may change in a release that leaves its scores as they were."""
    now = Counting()
    CachedScorer(now, tmp_path)(["you", "?"])
    later = Counting()
    later.missing_reason = lambda text: "unsupported language" if text == "you" else ""  # type: ignore[method-assign]
    CachedScorer(later, tmp_path)(["you", "?", "day"])
    assert later.asked == [["you", "?", "day"]]


def test_a_failure_is_tried_again(tmp_path: Path) -> None:
    scorer = Counting()
    CachedScorer(scorer, tmp_path)(["!"])
    CachedScorer(scorer, tmp_path)(["!"])
    assert scorer.asked == [["!"], ["!"]]


def test_another_scorer_or_version_has_its_own_scores(tmp_path: Path) -> None:
    old, new = Counting(), Counting()
    new.id = "counting@2"
    CachedScorer(old, tmp_path)(["you"])
    CachedScorer(new, tmp_path)(["you"])
    assert new.asked == [["you"]]


def test_no_text_is_on_the_disk(tmp_path: Path) -> None:
    CachedScorer(Counting(), tmp_path)(["gooseberry"])
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"counting@1" in stored
    assert b"gooseberry" not in stored


def test_the_folder_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETOXLAB_CACHE", str(tmp_path / "elsewhere"))
    cached(Counting())(["you"])
    assert (tmp_path / "elsewhere" / "scores.sqlite").is_file()


def test_a_corrupt_file_gives_one_warning_and_right_scores(tmp_path: Path) -> None:
    (tmp_path / "scores.sqlite").write_bytes(b"this is no database " * 300)
    scorer = CachedScorer(Counting(), tmp_path)
    with pytest.warns(CacheWarning, match="cannot be used"):
        scores_NA = scorer(["you", "fool"])
    scorer(["day"])  # a second warning would be an error
    np.testing.assert_array_equal(scores_NA[:, 0], [0.3, 0.4])
    assert (tmp_path / "scores.sqlite").read_bytes().startswith(b"this is no database")


def test_a_folder_that_cannot_be_made_gives_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(CacheWarning):
        scores_NA = CachedScorer(Counting(), tmp_path / "file" / "cache")(["you"])
    assert scores_NA[0, 0] == 0.3


def test_a_damaged_row_is_computed_again(tmp_path: Path) -> None:
    CachedScorer(Counting(), tmp_path)(["you"])
    with sqlite3.connect(tmp_path / "scores.sqlite") as connection:
        connection.execute("UPDATE scores SET numbers = x'00'")
    connection.close()
    scorer = Counting()
    assert CachedScorer(scorer, tmp_path)(["you"])[0, 0] == 0.3
    assert scorer.asked == [["you"]]


def test_more_texts_than_one_query_may_name(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(1201)]
    scorer = Counting()
    first_NA = CachedScorer(scorer, tmp_path)(texts)
    np.testing.assert_array_equal(CachedScorer(scorer, tmp_path)(texts), first_NA)
    assert len(scorer.asked) == 1


def test_two_processes_share_one_file(tmp_path: Path) -> None:
    program = (
        "from detoxlab.scorers import cached, load_scorer\n"
        "scorer = cached(load_scorer('rtp-linear'))\n"
        "for i in range(40): scorer([f'text {i} {j}' for j in range(5)])\n"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    (file,) = tmp_path.glob("cache/scores.sqlite")
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM scores").fetchone() == (200,)
    connection.close()


def test_the_cache_changes_no_score() -> None:
    plain, kept = load_scorer("rtp-linear"), cached(load_scorer("rtp-linear"))
    texts = ["you fool", "", "What a day"]
    for _ in range(2):
        np.testing.assert_array_equal(kept(texts), plain(texts))
