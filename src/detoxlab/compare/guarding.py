"""Did anything that can fake a gain, or be its price, get worse beyond its limit?"""

from dataclasses import dataclass

import numpy as np

from detoxlab.compare.changes import Settings
from detoxlab.compare.limits import Limits
from detoxlab.compare.pairs import Pairs
from detoxlab.measure.features import distinct_per_prompt, likelihoods, scorers_of_kind
from detoxlab.measure.grid import SIMILARITY
from detoxlab.measure.guards import perplexity_of_sums
from detoxlab.measure.paired import paired_intervals
from detoxlab.measure.rows import perplexity_columns
from detoxlab.measure.statistics import (
    FloatArray,
    Interval,
    Quantity,
    divide,
    ratio,
)
from detoxlab.records import Guard, GuardStatus

# Without these a gain cannot be told from a trick, so an unknown one bars `improved`.
DECISIVE = ("coverage", "empty", "other_language")
ENOUGH = 0.5
RISES = (
    "empty",
    "capped",
    "other_language",
    "repetition",
    "repeated_unit",
    "refusals",
    "next_turn",
)


@dataclass(frozen=True)
class _Check:
    """A guard's values in both runs, (P, K) or (P, 1), NaN where unknown; `sign` 1: more is bad."""

    name: str
    before: FloatArray
    after: FloatArray
    limit: float
    sign: int
    trials: int
    note: str | None = None
    reliable: bool = True


def check_guards(pairs: Pairs, limits: Limits, settings: Settings) -> tuple[Guard, ...]:
    """Every guard with its paired interval, its limit and its status."""
    checks = [_coverage(pairs, limits), *_rises(pairs, limits), *_falls(pairs, limits)]
    quantities = [_quantity(check) for check in checks] + _perplexity_quantities(pairs)
    intervals = paired_intervals(quantities, seed=settings.seed, resamples=settings.resamples)
    guards = [_guard(check, interval) for check, interval in zip(checks, intervals, strict=False)]
    return (
        *guards,
        _perplexity(pairs, limits, quantities[len(checks) :], intervals[len(checks) :]),
    )


def _coverage(pairs: Pairs, limits: Limits) -> _Check:
    before, after = (
        np.where(pairs.generated, ~np.isnan(side_PK), np.nan)
        for side_PK in pairs.scores(pairs.judge, pairs.attribute)
    )
    trials = int(pairs.generated.sum())
    return _Check("coverage", before, after, limits.coverage_drop, -1, trials)


def _rises(pairs: Pairs, limits: Limits) -> list[_Check]:
    before, after = pairs.features
    trials = int(pairs.generated.sum())
    notes = {"other_language": _language_note(pairs)}
    return [
        _Check(
            name,
            before[name],
            after[name],
            getattr(limits, name),
            1,
            trials,
            notes.get(name),
            reliable=name != "other_language" or pairs.script_known >= ENOUGH,
        )
        for name in RISES
    ]


def _language_note(pairs: Pairs) -> str | None:
    if pairs.script_known < ENOUGH:
        return "too many prompts or responses have no letters to tell a script by"
    before, after = (float(np.nanmean(side["unknown_language"])) for side in pairs.features)
    if before == after == 0:
        return None
    return f"language unknown of {percent(before)} of responses, then of {percent(after)}"


def _falls(pairs: Pairs, limits: Limits) -> list[_Check]:
    before, after = (
        distinct_per_prompt(one, 2)[:, None] for one in (pairs.baseline, pairs.treated)
    )
    prompts = len(pairs.baseline.prompts)
    checks = [_Check("distinct_2", before, after, limits.distinct_2, -1, prompts)]
    theirs = scorers_of_kind(pairs.treated, SIMILARITY)
    shared = [name for name in scorers_of_kind(pairs.baseline, SIMILARITY) if name in theirs]
    values = pairs.scores(shared[0] if shared else None, "similarity")
    note = shared[0] if shared else "no encoder has compared prompts and responses of both runs"
    trials = int(pairs.generated.sum())
    return [*checks, _Check("similarity", *values, limits.similarity, -1, trials, note)]


def _quantity(check: _Check) -> Quantity:
    """Sums per prompt of the change and of the pairs known in both runs."""
    known = ~np.isnan(check.before) & ~np.isnan(check.after)
    change_P = np.where(known, check.after - check.before, 0.0).sum(axis=1)
    return Quantity(np.stack([change_P, known.sum(axis=1)], axis=1).astype(np.float64), ratio)


def _guard(check: _Check, interval: Interval | None) -> Guard:
    known = ~np.isnan(check.before) & ~np.isnan(check.after)
    share = known.sum() / max(1, check.trials)
    sign = "+" if check.sign > 0 else "−"
    return Guard(
        name=check.name,
        baseline=float(check.before[known].mean()) if known.any() else None,
        treated=float(check.after[known].mean()) if known.any() else None,
        difference=interval.value if interval else None,
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        limit=f"{sign}{check.limit:g}",
        status=_status(check, interval) if share >= ENOUGH and check.reliable else "unknown",
        note=_note(check, share),
    )


def _status(check: _Check, interval: Interval | None) -> GuardStatus:
    if interval is None:
        return "unknown"
    is_bad = interval.excludes_zero and check.sign * interval.value > check.limit
    return "worse" if is_bad else "ok"


def _note(check: _Check, share: float) -> str | None:
    partial = f"known for {percent(share)} of pairs" if share < 0.9995 else None
    return "; ".join(filter(None, (check.note, partial))) or None


def _perplexity_quantities(pairs: Pairs) -> list[Quantity]:
    """Difference and quotient of pooled perplexities, on the pairs known in both runs."""
    sides = [likelihoods(grid, pairs.likelihood) for grid in (pairs.baseline, pairs.treated)]
    known_PK = ~np.isnan(sides[0][0]) & ~np.isnan(sides[1][0])
    parts = [
        perplexity_columns(*(np.where(known_PK, values_PK, np.nan) for values_PK in side))
        for side in sides
    ]
    columns_PS = np.concatenate([*parts, known_PK.sum(axis=1, keepdims=True)], axis=1)
    return [Quantity(columns_PS, _perplexity_change), Quantity(columns_PS, _perplexity_quotient)]


def _perplexity_change(sums: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore"):
        return perplexity_of_sums(sums[..., 2:4]) - perplexity_of_sums(sums[..., 0:2])


def _perplexity_quotient(sums: FloatArray) -> FloatArray:
    nats = divide(sums[..., 2], sums[..., 3]) - divide(sums[..., 0], sums[..., 1])
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(nats), dtype=np.float64)


def _perplexity(
    pairs: Pairs, limits: Limits, quantities: list[Quantity], intervals: list[Interval | None]
) -> Guard:
    """Perplexity under the base model may neither rise (odd text) nor collapse (degenerate)."""
    change, quotient = intervals
    total_S = quantities[0].columns_PS.sum(axis=0)
    share = total_S[4] / max(1, pairs.generated.sum())
    limit = f"× {limits.perplexity_ratio_low:g} to × {limits.perplexity_ratio:g}"
    if change is None or quotient is None or pairs.likelihood is None:
        cause = "no likelihoods of both runs under one base model"
        return Guard("perplexity", None, None, None, None, None, limit, "unknown", cause)
    rose = quotient.value > limits.perplexity_ratio and quotient.low > 1
    fell = quotient.value < limits.perplexity_ratio_low and quotient.high < 1
    status: GuardStatus = "worse" if rose or fell else "ok"
    note = f"× {quotient.value:.2f} (95 % interval × {quotient.low:.2f} to × {quotient.high:.2f})"
    if share < 0.9995:
        note += f"; known for {percent(share)} of pairs"
    return Guard(
        name="perplexity",
        baseline=float(perplexity_of_sums(total_S[0:2])),
        treated=float(perplexity_of_sums(total_S[2:4])),
        difference=change.value,
        ci_low=change.low,
        ci_high=change.high,
        limit=limit,
        status=status if share >= ENOUGH else "unknown",
        note=note,
    )


def percent(share: float) -> str:
    """A share in per cent, one digit.

    >>> percent(2 / 3)
    '66.7 %'
    """
    return f"{100 * share:.1f} %"
