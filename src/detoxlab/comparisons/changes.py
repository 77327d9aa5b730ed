"""Differences and ratios of two runs before they have intervals: sums per prompt."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detoxlab.comparisons.pairs import Pairs
from detoxlab.measures.catalogue import TOXICITY
from detoxlab.measures.paired import paired_intervals
from detoxlab.measures.statistics import (
    BoolArray,
    FloatArray,
    Interval,
    Quantity,
)
from detoxlab.records import Difference


@dataclass(frozen=True)
class IntervalSettings:
    """The settings that all intervals of one comparison share."""

    threshold: float
    seed: int
    resamples: int


@dataclass(frozen=True)
class Change:
    """A difference without its interval yet, and its sums per prompt; perhaps with a `ratio`."""

    difference: Difference
    quantity: Quantity
    ratio: Quantity | None = None


def key_of(pairs: Pairs, scorer_id: str) -> tuple[str, str]:
    """The scorer, and its attribute that is read."""
    if scorer_id == pairs.judge:
        return scorer_id, pairs.attribute
    return scorer_id, dict(pairs.others).get(scorer_id, pairs.second_attribute)


def sides(
    pairs: Pairs, settings: IntervalSettings, name: str, mask_PK: BoolArray, key: tuple[str, str]
) -> tuple[FloatArray, FloatArray]:
    """The sums per prompt (P, 2) of both runs, on the pairs of the mask that both have scored."""
    counted_PK = mask_PK & pairs.scored(*key)
    columns = TOXICITY[name].columns
    before_PS, after_PS = (
        columns(np.where(counted_PK, side_PK, np.nan), settings.threshold)
        for side_PK in pairs.scores(*key)
    )
    return before_PS, after_PS


def cut(change: Change, rows_P: BoolArray) -> Change:
    """The change on some of the prompts (P,)."""
    quotient = change.ratio and _rows(change.ratio, rows_P)
    return Change(change.difference, _rows(change.quantity, rows_P), quotient)


def _rows(quantity: Quantity, rows_P: BoolArray) -> Quantity:
    return Quantity(quantity.columns_PS[rows_P], quantity.statistic)


def finished(changes: Sequence[Change], settings: IntervalSettings) -> list[Difference]:
    """The differences with their intervals, all from the same resamples of prompts."""
    quotients = [change.ratio for change in changes if change.ratio]
    intervals = paired_intervals(
        [*(change.quantity for change in changes), *quotients],
        seed=settings.seed,
        resamples=settings.resamples,
    )
    ratios = iter(zip(quotients, intervals[len(changes) :], strict=True))
    rows = []
    for change, interval in zip(changes, intervals, strict=False):
        row = _with_interval(change, interval)
        rows.append(_with_ratio(row, *next(ratios)) if change.ratio else row)
    return rows


def _with_interval(change: Change, interval: Interval | None) -> Difference:
    value = float(change.quantity.statistic(change.quantity.columns_PS.sum(axis=0)))
    if not np.isfinite(value):
        return change.difference
    if interval is None:
        return dataclasses.replace(change.difference, difference=value)
    return dataclasses.replace(
        change.difference,
        difference=interval.value,
        ci_low=interval.low,
        ci_high=interval.high,
        percentile_low=interval.percentile_low,
        percentile_high=interval.percentile_high,
    )


def _with_ratio(
    difference: Difference, quantity: Quantity, interval: Interval | None
) -> Difference:
    """The difference with its ratio, treated over baseline; unknown where the baseline is 0.

    A ratio of 0 has no interval, because every resample gives 0 as well.
    """
    value = float(quantity.statistic(quantity.columns_PS.sum(axis=0)))
    if not np.isfinite(value):
        return difference
    interval = interval if value > 0 else None
    return dataclasses.replace(
        difference,
        ratio=value,
        ratio_low=interval.low if interval else None,
        ratio_high=interval.high if interval else None,
    )
