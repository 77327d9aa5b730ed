"""A scorer of certain languages gives no score to texts in others, and says why."""

import json
from pathlib import Path

import numpy as np
import pytest

from detoxlab.errors import ConfigError
from detoxlab.measures.writing.languages import is_among
from detoxlab.pipeline import train_scorer
from detoxlab.scorer_training import ScorerTraining
from detoxlab.scorers import load_scorer
from detoxlab.settings import parse
from tests.support.tiny_classifier import save_tiny_encoder

ENGLISH, GERMAN = "It was the best of times for all of us", "Das ist nicht mein Haus und nicht dein"
RUSSIAN, POLISH = "Это не мой дом, и я не знаю", "To nie jest mój dom i nie wiem, co to jest"


def given(**more: object) -> dict[str, object]:
    table = {"source": "texts.jsonl", "labels": {"hate": "hate"}}
    return {"name": "x", "encoder": "org/encoder", "data": {"table": table}} | more


@pytest.mark.parametrize(
    ("text", "among"),
    [
        (ENGLISH, True),
        (RUSSIAN, True),
        (GERMAN, False),
        (POLISH, False),
        ("Hmm", True),  # its language cannot be told, but its script is that of English
        ("Πού πας", False),
        ("你好", False),
        ("???", True),
    ],
)
def test_a_text_is_read_where_its_language_or_else_its_script_is_one_of_them(
    text: str, among: bool
) -> None:
    assert is_among(text, ("en", "ru")) is among


@pytest.mark.slow
def test_other_languages_are_unscored_and_the_listed_ones_are_not(tmp_path: Path) -> None:
    save_tiny_encoder(tmp_path / "encoder")
    rows = [{"text": f"you fool {n}" if n % 2 else f"day {n}", "hate": n % 2} for n in range(60)]
    (tmp_path / "texts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    table = {"source": str(tmp_path / "texts.jsonl"), "labels": {"hate": "hate"}}
    settings = given(encoder=str(tmp_path / "encoder"), data={"table": table}, epochs=1)
    settings |= {"any_script": True, "languages": ["en", "ru"], "validation": 0.3}
    run = train_scorer(parse(ScorerTraining, settings, place="test"), tmp_path / "run")
    scorer = load_scorer(str(run.path), cache=False)
    scores = scorer([ENGLISH, RUSSIAN, GERMAN, ""])[:, 0]
    assert np.isnan(scores).tolist() == [False, False, True, True]
    assert scorer.missing_reason(GERMAN) == "unsupported language"
    assert scorer.missing_reason("") == "empty"
    assert scorer.missing_reason(ENGLISH) == ""
    card = (run.path / "scorer" / "README.md").read_text()
    assert "It scores texts in these languages" in card
    assert "en, ru" in card


def test_a_scorer_of_any_script_says_its_languages() -> None:
    with pytest.raises(ConfigError, match="say in `languages`"):
        parse(ScorerTraining, given(any_script=True), place="test")
    parse(ScorerTraining, given(any_script=True, languages=["en", "ru"]), place="test")


def test_e5_has_its_prefix_unless_another_is_given() -> None:
    assert parse(ScorerTraining, given(encoder="e5"), place="test").prefix == "query: "
    other = parse(ScorerTraining, given(encoder="e5", prefix="passage: "), place="test")
    assert other.prefix == "passage: "
    assert parse(ScorerTraining, given(), place="test").prefix == ""
