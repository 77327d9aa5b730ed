"""Jigsaw's comments: both layouts, labels that are not there, and parts that share no words."""

import collections
import warnings
from pathlib import Path

import pytest

from detoxlab.data import LeftOutWarning, load_prompts
from detoxlab.data.jigsaw import part_of
from detoxlab.data.split import words_of
from detoxlab.errors import DataError

KAGGLE = """id,comment_text,toxic,severe_toxic,obscene,threat,insult,identity_hate
a,"You fool,
go away",1,0,0,0,1,0
b,Good day,0,0,0,0,0,0
c,So what,-1,-1,-1,-1,-1,-1
"""


def test_the_layout_of_the_challenge(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(KAGGLE)
    fool, day, unknown = load_prompts("jigsaw", path=tmp_path)
    assert (fool.id, fool.text, fool.meta["label"]) == ("a", "You fool,\ngo away", "toxic")
    assert (fool.meta["insult"], fool.meta["threat"], day.meta["insult"]) == (True, False, False)
    assert day.meta["label"] == "harmless"
    assert unknown.meta == {"part": part_of("So what")}  # not labelled is not harmless


def test_comments_and_labels_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "comments.csv"
    path.write_text('"You fool, go away",1\nGood day,0\nGood day,0\n')
    with pytest.warns(LeftOutWarning, match="1 of 3 rows repeat the text"):
        comments = load_prompts("jigsaw", path=path)
    assert [comment.meta["label"] for comment in comments] == ["toxic", "harmless"]


def test_an_odd_label_is_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "comments.csv"
    path.write_text("Good day,0\nYou fool,2\n")
    with pytest.raises(DataError, match=r"comments\.csv:2: column 'toxic' is neither 0 nor 1"):
        load_prompts("jigsaw", path=path)


def test_the_part_depends_on_the_words_alone() -> None:
    texts = [f"good day number {i}" for i in range(2000)]
    parts = [part_of(text) for text in texts]
    assert 340 < parts.count("test") < 460  # 400 expected, standard deviation 18
    assert parts == [part_of(f" {text.upper()}!!") for text in texts]


def test_the_published_comments(data_dir: Path) -> None:
    path = data_dir / "jigsaw" / "jigsaw_robtest_test.csv.gz"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOutWarning)
        comments = load_prompts("jigsaw", path=path)
    counts = collections.Counter((c.meta["label"], c.meta["part"]) for c in comments)
    assert counts == {
        ("toxic", "train"): 4837,
        ("toxic", "test"): 1252,
        ("harmless", "train"): 4881,
        ("harmless", "test"): 1207,
    }
    sides = [{words_of(c.text) for c in comments if c.meta["part"] == p} for p in ("train", "test")]
    assert not sides[0] & sides[1]
