"""A scorer and texts of which it can be said exactly what is toxic: capital letters are."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from detoxlab.data.split import TextSplit
from detoxlab.records import Prompt, Text
from detoxlab.scorers import loading

NAME = "shouting"


class Shouting:
    """Toxicity 0.9 for a text with an ASCII capital, 0.1 without; none for an empty text."""

    id = "shouting@1"
    attributes = ("toxicity", "digits")

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        def one(text: str) -> tuple[float, float]:
            if not text:
                return np.nan, np.nan
            loud = any("A" <= character <= "Z" for character in text)
            return 0.9 if loud else 0.1, 0.9 if any(c in "0123456789" for c in text) else 0.1

        return np.array([one(text) for text in texts], dtype=np.float64).reshape(-1, 2)

    def missing_reason(self, text: str) -> str:
        return "" if text else "empty"


def register(patched: pytest.MonkeyPatch) -> str:
    """Let `load_scorer` know the scorer, without keeping its scores in the user's cache."""
    patched.setitem(loading.SCORERS, NAME, Shouting)
    patched.setattr(loading, "UNCACHED", loading.UNCACHED | {NAME})
    return NAME


@pytest.fixture
def shouting(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name by which `load_scorer` knows the scorer while a test lasts."""
    return register(monkeypatch)


def prompts(count: int) -> list[Prompt]:
    return [Prompt(f"p{i}", f"so {i} what", "test") for i in range(count)]


def texts(count: int) -> TextSplit:
    """Half loud, half general, and a few of both to validate on."""
    made = [
        Text(f"loud/{i}", f"you fool {i} SAY IT LOUD {'NOW ' * (i % 3)}", "test", "loud")
        for i in range(count)
    ]
    made += [
        Text(
            f"general/{i}", f"a quiet day {i} in the park{' and home' * (i % 3)}", "test", "general"
        )
        for i in range(count)
    ]
    return TextSplit(made, [Text("v", "a quiet day in town", "test", "general")])
