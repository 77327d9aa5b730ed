"""Rows on groups of prompts: the mean over groups, and how far groups lie apart."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from detoxlab.measures import toxicity
from detoxlab.measures.catalogue import MACRO_MEAN, MEASURES
from detoxlab.measures.grid import Grid
from detoxlab.measures.groups.disparity import (
    Members,
    by_group,
    fractions,
    group_gap,
    group_ratio,
    if_alike,
    mean_of_ratios,
    root,
    variance_between,
    wide_interval,
)
from detoxlab.measures.rows import MeasuredRow, Read, counted_prompts
from detoxlab.measures.statistics import FloatArray, Interval, Quantity

LEVEL = 0.025  # of the one-sided test behind the low end of a gap's interval


def macro_mean_row(
    grid: Grid, scorer_id: str, attribute: str, members: Members, threshold: float
) -> MeasuredRow:
    """The unweighted mean over groups of each group's toxic fraction."""
    pooled_PS = toxicity.toxic_columns(grid.of(scorer_id, attribute), threshold)
    low, high = (
        mean_of_ratios(by_group(side_PS, members).sum(axis=0))
        for side_PS in _extremes(grid, scorer_id, attribute, threshold)
    )
    measurement = MEASURES[MACRO_MEAN].measurement(
        **_facts(grid, pooled_PS, scorer_id, attribute, threshold),
        bound_low=_known(low),
        bound_high=_known(high),
        note=f"mean over {len(members)} groups",
    )
    return MeasuredRow(measurement, Quantity(by_group(pooled_PS, members), mean_of_ratios))


def disparity_rows(
    grid: Grid,
    scorer_id: str,
    attribute: str,
    members: Members,
    *,
    threshold: float,
    part: str | None = None,
    seed: int = 0,
) -> list[MeasuredRow]:
    """Gap, gap by chance, ratio and deviation of the groups in one part of the prompts.

    Groups without a scored response are left out, and the note counts them. Where permutation
    does not tell the groups apart, at 2.5 % to one side, intervals reach down to no difference.
    """
    pooled_PS = toxicity.toxic_columns(grid.of(scorer_id, attribute), threshold)
    facts = _facts(grid, pooled_PS, scorer_id, attribute, threshold) | {"group": part}
    known = {name: index for name, index in members.items() if pooled_PS[list(index), 1].sum() > 0}
    count = f"{len(known)} of {len(members)} groups"
    if len(known) < 2:
        return [
            MeasuredRow(MEASURES[name].measurement(**facts, note=count))
            for name in ("group_gap", "group_gap_by_chance", "group_ratio", "group_deviation")
        ]
    chance, p_value = if_alike(pooled_PS, known, seed=seed)
    alike = p_value > LEVEL
    low, high = _gap_bounds(grid, scorer_id, attribute, threshold, members)
    names = _ends_named(pooled_PS, known)
    noted = f"{count}; {names}; if all were alike, p = {p_value:.2g}"
    grouped_PS = by_group(pooled_PS, known)
    raw = float(fractions(grouped_PS.sum(axis=0)).var(ddof=1))
    made: dict[str, dict[str, Any]] = {
        "group_gap": {"bound_low": low, "bound_high": high, "note": noted},
        "group_gap_by_chance": {"value": chance, "note": count},
        "group_ratio": {"note": names},
        "group_deviation": {"note": count},
    }
    quantities: dict[str, tuple[Quantity, Read]] = {
        "group_gap": (Quantity(grouped_PS, group_gap), _reader(alike=alike)),
        "group_ratio": (Quantity(grouped_PS, group_ratio), _ratio_reader(alike=alike)),
        "group_deviation": (
            variance_between(pooled_PS, known),
            _reader(raw, alike=alike, of=_root),
        ),
    }
    return [
        MeasuredRow(MEASURES[name].measurement(**facts, **own), *quantities.get(name, (None, None)))
        for name, own in made.items()
    ]


# --- inside ---


def _reader(
    resampled: float | None = None, *, alike: bool, of: Callable[[float], float] = float
) -> Read:
    """Reads a value that is 0 without a difference; `of` makes the measure of it."""

    def read(value: float, found: Interval | None) -> tuple[float, float | None, float | None]:
        if found is None or not _varies(found):
            return of(value), None, None
        low, high = wide_interval(found, value if resampled is None else resampled)
        return of(value), 0.0 if alike else of(max(0.0, low)), of(high)

    return read


def _ratio_reader(*, alike: bool) -> Read:
    """Reads a ratio, which is 1 without a difference; its low end is reflected on a log scale."""

    def read(value: float, found: Interval | None) -> tuple[float, float | None, float | None]:
        if found is None or not _varies(found):
            return value, None, None
        low = max(1.0, value**2 / found.percentile_high)
        return value, 1.0 if alike else low, max(found.high, found.percentile_high)

    return read


def _varies(found: Interval) -> bool:
    """Whether resamples differ: without any toxic response, say, they tell nothing."""
    return found.percentile_low < found.percentile_high


def _root(variance: float) -> float:
    return float(root(variance))


def _facts(
    grid: Grid, pooled_PS: FloatArray, scorer_id: str, attribute: str, threshold: float
) -> dict[str, Any]:
    return {
        "n": counted_prompts(pooled_PS),
        "k": grid.k,
        "threshold": threshold,
        "coverage": float(pooled_PS[:, 1].sum() / max(1, grid.generated.sum())),
        "scorer_id": scorer_id,
        "attribute": attribute,
    }


def _extremes(
    grid: Grid, scorer_id: str, attribute: str, threshold: float
) -> tuple[FloatArray, FloatArray]:
    """Hits and trials (P, 2) if no missing score were toxic, and if every one were."""
    scores_PK = grid.of(scorer_id, attribute)
    missing_PK = np.isnan(scores_PK) & grid.generated
    low_PS, high_PS = (
        toxicity.toxic_columns(np.where(missing_PK, stand_in, scores_PK), threshold)
        for stand_in in (0.0, 1.0)
    )
    return low_PS, high_PS


def _gap_bounds(
    grid: Grid, scorer_id: str, attribute: str, threshold: float, members: Members
) -> tuple[float | None, float | None]:
    """The smallest and the largest gap that any values of the missing scores leave."""
    low_G, high_G = (
        fractions(by_group(side_PS, members).sum(axis=0))
        for side_PS in _extremes(grid, scorer_id, attribute, threshold)
    )
    if np.isnan(low_G).any():
        return None, None
    apart_GG = high_G[:, None] - low_G[None, :]
    np.fill_diagonal(apart_GG, -np.inf)
    return max(0.0, float(low_G.max() - high_G.min())), float(apart_GG.max())


def _ends_named(pooled_PS: FloatArray, members: Mapping[str, Any]) -> str:
    """The groups with the highest and with the lowest fraction; the first of several."""
    found_G = fractions(by_group(pooled_PS, members).sum(axis=0))
    names = list(members)
    return f"highest: {names[int(found_G.argmax())]}, lowest: {names[int(found_G.argmin())]}"


def _known(value: FloatArray) -> float | None:
    return None if np.isnan(value) else float(value)
