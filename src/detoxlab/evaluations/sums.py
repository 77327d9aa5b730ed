"""Measures that are functions of sums over items, with intervals from a bootstrap over items."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from detoxlab.measures.entry import Measure
from detoxlab.measures.paired import PairedSums, paired_intervals, value_of
from detoxlab.measures.statistics import (
    FloatArray,
    Interval,
    Quantity,
    Statistic,
    bootstrap_many,
    divide,
    resampled_sums,
    stacked_columns,
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
            value=value_of(quantity.statistic, quantity.columns_PS),
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
    sides = [
        PairedSums(
            one.measure, one.statistic, _columns(before, one.columns), _columns(after, one.columns)
        )
        for one in measures
    ]
    rows = paired_differences(sides, items=items, seed=seed, resamples=resamples)
    return [
        row if one.as_ratio else replace(row, ratio=None, ratio_low=None, ratio_high=None)
        for one, row in zip(measures, rows, strict=True)
    ]


def paired_differences(
    sides: Sequence[PairedSums], *, items: int, seed: int = 0, resamples: int = RESAMPLES
) -> list[Difference]:
    """Treated minus and over baseline for each measure, on the same N of all `items`."""
    changes = [one.quantity(of) for one in sides for of in (np.subtract, divide)]
    intervals = paired_intervals(changes, seed=seed, resamples=resamples)
    estimates = list(map(_estimate, changes, intervals))
    return [
        one.measure.difference(
            baseline=one.baseline,
            treated=one.treated,
            difference=minus.value,
            ci_low=minus.low,
            ci_high=minus.high,
            percentile_low=minus.percentile_low,
            percentile_high=minus.percentile_high,
            n_prompts=len(one.before_PS),
            n_pairs=len(one.before_PS),
            coverage=len(one.before_PS) / items if items else None,
            ratio=over.value,
            ratio_low=over.low,
            ratio_high=over.high,
        )
        for one, minus, over in zip(sides, estimates[::2], estimates[1::2], strict=True)
    ]


def paired(
    baseline: Sequence[ItemResult], treated: Sequence[ItemResult]
) -> tuple[list[ItemResult], list[ItemResult], int]:
    """The results of items that both sides have, in one order, and the number of all items."""
    theirs = {one.item: one for one in treated if one.error is None}
    before = [one for one in baseline if one.error is None and one.item in theirs]
    items = {one.item for one in (*baseline, *treated)}
    return before, [theirs[one.item] for one in before], len(items)


def resampled(
    measure: SumMeasure,
    models: Sequence[Sequence[ItemResult]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> FloatArray | None:
    """The measure of M models on the same resamples of the items that all have, (resamples, M).

    None without such items.
    """
    shared = in_common(models)
    if not shared[0]:
        return None
    quantities = [Quantity(_columns(one, measure.columns), measure.statistic) for one in shared]
    stacked_NS, spans = stacked_columns(quantities)
    sums_RS = resampled_sums(stacked_NS, seed=seed, resamples=resamples)
    return np.stack([measure.statistic(sums_RS[:, span]) for span in spans], axis=1)


def in_common(models: Sequence[Sequence[ItemResult]]) -> list[list[ItemResult]]:
    """Each model's results of the items that all of them have, in the order of the first."""
    known = [{one.item: one for one in results if one.error is None} for results in models]
    items = [item for item in known[0] if all(item in own for own in known)]
    return [[own[item] for item in items] for own in known]


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


def _estimate(quantity: Quantity, interval: Interval | None) -> _Estimate:
    value = value_of(quantity.statistic, quantity.columns_PS)
    if value is None or interval is None:
        return _Estimate(value)
    ends = (interval.low, interval.high, interval.percentile_low, interval.percentile_high)
    return _Estimate(value, *ends)
