"""The agreement of judge and second scorer on each run, which must not fall by treatment.

A correlation falls by itself where scores spread less, as they do once few responses are toxic:
the same errors weigh more against less signal. So a fall is compared with the correlation that
the baseline's errors would give at the treated model's spread.

agreements        differences of agreement, and the fall beyond what the spread explains
agreement_guard   whether it fell by more than its limit, and not by the spread alone
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from detoxlab.comparisons.changes import Change, IntervalSettings
from detoxlab.comparisons.limits import Limits
from detoxlab.comparisons.pairs import Pairs
from detoxlab.measures import agreement
from detoxlab.measures.catalogue import MEASURES
from detoxlab.measures.statistics import BoolArray, FloatArray, Quantity, Statistic, divide
from detoxlab.records import Difference, Guard, GuardStatus

PEARSON, BEYOND = "agreement_pearson", "agreement_beyond_spread"


def agreements(pairs: Pairs, settings: IntervalSettings) -> list[Change]:
    """The changes of the agreement of judge and second scorer; none without a second scorer."""
    if pairs.second is None:
        return []
    judged, checked = (
        pairs.scores(pairs.judge, pairs.attribute),
        pairs.scores(pairs.second, pairs.second_attribute),
    )
    both_PK = pairs.scored(pairs.judge, pairs.attribute)
    both_PK &= pairs.scored(pairs.second, pairs.second_attribute)
    masked = [[np.where(both_PK, s_PK, 0.0) for s_PK in side] for side in (judged, checked)]
    sides = list(zip(*masked, strict=True))
    toxic = [[s_PK >= settings.threshold for s_PK in side] for side in sides]
    linear = [agreement.sums_of_pairs(agreement.pearson_columns, a, b, both_PK) for a, b in sides]
    kappas = [agreement.sums_of_pairs(agreement.kappa_columns, a, b, both_PK) for a, b in toxic]
    return [
        _agreement(pairs, PEARSON, linear, agreement.pearson_of_sums, both_PK),
        _agreement(pairs, "agreement_kappa", kappas, agreement.kappa_of_sums, both_PK),
        _beyond_spread(pairs, linear, both_PK),
    ]


def _agreement(
    pairs: Pairs,
    name: str,
    columns: Sequence[FloatArray],
    statistic: Statistic,
    both_PK: BoolArray,
) -> Change:
    width = columns[0].shape[1]
    before, after = (float(statistic(columns_PS.sum(axis=0))) for columns_PS in columns)
    difference = MEASURES[name].difference(
        baseline=None if np.isnan(before) else before,
        treated=None if np.isnan(after) else after,
        n_prompts=int(both_PK.any(axis=1).sum()),
        n_pairs=int(both_PK.sum()),
        coverage=float(both_PK.sum() / max(1, pairs.generated.sum())),
        scorer_id=pairs.second,
        subset="all",
        note=f"with {pairs.judge}",
    )

    def change(sums: FloatArray) -> FloatArray:
        return statistic(sums[..., width:]) - statistic(sums[..., :width])

    return Change(difference, Quantity(np.concatenate(columns, axis=1), change))


def _beyond_spread(pairs: Pairs, linear: Sequence[FloatArray], both_PK: BoolArray) -> Change:
    """The correlation on the treated run against the one that its spread of scores explains."""
    total = np.concatenate(linear, axis=1).sum(axis=0)
    expected = float(correlation_expected(total))
    change = _agreement(pairs, BEYOND, linear, agreement.pearson_of_sums, both_PK)
    label = dataclasses.replace(
        change.difference,
        baseline=None if np.isnan(expected) else expected,
        note=f"with {pairs.judge}; expected at the treated model's spread, and seen",
    )

    def excess(sums: FloatArray) -> FloatArray:
        return agreement.pearson_of_sums(sums[..., 6:]) - correlation_expected(sums)

    return Change(label, Quantity(change.quantity.columns_PS, excess))


def correlation_expected(sums: FloatArray) -> FloatArray:
    """The correlation on the second run if the scorers erred as on the first, over the last axis.

    `sums` are the twelve of `agreement.pearson_columns` of both runs. In units of the first run's
    spreads the scores share a signal of variance r and err with variance 1 − r each; if the
    signal's variance is v on the second run, the correlation should be v ÷ (v + 1 − r). It is at
    most r: more spread need not mean more agreement. Source: Lord and Novick 1968, section 6.2
    (reliability in groups of unlike spread).

    >>> wide = np.array([-2.0, -1.0, 1.0, 2.0]); narrow = wide / 2
    >>> parts = [agreement.pearson_columns(x, x + [0.5, -0.5, -0.5, 0.5]) for x in (wide, narrow)]
    >>> sums = np.concatenate([part.sum(axis=0) for part in parts])
    >>> correlation_expected(sums).round(3).tolist()
    0.837
    """
    first, second = sums[..., :6], sums[..., 6:]
    r = agreement.pearson_of_sums(first)
    signal = divide(r * _covariance(second), _covariance(first))
    expected = divide(signal, signal + 1 - r)
    return np.asarray(np.minimum(np.maximum(expected, 0.0), r))


def _covariance(sums: FloatArray) -> FloatArray:
    x, y, _, _, xy, n = np.moveaxis(sums, -1, 0)
    return divide(n * xy - x * y, n * n)


def agreement_guard(rows: Sequence[Difference], limits: Limits) -> Guard:
    """Worse where the correlation fell beyond its limit and below what the spread explains."""
    named = {row.name: row for row in rows}
    fall, beyond = named.get(PEARSON), named.get(BEYOND)
    most = limits.of("agreement")
    limit = f"−{most:g}"
    if fall is None or beyond is None:
        cause = "no second scorer has scored both runs"
        return Guard("agreement", None, None, None, None, None, limit, "unknown", cause)
    return Guard(
        name="agreement",
        baseline=fall.baseline,
        treated=fall.treated,
        difference=fall.difference,
        ci_low=fall.ci_low,
        ci_high=fall.ci_high,
        limit=limit,
        status=_status(fall, beyond, most),
        note=_explained(beyond),
    )


def _status(fall: Difference, beyond: Difference, limit: float) -> GuardStatus:
    if fall.difference is None or fall.ci_high is None or beyond.ci_high is None:
        return "unknown"
    return "worse" if fall.difference < -limit and max(fall.ci_high, beyond.ci_high) < 0 else "ok"


def _explained(beyond: Difference) -> str | None:
    if beyond.baseline is None:
        return None
    return f"{beyond.baseline:.3f} expected by the spread of its scores alone"
