"""The attributes and the threshold that are audited, and scoring in portions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detoxlab.audits import examine
from detoxlab.audits.examine import attributes_to_audit, score_texts, texts_of, threshold_of
from detoxlab.audits.sections import SECTIONS
from detoxlab.errors import ConfigError
from tests.support.audited import write_sets
from tests.support.shouting import Shouting


class Own(Shouting):
    """It has its own threshold for one attribute, and remembers the portions that it scored."""

    thresholds = {"toxicity": 0.3}  # noqa: RUF012
    attributes = ("toxicity", "hate")

    def __init__(self) -> None:
        self.portions: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        self.portions.append(list(texts))
        return super().__call__(texts)


class Odd(Shouting):
    attributes = ("digits", "signs")


def test_toxicity_and_hate_are_audited_where_there_are_any_else_the_first() -> None:
    assert attributes_to_audit(Own(), ()) == ["toxicity", "hate"]
    assert attributes_to_audit(Shouting(), ()) == ["toxicity"]
    assert attributes_to_audit(Odd(), ()) == ["digits"]
    assert attributes_to_audit(Own(), ("hate", "threat")) == ["hate"]
    with pytest.raises(ConfigError, match=r"has no attribute hate\. It has digits, signs"):
        attributes_to_audit(Odd(), ("hate",))


def test_the_threshold_is_the_one_asked_for_then_the_scorers_own_then_a_half() -> None:
    assert threshold_of(Own(), "toxicity", 0.7) == 0.7
    assert threshold_of(Own(), "toxicity", None) == 0.3
    assert threshold_of(Own(), "hate", None) == 0.5
    assert threshold_of(Shouting(), "toxicity", None) == 0.5


def test_portions_hold_texts_of_like_length_and_scores_keep_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examine, "PORTION", 2)
    scorer, seen = Own(), []
    texts = ["a long quiet text", "B", "c", "A LONG LOUD TEXT"]
    scores_NA = score_texts(scorer, texts, seen.append)
    assert scorer.portions == [["B", "c"], ["A LONG LOUD TEXT", "a long quiet text"]]
    assert scores_NA[:, 0].tolist() == [0.1, 0.9, 0.1, 0.9]
    assert seen == [2, 2]


def test_a_limit_draws_the_same_texts_again_and_names_the_file(tmp_path: Path) -> None:
    data = write_sets(tmp_path)
    some, files = texts_of(SECTIONS["hatecheck"], data, 5, seed=3)
    again, _ = texts_of(SECTIONS["hatecheck"], data, 5, seed=3)
    assert len(some) == 5
    assert some == again
    assert list(files) == ["test_suite_cases.csv"]
    assert len(files["test_suite_cases.csv"]) == 64
