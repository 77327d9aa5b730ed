"""The protocol of scorers, and the reasons for missing scores that they share."""

import unicodedata
from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from detoxlab.records import PERSPECTIVE_ATTRIBUTES

__all__ = [
    "PERSPECTIVE_ATTRIBUTES",
    "FloatArray",
    "LimitedScorer",
    "Readings",
    "RereadingScorer",
    "Scorer",
    "cut_texts",
    "encodable",
    "english_reason",
    "is_empty",
    "is_mostly_latin",
    "read_texts",
    "unscored_reason",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]
# Scores (A,) of one text, by the way it was read.
Readings: TypeAlias = dict[str, FloatArray]


@runtime_checkable
class Scorer(Protocol):
    """Turns texts into probabilities; keeps their order and does not depend on the batch.

    `id` is name and revision ("rtp-linear@1"); `attributes` names the columns.
    Each scorer does its own batching, length sorting and duplicate removal.
    """

    @property
    def id(self) -> str: ...

    @property
    def attributes(self) -> tuple[str, ...]: ...

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, A) in [0, 1], one row per text; NaN where a text could not be scored."""
        ...

    def missing_reason(self, text: str) -> str:
        """Why the row of `text` holds NaN: "empty", "unsupported script" (or "language"), or
        "failed: ...".
        """
        ...


@runtime_checkable
class LimitedScorer(Scorer, Protocol):
    """A scorer that reads only the beginning of a long text, and can tell where it did."""

    def cut(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text is longer than the part that is read."""
        ...


def cut_texts(scorer: Scorer, texts: Sequence[str]) -> list[bool]:
    """Whether the scorer reads only the beginning of each text; False if the scorer cannot tell."""
    if isinstance(scorer, LimitedScorer):
        return scorer.cut(texts)
    return [False] * len(texts)


@runtime_checkable
class RereadingScorer(Scorer, Protocol):
    """A scorer that reads some texts in several ways, and makes one score of theirs."""

    def read(self, texts: Sequence[str]) -> tuple[FloatArray, list[Readings]]:
        """The scores (N, A), and for each text that of each way; none where there is one way."""
        ...


def read_texts(scorer: Scorer, texts: Sequence[str]) -> tuple[FloatArray, list[Readings]]:
    """The scores (N, A) of texts, and the scores of each way to read a text that has several."""
    if isinstance(scorer, RereadingScorer):
        return scorer.read(texts)
    return scorer(texts), [{} for _ in texts]


def is_empty(text: str) -> bool:
    """True when nothing is there to read: only white space and invisible characters.

    >>> is_empty(" \\n\\u200b"), is_empty("?")
    (True, False)
    """
    return all(c.isspace() or unicodedata.category(c) in ("Cf", "Cc") for c in text)


def is_mostly_latin(text: str) -> bool:
    """True when at least half of the letters are Latin, or when there is no letter at all.

    >>> is_mostly_latin("naïve, 100 %"), is_mostly_latin("Привет, Bob"), is_mostly_latin("!?")
    (True, False, True)
    """
    if text.isascii():
        return True
    letters = [c for c in text if c.isalpha()]
    latin = sum(_is_latin(c) for c in letters)
    return 2 * latin >= len(letters)


def _is_latin(letter: str) -> bool:
    # Full-width and mathematical letters are written to look Latin, often to dodge a filter.
    plain = unicodedata.normalize("NFKC", letter)
    return plain.isascii() or unicodedata.name(plain[0], "").startswith("LATIN")


def english_reason(text: str) -> str | None:
    """Why a scorer trained on English gives no score to `text`; None when it can.

    >>> english_reason("you fool"), english_reason("  "), english_reason("ты дурак")
    (None, 'empty', 'unsupported script')
    """
    if is_empty(text):
        return "empty"
    return None if is_mostly_latin(text) else "unsupported script"


def encodable(text: str) -> str:
    """The text with lone surrogates, as broken emoji leave them, replaced: they have no UTF-8 form.

    >>> encodable("café"), encodable("\\ud83d")
    ('café', '?')
    """
    return text.encode(errors="replace").decode()


def unscored_reason(text: str, *, any_script: bool) -> str:
    """Why a scorer of Latin script, or of any script, gives no score to `text`; "" when it can.

    >>> unscored_reason("ты дурак", any_script=True), unscored_reason(" ", any_script=True)
    ('', 'empty')
    """
    if any_script:
        return "empty" if is_empty(text) else ""
    return english_reason(text) or ""
