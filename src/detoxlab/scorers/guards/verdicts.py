"""The score of a guard's answer, or the reason why it cannot be read."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

UNREADABLE = "failed: unreadable verdict"


@dataclass(frozen=True)
class Verdict:
    """A score in [0, 1], or NaN with a reason.

    `known` is the probability that the guard gave to words of the format, in [0, 1]; the rest went
    to other words. It is NaN where nothing was asked.
    """

    score: float
    known: float = float("nan")
    reason: str = ""

    @classmethod
    def missing(cls, reason: str) -> "Verdict":
        """No score, with a reason."""
        return cls(float("nan"), reason=reason)


def verdict_of(probabilities: Iterable[tuple[float, float]], floor: float) -> Verdict:
    """The mean score of the verdict's words, each weighed by its probability.

    `probabilities` are pairs of a word's score and its probability. With the two words of most
    formats this is P(unsafe) / (P(safe) + P(unsafe)). Less than `floor` on all words together is
    no verdict: an answer that is not understood is unknown, never safe.

    >>> verdict_of([(0, 0.125), (1, 0.375)], floor=0.5)
    Verdict(score=0.75, known=0.5, reason='')
    >>> verdict_of([(0, 0.01), (1, 0.02)], floor=0.5).reason
    'failed: unreadable verdict (3 % of the probability is on known words)'
    """
    scores_W, masses_W = np.array(list(probabilities) or [(0, 0)], dtype=np.float64).T
    known = float(masses_W.sum())
    if not known >= floor:
        share = f"{100 * known:.0f} % of the probability is on known words"
        return Verdict(float("nan"), known, f"{UNREADABLE} ({share})")
    return Verdict(min(1.0, float(scores_W @ masses_W / known)), known)


def written_verdict(answer: str, opening: str, verdicts: Mapping[str, float]) -> Verdict:
    """The score of the word with which an answer begins after its opening.

    >>> written_verdict("Safety: Unsafe\\nCategories: Violent", "Safety:", {"Safe": 0, "Unsafe": 1})
    Verdict(score=1, known=1.0, reason='')
    >>> written_verdict("I cannot say.", "Safety:", {"Safe": 0, "Unsafe": 1}).reason
    'failed: unreadable verdict'
    """
    begin = re.escape(opening.strip())
    for word, score in verdicts.items():
        if re.match(rf"\s*{begin}\W*{re.escape(word.strip())}\b", answer):
            return Verdict(score, 1.0)
    return Verdict.missing(UNREADABLE)
