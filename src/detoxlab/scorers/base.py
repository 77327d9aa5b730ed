"""The protocol of scorers, and the reasons for missing scores that they share."""

import unicodedata
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from detoxlab.measures.writing.languages import is_among, is_surely_not_english
from detoxlab.records import PERSPECTIVE_ATTRIBUTES

__all__ = [
    "ENGLISH",
    "PERSPECTIVE_ATTRIBUTES",
    "CostlyScorer",
    "FloatArray",
    "LimitedScorer",
    "Readings",
    "RereadingScorer",
    "Scorer",
    "cut_texts",
    "encodable",
    "is_empty",
    "is_mostly_latin",
    "languages_of",
    "read_texts",
    "unscored_reason",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]
# Scores (A,) of one text, by the way it was read.
Readings: TypeAlias = dict[str, FloatArray]

ENGLISH = ("en",)


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
        "failed: ..."; "" for attributes that the scorer never judges.
        """
        ...


@runtime_checkable
class CostlyScorer(Scorer, Protocol):
    """A scorer whose scores cost time or quota, so that a cache keeps a few texts at a time."""

    @property
    def texts_at_once(self) -> int: ...


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


def languages_of(scorer: Any) -> tuple[str, ...]:
    """The languages that a scorer reads (ISO 639-1), of an ensemble those that all members read.

    None of them means that it does not say.
    """
    own: tuple[str, ...] = getattr(scorer, "languages", ())
    inner = getattr(scorer, "members", ()) or (getattr(scorer, "scorer", None),)
    if own or inner == (None,):
        return own
    known = [languages for one in inner if (languages := languages_of(one))]
    return tuple(one for one in known[0] if all(one in other for other in known)) if known else ()


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


def encodable(text: str) -> str:
    """The text with lone surrogates, as broken emoji leave them, replaced: they have no UTF-8 form.

    >>> encodable("café"), encodable("\\ud83d")
    ('café', '?')
    """
    return text.encode(errors="replace").decode()


def unscored_reason(text: str, *, any_script: bool, languages: tuple[str, ...] = ()) -> str:
    """Why a scorer gives no score to `text`; "" when it can.

    A scorer reads texts in Latin script or in `any_script`, and in its `languages` where it names
    some. One that names English alone gives up a text only where another language is sure.

    >>> unscored_reason("ты дурак", any_script=False), unscored_reason("ты дурак", any_script=True)
    ('unsupported script', '')
    >>> unscored_reason(" ", any_script=True)
    'empty'
    >>> german = "Das ist nicht mein Haus"
    >>> unscored_reason(german, any_script=False, languages=("en",))
    'unsupported language'
    """
    if is_empty(text):
        return "empty"
    if not any_script and not is_mostly_latin(text):
        return "unsupported script"
    if languages == ENGLISH:
        return "unsupported language" if is_surely_not_english(text) else ""
    return "" if not languages or is_among(text, languages) else "unsupported language"
