"""Scorers that read a text in several ways, and keep the score of each way.

    normalised(S)        the text as written and in plain spelling; the larger score counts
    worst_window(S)      windows of whole sentences; the score of the worst one
    mean_window(S)       the same windows; their mean

A text that reads only one way (plain spelling, one window) has exactly the score that S gives it.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Literal

import numpy as np

from detoxlab.errors import ConfigError
from detoxlab.scorers.base import FloatArray, Readings, Scorer, cut_texts
from detoxlab.scorers.texts.normalising import VERSION, normalise
from detoxlab.scorers.texts.sentences import windows

Counts = Literal["larger", "plain"]
WINDOW_WORDS = 40
AS_WRITTEN, PLAIN = "as written", "in plain spelling"
WHOLE, WORST, MEAN = "whole", "worst window", "mean of windows"


class Normalised:
    """A scorer that reads odd spelling: see `normalise`.

    The larger of the two scores counts, attribute by attribute, so that no trick of spelling
    lowers a score and a wrong guess at a spelling hides nothing that the text says as written.
    With `counts` "plain", the text in plain spelling counts alone.
    """

    def __init__(self, scorer: Scorer, counts: Counts = "larger") -> None:
        self.scorer, self.counts, self.attributes = scorer, counts, scorer.attributes
        suffix = "" if counts == "larger" else f",{counts}"
        self.id = f"normalised@{VERSION}({scorer.id}{suffix})"

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, A) scores in [0, 1]; never below the scorer's own where the larger counts."""
        return self.read(texts)[0]

    def read(self, texts: Sequence[str]) -> tuple[FloatArray, list[Readings]]:
        """The scores, and for each text of odd spelling both of its scores."""
        written_NA = self.scorer(texts)
        plain = [normalise(text) for text in texts]
        odd = [
            at for at, (text, other) in enumerate(zip(texts, plain, strict=True)) if text != other
        ]
        scores_NA, readings = written_NA.copy(), [Readings() for _ in texts]
        plain_MA = self.scorer([plain[at] for at in odd])
        for at, plain_A in zip(odd, plain_MA, strict=True):
            readings[at] = {AS_WRITTEN: written_NA[at], PLAIN: plain_A}
            larger_A = np.fmax(written_NA[at], plain_A)
            scores_NA[at] = larger_A if self.counts == "larger" else plain_A
        return scores_NA, readings

    def missing_reason(self, text: str) -> str:
        return self.scorer.missing_reason(normalise(text))

    def cut(self, texts: Sequence[str]) -> list[bool]:
        """Whether the scorer reads only the beginning of each text, in plain spelling."""
        return cut_texts(self.scorer, [normalise(text) for text in texts])


class Windowed:
    """A scorer that reads a long text in windows of at most `words` words.

    "worst" counts the worst window of a text, attribute by attribute, and "mean" their mean. A
    window that the scorer cuts is halved until it reads it whole. A window in another script is
    left out; a text with a window that failed is missing.
    """

    def __init__(
        self, scorer: Scorer, counts: Literal["worst", "mean"], words: int = WINDOW_WORDS
    ) -> None:
        self.scorer, self.counts, self.words = scorer, counts, words
        self.attributes = scorer.attributes
        self.id = f"{counts}_window({scorer.id},{words})"

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, A) scores in [0, 1]; of texts with one window, the scorer's own."""
        return self.read(texts)[0]

    def read(self, texts: Sequence[str]) -> tuple[FloatArray, list[Readings]]:
        """The scores, and for each text of several windows: whole, worst and mean."""
        parts = self._windows(texts)
        whole_NA = self.scorer(texts)
        scores_NA, readings = whole_NA.copy(), [Readings() for _ in texts]
        long = [at for at, own in enumerate(parts) if len(own) > 1]
        scored = iter(self.scorer([window for at in long for window in parts[at]]))
        for at in long:
            windows_WA = np.stack(list(islice(scored, len(parts[at]))))
            worst_A, mean_A = self._summed_up(parts[at], windows_WA)
            readings[at] = {WHOLE: whole_NA[at], WORST: worst_A, MEAN: mean_A}
            scores_NA[at] = worst_A if self.counts == "worst" else mean_A
        return scores_NA, readings

    def missing_reason(self, text: str) -> str:
        reasons = [self.scorer.missing_reason(window) for window in self._windows([text])[0]]
        failed = [reason for reason in reasons if reason.startswith("failed")]
        return next(iter(failed), reasons[0] if all(reasons) else "")

    def _windows(self, texts: Sequence[str]) -> list[list[str]]:
        """The windows of each text, none of which the scorer cuts."""
        found = [[text[start:end] for start, end in windows(text, self.words)] for text in texts]
        cut = iter(cut_texts(self.scorer, [window for own in found for window in own]))
        return [
            [part for window in own for part in (self._halves(window) if next(cut) else [window])]
            for own in found
        ]

    def _halves(self, window: str) -> list[str]:
        words = window.split(" ") if " " in window else list(window)
        glue = " " if " " in window else ""
        middle = len(words) // 2
        halves = [glue.join(words[:middle]), glue.join(words[middle:])]
        if not middle:
            return [window]
        cut = cut_texts(self.scorer, halves)
        return [
            part
            for half, too_long in zip(halves, cut, strict=True)
            for part in (self._halves(half) if too_long else [half])
        ]

    def _summed_up(
        self, texts: Sequence[str], scores_WA: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Worst and mean (A,) of a text's windows."""
        unknown = np.isnan(scores_WA).any(axis=1)
        reasons = [self.scorer.missing_reason(texts[at]) for at in np.flatnonzero(unknown).tolist()]
        if unknown.all() or any(reason.startswith("failed") for reason in reasons):
            missing_A = np.full(scores_WA.shape[1], np.nan)
            return missing_A, missing_A
        known_WA = scores_WA[~unknown]
        return known_WA.max(axis=0), known_WA.mean(axis=0)


def rereading(head: str, settings: Sequence[str]) -> Callable[[Scorer], Scorer]:
    """The way to read that a name asks for: its word and what follows the scorer in the brackets.

    Raises `ConfigError` for a setting that this way lacks.
    """
    if len(settings) > 1:
        raise _bad(head, ", ".join(settings))
    setting = settings[0] if settings else None
    if head == "normalised":
        if setting not in (None, "larger", "plain"):
            raise _bad(head, setting)
        return lambda scorer: Normalised(scorer, "plain" if setting == "plain" else "larger")
    words = WINDOW_WORDS if setting is None else _whole(head, setting)
    return lambda scorer: Windowed(scorer, "worst" if head == "worst_window" else "mean", words)


def _whole(head: str, setting: str) -> int:
    if not setting.isdecimal() or int(setting) < 1:
        raise _bad(head, setting)
    return int(setting)


def _bad(head: str, setting: str) -> ConfigError:
    remedy = (
        "Write normalised(SCORER), or normalised(SCORER, plain) to count plain spelling alone."
        if head == "normalised"
        else f"Write {head}(SCORER), or {head}(SCORER, WORDS) with a number of words per window."
    )
    return ConfigError(
        f"scorer {head}(…, {setting}): {setting!r} is no setting of it", remedy=remedy
    )
