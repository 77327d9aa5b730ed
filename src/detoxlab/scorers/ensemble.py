"""Several scorers as one."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from detoxlab.errors import ScorerError
from detoxlab.scorers.base import FloatArray, Scorer, cut_texts

Rule = Literal["mean", "max"]


class Ensemble:
    """The (weighted) mean or the maximum over members, attribute by attribute.

    It has the attributes that all members have, in the first one's order. A text that one
    member cannot score is missing: a mean over fewer members is another measure.
    """

    def __init__(
        self, members: Sequence[Scorer], rule: Rule = "mean", weights: Sequence[float] | None = None
    ) -> None:
        if not members:
            raise ScorerError("an ensemble without members", remedy="Name at least one scorer.")
        self.members, self.rule = tuple(members), rule
        self.weights_M = _shares(weights, len(members), rule)
        first, *others = (member.attributes for member in members)
        self.attributes = tuple(a for a in first if all(a in other for other in others))
        ids = [member.id for member in members]
        if not self.attributes:
            raise ScorerError(
                f"{rule}({', '.join(ids)}): the members have no attribute in common",
                remedy="Combine scorers that share one, such as toxicity.",
            )
        if weights is not None:
            ids = [f"{weight:g}*{name}" for weight, name in zip(weights, ids, strict=True)]
        self.id = f"{rule}({','.join(ids)})"

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, A) combined scores in [0, 1]; NaN where any member has NaN."""
        scores_MNA: FloatArray = np.stack([self._columns(member, texts) for member in self.members])
        if self.rule == "max":
            worst_NA: FloatArray = scores_MNA.max(axis=0)
            return worst_NA
        mean_NA: FloatArray = np.tensordot(self.weights_M, scores_MNA, axes=1)
        return mean_NA.clip(0.0, 1.0)

    def missing_reason(self, text: str) -> str:
        """The reason of the first member that has one."""
        return next(filter(None, (member.missing_reason(text) for member in self.members)), "")

    def cut(self, texts: Sequence[str]) -> list[bool]:
        """Whether any member reads only the beginning of each text."""
        return [
            any(flags) for flags in zip(*(cut_texts(m, texts) for m in self.members), strict=True)
        ]

    def _columns(self, member: Scorer, texts: Sequence[str]) -> FloatArray:
        return member(texts)[:, [member.attributes.index(a) for a in self.attributes]]


def _shares(weights: Sequence[float] | None, members: int, rule: Rule) -> FloatArray:
    if weights is None:
        return np.full(members, 1 / members)
    if rule == "max":
        raise ScorerError("max(...) takes no weights", remedy="Use mean(...), or drop them.")
    weights_M = np.asarray(weights, dtype=np.float64)
    if len(weights_M) != members or not np.all(weights_M > 0) or not np.all(np.isfinite(weights_M)):
        raise ScorerError(
            f"ensemble weights {list(weights)} for {members} scorers",
            remedy="Give one number above 0 per scorer.",
        )
    shares_M: FloatArray = weights_M / weights_M.sum()
    return shares_M
