"""Quotations of texts: condemned or endorsed, and the labels that they get in a training."""

import json
from pathlib import Path

import pytest

from detoxlab.errors import ConfigError
from detoxlab.scorer_training import ScorerTraining
from detoxlab.scorers.training.quotations import FRAMES, quoted
from detoxlab.scorers.training.rows import Corpus, read_corpus, summary
from detoxlab.settings import parse

TEXTS = [f"statement {n}" for n in range(40)]


def corpus(folder: Path, **more: float | str) -> Corpus:
    rows = [
        {"text": f"statement {n}", "hate": 0.9 if n % 2 else 0.1, "rude": 1} for n in range(100)
    ]
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = {"a": {"source": str(path), "labels": {"hate": "hate"}, **more}}
    return read_corpus(
        parse(ScorerTraining, {"name": "x", "encoder": "minilm", "data": data}, place="test")
    )


def test_every_frame_holds_the_text_once_and_its_two_versions_differ() -> None:
    for condemned, endorsed in FRAMES:
        assert condemned.count("{}") == endorsed.count("{}") == 1
        assert condemned != endorsed


def test_half_of_the_drawn_texts_are_condemned_and_half_endorsed() -> None:
    condemned, endorsed = quoted(TEXTS, 0.5, seed=3)
    assert len(condemned) == len(endorsed) == 10
    assert len({index for index, _ in condemned + endorsed}) == 20
    for stance, made in enumerate((condemned, endorsed)):
        for index, text in made:
            assert text in {frame[stance].replace("{}", TEXTS[index]) for frame in FRAMES}


def test_a_text_with_braces_is_quoted_as_it_is() -> None:
    condemned, _ = quoted(["{0} {} %s"] * 2, 1.0, seed=0)
    assert "{0} {} %s" in condemned[0][1]


def test_condemned_texts_are_labelled_0_and_endorsed_ones_keep_their_label(tmp_path: Path) -> None:
    plain, found = corpus(tmp_path), corpus(tmp_path, quoted=1.0)
    extra = found.train[len(plain.train) :]
    marked = [one for one in plain.train if one.goals[0] > 0.5]
    assert found.train[: len(plain.train)] == plain.train
    assert found.validation == plain.validation  # what is chosen is chosen on natural texts
    assert len(extra) == len(marked) == found.counts["a"].quoted
    assert sorted({one.goals for one in extra}) == [(0.0,), (0.9,)]
    assert f"({len(extra)} in quotations)" in summary(found)[0]
    assert found.counts["a"].train == len(found.train)


def test_only_texts_with_a_label_of_half_or_more_are_quoted(tmp_path: Path) -> None:
    plain = corpus(tmp_path)
    low = {one.text for one in plain.train if one.goals[0] < 0.5}
    extra = corpus(tmp_path, quoted=1.0).train[len(plain.train) :]
    assert not any(one.text.endswith(tuple(low)) for one in extra)


def test_a_share_above_1_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="quoted"):
        corpus(tmp_path, quoted=1.5)
