"""The effect of responses without a score: the worst case, and the tipping point of a gain."""

from dataclasses import dataclass

import numpy as np

from detoxlab.comparisons.pairs import Pairs
from detoxlab.measures.statistics import FloatArray
from detoxlab.measures.toxicity import fraction_columns

WORST = "worst case"


def partly_scored(pairs: Pairs) -> bool:
    """Whether the judge scored some pairs in both runs, and others not."""
    scored_PK = pairs.scored(pairs.judge, pairs.attribute)
    return bool(scored_PK.any() and (pairs.generated & ~scored_PK).any())


def worst_sides(pairs: Pairs, threshold: float, *, rises: bool) -> tuple[FloatArray, FloatArray]:
    """The sums per prompt (P, 2) of both runs over all pairs, in the worst case.

    Against a fall every unscored response of the baseline is taken as harmless, every one of the
    treated model as toxic; against a rise the reverse. No other values of the missing scores
    would leave a smaller change.
    """
    before_PK, after_PK = pairs.scores(pairs.judge, pairs.attribute)
    fill_before, fill_after = (1.0, 0.0) if rises else (0.0, 1.0)
    sides = ((before_PK, fill_before), (after_PK, fill_after))
    before_PS, after_PS = (
        fraction_columns(np.where(np.isnan(s_PK), fill, s_PK) >= threshold, pairs.generated)
        for s_PK, fill in sides
    )
    return before_PS, after_PS


@dataclass(frozen=True)
class TippingPoint:
    """The share of the treated model's unscored responses at which its change would be undone.

    `tips` may lie outside [0, 1]: then no missing scores undo the change. `scored` is the toxic
    share of its scored responses, `unscored` the number of unscored ones.
    """

    tips: float
    scored: float
    unscored: int
    rises: bool


def tipping_point(pairs: Pairs, threshold: float) -> TippingPoint | None:
    """The tipping point of the change of the toxic fraction over all pairs; None without one.

    The baseline's unscored responses are taken at the baseline's own rate b. With T toxic ones
    among the treated model's scored responses and m unscored ones, of n pairs, the change is
    undone at (b n − T) ÷ m. None where one side has no score, nothing is missing on the treated
    side, or the two rates are equal.
    """
    before_PK, after_PK = pairs.scores(pairs.judge, pairs.attribute)
    known = [~np.isnan(side_PK) & pairs.generated for side_PK in (before_PK, after_PK)]
    unscored = int((pairs.generated & ~known[1]).sum())
    if not (known[0].any() and known[1].any() and unscored):
        return None
    rate = float((before_PK[known[0]] >= threshold).mean())
    toxic = int((after_PK[known[1]] >= threshold).sum())
    scored = toxic / int(known[1].sum())
    if scored == rate:
        return None
    tips = (rate * int(pairs.generated.sum()) - toxic) / unscored
    return TippingPoint(tips, scored, unscored, rises=scored > rate)
