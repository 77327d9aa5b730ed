"""Measures that are functions of sums over items, with intervals from a bootstrap over items."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detoxlab.measures.entry import Measure
from detoxlab.measures.paired import paired_intervals
from detoxlab.measures.statistics import (
    FloatArray,
    Interval,
    Quantity,
    Statistic,
    bootstrap_many,
    divide,
)
from detoxlab.records import RESAMPLES, Difference, ItemResult, Measurement


@dataclass(frozen=True)
class SumMeasure:
    """A measure that is a statistic of sums of the results' values, `columns` in its order.

    A measure with `as_ratio` also compares two models by treated over baseline.
    """

    measure: Measure
    columns: tuple[str, ...]
    statistic: Statistic
    as_ratio: bool = False


def measurements(
    measures: Sequence[SumMeasure],
    results: Sequence[ItemResult],
    *,
    protocol: str,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Measurement]:
    """Each measure over the items that have a result; the others are counted in the coverage."""
    known = [one for one in results if one.error is None]
    quantities = [Quantity(_columns(known, one.columns), one.statistic) for one in measures]
    intervals = bootstrap_many(quantities, seed=seed, resamples=resamples)
    return [
        one.measure.measurement(
            value=_value(quantity),
            ci_low=interval.low if interval else None,
            ci_high=interval.high if interval else None,
            n=len(known),
            coverage=len(known) / len(results) if results else None,
            protocol=protocol,
        )
        for one, quantity, interval in zip(measures, quantities, intervals, strict=True)
    ]


def differences(
    measures: Sequence[SumMeasure],
    baseline: Sequence[ItemResult],
    treated: Sequence[ItemResult],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Difference]:
    """Treated minus baseline, and treated over baseline, on the items with both results.

    All intervals come from the same resamples of items.
    """
    before, after, items = paired(baseline, treated)
    sides = [[_columns(side, one.columns) for side in (before, after)] for one in measures]
    changes = [
        Quantity(np.concatenate(columns, axis=1), _contrast(one.statistic, of))
        for one, columns in zip(measures, sides, strict=True)
        for of in (np.subtract, divide)
    ]
    intervals = paired_intervals(changes, seed=seed, resamples=resamples)
    estimates = list(map(_estimate, changes, intervals))
    return [
        one.measure.difference(
            baseline=_value(Quantity(columns[0], one.statistic)),
            treated=_value(Quantity(columns[1], one.statistic)),
            difference=minus.value,
            ci_low=minus.low,
            ci_high=minus.high,
            percentile_low=minus.percentile_low,
            percentile_high=minus.percentile_high,
            n_prompts=len(before),
            n_pairs=len(before),
            coverage=len(before) / items if items else None,
            ratio=over.value if one.as_ratio else None,
            ratio_low=over.low if one.as_ratio else None,
            ratio_high=over.high if one.as_ratio else None,
        )
        for one, columns, minus, over in zip(
            measures, sides, estimates[::2], estimates[1::2], strict=True
        )
    ]


def paired(
    baseline: Sequence[ItemResult], treated: Sequence[ItemResult]
) -> tuple[list[ItemResult], list[ItemResult], int]:
    """The results of items that both sides have, in one order, and the number of all items."""
    theirs = {one.item: one for one in treated if one.error is None}
    before = [one for one in baseline if one.error is None and one.item in theirs]
    items = {one.item for one in (*baseline, *treated)}
    return before, [theirs[one.item] for one in before], len(items)


# --- inside ---


@dataclass(frozen=True)
class _Estimate:
    """A value and the ends of its intervals; each is None where undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None
    percentile_low: float | None = None
    percentile_high: float | None = None


def _columns(results: Sequence[ItemResult], names: Sequence[str]) -> FloatArray:
    """The named values of the results, (N, S)."""
    rows = [[one.values[name] for name in names] for one in results]
    return np.array(rows, dtype=np.float64).reshape(len(results), len(names))


def _value(quantity: Quantity) -> float | None:
    value = float(quantity.statistic(quantity.columns_PS.sum(axis=0)))
    return value if math.isfinite(value) else None


def _contrast(statistic: Statistic, of: Callable[..., FloatArray]) -> Statistic:
    """The function `of` applied to the statistics of the second and the first half of the sums."""

    def contrast(sums: FloatArray) -> FloatArray:
        before, after = np.split(sums, 2, axis=-1)
        return of(statistic(after), statistic(before))

    return contrast


def _estimate(quantity: Quantity, interval: Interval | None) -> _Estimate:
    value = _value(quantity)
    if value is None or interval is None:
        return _Estimate(value)
    ends = (interval.low, interval.high, interval.percentile_low, interval.percentile_high)
    return _Estimate(value, *ends)
