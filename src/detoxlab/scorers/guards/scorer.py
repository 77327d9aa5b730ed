"""A guard as a scorer: one attribute per policy."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from detoxlab.scorers.base import FloatArray, encodable, unscored_reason
from detoxlab.scorers.batching import map_distinct
from detoxlab.scorers.guards.formats import GuardFormat
from detoxlab.scorers.guards.verdicts import Verdict


class Guard(Protocol):
    """A guard model, in this process or at a server."""

    def verdicts(self, texts: Sequence[str], policy: str) -> list[Verdict]:
        """A verdict per text, in their order."""
        ...


class GuardScorer:
    """Scores texts by the verdicts of a guard; `model` is its name in the scorer's id."""

    def __init__(
        self, guard: Guard, guard_format: GuardFormat, policies: Sequence[str], *, model: str
    ) -> None:
        self._guard, self._any_script = guard, guard_format.any_script
        self.attributes = tuple(policies)
        self.id = f"guard:{guard_format.id_with(policies)}={model}#{'+'.join(policies)}"
        self._reasons: dict[str, str] = {}

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, A) scores in [0, 1]; NaN where `missing_reason` tells why."""
        return map_distinct(self._score, texts, len(self.attributes))

    def missing_reason(self, text: str) -> str:
        return self._unscored(text) or self._reasons.get(text, "")

    def verdicts(self, texts: Sequence[str]) -> list[list[Verdict]]:
        """Per text a verdict for each policy, with the probability on known words."""
        asked = [encodable(text) for text in texts if not self._unscored(text)]
        given = [self._guard.verdicts(asked, policy) if asked else [] for policy in self.attributes]
        of_asked = iter(list(map(list, zip(*given, strict=True))))
        return [
            [Verdict.missing(reason)] * len(self.attributes)
            if (reason := self._unscored(text))
            else next(of_asked)
            for text in texts
        ]

    def _score(self, texts: list[str]) -> FloatArray:
        found = self.verdicts(texts)
        for text, row in zip(texts, found, strict=True):
            if reason := next((one.reason for one in row if one.reason), ""):
                self._reasons[text] = reason
        return np.array([[one.score for one in row] for row in found], dtype=np.float64)

    def _unscored(self, text: str) -> str:
        return unscored_reason(text, any_script=self._any_script)
