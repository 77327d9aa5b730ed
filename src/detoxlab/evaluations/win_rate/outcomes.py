"""A judge's scores as outcomes: wins, ties and losses, and the pairs without a vote."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detoxlab.contest import Kind
from detoxlab.evaluations.win_rate.pairs import NUMBERS
from detoxlab.measures.statistics import FloatArray
from detoxlab.measures.usefulness.win_rate import (
    chose_first,
    likelihood_outcomes,
    question_outcomes,
)
from detoxlab.records import Score


@dataclass(frozen=True)
class Outcomes:
    """The outcomes (P, K) of `prompts`, and for questions how often the first shown was chosen.

    An outcome is 1 where the treated model won, -1 where it lost, 0 for a tie, NaN without a vote.
    """

    prompts: tuple[str, ...]
    outcomes_PK: FloatArray
    first_PK: FloatArray | None

    @classmethod
    def of(cls, kind: Kind, scores: Sequence[Score]) -> "Outcomes":
        """The outcomes of a judge's scores, two per pair."""
        prompts = tuple(dict.fromkeys(one.prompt_id for one in scores))
        row_of = {prompt: row for row, prompt in enumerate(prompts)}
        samples = 1 + max((one.sample for one in scores), default=-1)
        numbers = {name: np.full((len(prompts), samples), np.nan) for name in NUMBERS[kind]}
        for one in scores:
            if one.value is not None:
                numbers[one.attribute][row_of[one.prompt_id], one.sample] = one.value
        first_PK, second_PK = numbers.values()
        if kind == "likelihood":
            return cls(prompts, likelihood_outcomes(first_PK, second_PK), None)
        outcomes_PK = question_outcomes(first_PK, second_PK)
        return cls(prompts, outcomes_PK, chose_first(first_PK, second_PK))


def no_votes(scores: Sequence[Score]) -> dict[str, int]:
    """The number of pairs without a vote, by reason; one order without an answer is enough.

    Numbers that a reason has in parentheses are left out.

    >>> reason = "failed: unreadable verdict (38 % of the probability is on known words)"
    >>> missing = Score("p", 0, "j", "treated_shown_first", None, reason)
    >>> no_votes([missing, Score("p", 0, "j", "treated_shown_second", 1.5)])
    {'unreadable verdict': 1}
    """
    reason_of = {
        (one.prompt_id, one.sample): one.error.removeprefix("failed: ").partition(" (")[0]
        for one in reversed(scores)
        if one.error is not None
    }
    return dict(sorted(Counter(reason_of.values()).items()))
