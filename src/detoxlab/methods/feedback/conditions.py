"""The conditions of acceptance: attributes of scorers that must be below their thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from detoxlab.scorers import scorer_with
from detoxlab.settings import Settings


class Condition(Settings):
    """One attribute of one scorer below a threshold."""

    scorer: str = Field(default="rtp-linear", description="the scorer trained on; not the judge")
    attribute: str = Field(default="toxicity", description="the column of the scorer")
    threshold: float = Field(
        default=0.5, gt=0, le=1, description="not accepted from here on, as in measuring"
    )


@dataclass(frozen=True)
class Verdicts:
    """Which of N responses were accepted, and which no scorer could read (never accepted)."""

    accepted_N: NDArray[np.bool_]
    unscored_N: NDArray[np.bool_]

    @property
    def unscored_share(self) -> float:
        """The share that no scorer could read, in [0, 1]; 0 without a response."""
        return float(self.unscored_N.mean()) if len(self.unscored_N) else 0.0


class Oracle:
    """C(y): whether a response meets all conditions. It reads the response, never the prompt.

    Labels are hard: scores fed back as soft labels would compound over iterations.
    Raises `ConfigError` when a scorer lacks the attribute.
    """

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self.conditions = [(scorer_with(c.scorer, c.attribute), c) for c in conditions]

    def __call__(self, texts: Sequence[str]) -> Verdicts:
        """One verdict per text; a text that cannot be scored is not accepted."""
        accepted_N = np.ones(len(texts), dtype=bool)
        unscored_N = np.zeros(len(texts), dtype=bool)
        for scorer, condition in self.conditions:
            scores_N = scorer(texts)[:, scorer.attributes.index(condition.attribute)]
            unscored_N |= np.isnan(scores_N)
            accepted_N &= scores_N < condition.threshold  # False for NaN
        return Verdicts(accepted_N, unscored_N)
