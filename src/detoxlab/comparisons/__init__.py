"""Compares two measured runs: paired differences, guards, and a verdict.

compare(baseline, treated)    differences with intervals, guards, verdict and reasons
compare_each(pairs)           the same of several pairs, p-values corrected over all of them
flow(baseline, treated, ...)  from low, medium and high to low, medium and high
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detoxlab.comparisons.agreeing import agreement_guard
from detoxlab.comparisons.changes import IntervalSettings
from detoxlab.comparisons.differences import differences, holm_across
from detoxlab.comparisons.evidence import Evidence
from detoxlab.comparisons.guarding import check_guards
from detoxlab.comparisons.limits import Limits
from detoxlab.comparisons.pairs import join
from detoxlab.comparisons.verdict import decide
from detoxlab.measures.toxicity import LEVELS, levels
from detoxlab.records import RESAMPLES, Comparison, Responses

__all__ = ["Limits", "compare", "compare_each", "flow", "holm_across"]

ATTRIBUTE, THRESHOLD = "toxicity", 0.5
_DEFAULTS = Limits()


def compare(
    baseline: Responses,
    treated: Responses,
    *,
    limits: Limits = _DEFAULTS,
    threshold: float | None = None,
    attribute: str | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Whether `treated` is less toxic than `baseline`, and what it costs.

    Runs are joined on prompt id and sample; differences are treated minus baseline with
    BCa 95 % intervals over prompts. `threshold` and `attribute` are those that the baseline was
    measured with, unless given (.5 and toxicity where it does not say). The verdict and its
    limits are explained in docs/comparing.md. Order of rows and of prompts changes nothing.

    Raises `ConfigError` when the runs cannot be paired: no prompt in common, different
    texts under one id, different K, sampling or protocol, no common judge.
    """
    pairs = join(baseline, treated, attribute or baseline.attribute or ATTRIBUTE)
    given = (threshold, baseline.threshold, THRESHOLD)
    threshold = next(value for value in given if value is not None)
    settings = IntervalSettings(threshold, seed, resamples)
    rows, curve = differences(pairs, settings)
    guards = (*check_guards(pairs, limits, settings), agreement_guard(rows, limits))
    decision = decide(Evidence(pairs, rows, guards, limits, threshold, curve))
    return Comparison(
        name=f"{baseline.name} → {treated.name}",
        baseline=baseline.name,
        treated=treated.name,
        judge_id=pairs.judge,
        second_id=pairs.second,
        differences=rows,
        guards=guards,
        verdict=decision.verdict,
        reasons=decision.reasons,
        limits=limits.model_dump(),
        remarks=decision.remarks,
        attribute=pairs.attribute,
        threshold=threshold,
        sensitivity=curve,
    )


def compare_each(
    pairs: Iterable[tuple[Responses, Responses]], **options: Any
) -> tuple[Comparison, ...]:
    """Each pair compared; `p_holm` is corrected over all of them. `options` as in `compare`."""
    return holm_across([compare(before, after, **options) for before, after in pairs])


def flow(
    baseline: Responses, treated: Responses, scorer_id: str, attribute: str = "toxicity"
) -> NDArray[np.int64]:
    """Pairs by level in the baseline (rows) and treated (columns): low, medium, high, missing.

    (4, 4) counts in the order of `detoxlab.measures.toxicity.LEVELS`: low below .33, high above
    .66. Source: the flow figure of Scalena et al. 2023, Let the Models Respond.
    """
    pairs = join(baseline, treated, attribute)
    before_PK, after_PK = map(levels, pairs.scores(scorer_id, attribute))
    counts = np.zeros((len(LEVELS), len(LEVELS)), dtype=np.int64)
    np.add.at(counts, (before_PK[pairs.generated], after_PK[pairs.generated]), 1)
    return counts
