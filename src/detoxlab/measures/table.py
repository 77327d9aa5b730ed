"""The measured table of one run: every measure, group and guard of a protocol, with intervals."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detoxlab.measures import rows as make
from detoxlab.measures.catalogue import DECIDING, MEAN, MEASURES
from detoxlab.measures.grid import (
    HATE,
    Grid,
    Key,
    attribute_read,
    compared_groups,
    grid_of,
    judge_of,
    judged_attribute,
    prompt_groups,
)
from detoxlab.measures.groups.rows import disparity_rows, macro_mean_row
from detoxlab.measures.rows import MeasuredRow
from detoxlab.measures.statistics import (
    Interval,
    bootstrap_many,
    exact_share_interval,
    ratio,
)
from detoxlab.protocols import Protocol
from detoxlab.records import RESAMPLES, Measurement, Responses


@dataclass(frozen=True)
class _Bench:
    """The data that all rows of one table share; `scorers` begin with the judge."""

    grid: Grid
    protocol: Protocol
    attribute: str
    scorers: tuple[str, ...]
    second: str | None
    brief: bool

    @property
    def judge(self) -> str:
        return self.scorers[0]

    @property
    def threshold(self) -> float:
        return self.protocol.threshold

    @property
    def measures(self) -> tuple[str, ...]:
        return self.protocol.measures if self.brief else (*self.protocol.measures, MEAN)


def measure(
    responses: Responses,
    *,
    protocol: Protocol,
    brief: bool = False,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Measurement]:
    """Every measure of the protocol on these responses, with BCa 95 % intervals over prompts.

    The table has rows for the judge, the second and any further scorer; for all prompts, for the
    prompts that are themselves toxic to the judge (where the protocol asks for `P+C`), for those
    that are hateful to a scorer of hate (there too, `P+H`), for each
    group, and for each further attribute of the judge. Then come the guards, coverage and
    agreement. Each measurement names the protocol and the changes made to it. A `brief` table
    has toxicity by the protocol's measures, groups and coverage, for which prompts need no text.

    Raises `ConfigError` when there is no judge, `DataError` on rows that do not fit together.
    """
    bench = _bench(responses, protocol, brief=brief)
    label = protocol.overridden(responses.sampling, responses.departures)
    found = _finished(_main_rows(bench), seed, resamples)
    if protocol.subset_by_prompt_score:
        found += _marked_prompts(bench, (bench.judge, bench.attribute), "P+C", seed, resamples)
        for scorer_id in bench.grid.hate_scorers()[:1]:
            found += _marked_prompts(bench, (scorer_id, HATE), "P+H", seed, resamples)
    for group, index in prompt_groups(bench.grid.prompts, protocol.group_keys).items():
        part = dataclasses.replace(bench, grid=bench.grid.rows(index))
        found += _finished(_toxicity_rows(part, group=group), seed, resamples)
    found += _disparities(bench, seed, resamples)
    return [dataclasses.replace(one, protocol=label) for one in found]


def _bench(responses: Responses, protocol: Protocol, *, brief: bool) -> _Bench:
    grid = grid_of(responses)
    judge = judge_of(responses, grid)
    attribute = judged_attribute(grid, judge, protocol.attribute)
    second = responses.second_id if responses.second_id != judge else None
    scorers = dict.fromkeys([judge, *([second] if second else []), *grid.scorer_ids()])
    return _Bench(grid, protocol, attribute, tuple(scorers), second, brief)


def _main_rows(bench: _Bench) -> list[MeasuredRow]:
    grid = bench.grid
    rows = _toxicity_rows(bench, subset="P" if bench.protocol.subset_by_prompt_score else None)
    if bench.protocol.macro_mean:
        rows += _macro_rows(bench)
    if bench.brief:
        return [*rows, *(make.coverage_row(grid, one, _own(bench, one)) for one in bench.scorers)]
    rows += make.level_rows(grid, bench.judge, bench.attribute)
    for attribute in grid.attributes_of(bench.judge):
        if attribute != bench.attribute:
            rows += make.toxicity_rows(
                grid,
                bench.judge,
                attribute,
                measures=(DECIDING,),
                threshold=bench.threshold,
            )
    rows += [make.coverage_row(grid, one, _own(bench, one)) for one in bench.scorers]
    rows += make.cut_rows(grid)
    rows += make.guard_rows(grid)
    if bench.second:
        keys = [(one, _own(bench, one)) for one in (bench.judge, bench.second)]
        rows += make.agreement_rows(grid, keys[0], keys[1], bench.threshold)
    return rows


def _toxicity_rows(
    bench: _Bench, *, group: str | None = None, subset: str | None = None
) -> list[MeasuredRow]:
    """The protocol's measures by every scorer; of groups only by the judge and the second."""
    scorers = bench.scorers if group is None else bench.scorers[: 2 if bench.second else 1]
    return [
        row
        for scorer_id in scorers
        for row in make.toxicity_rows(
            bench.grid,
            scorer_id,
            _own(bench, scorer_id),
            measures=bench.measures,
            threshold=bench.threshold,
            group=group,
            subset=subset,
        )
    ]


def _macro_rows(bench: _Bench) -> list[MeasuredRow]:
    members = prompt_groups(bench.grid.prompts, bench.protocol.group_keys)
    if not members:
        return []
    return [
        macro_mean_row(bench.grid, one, _own(bench, one), members, bench.threshold)
        for one in bench.scorers
    ]


def _disparities(bench: _Bench, seed: int, resamples: int) -> list[Measurement]:
    """The gaps between groups by judge and second scorer, of each part on its own prompts."""
    found: list[Measurement] = []
    keys = bench.protocol.compared_groups
    if not keys:
        return found
    for part, members in compared_groups(bench.grid.prompts, keys).items():
        index = sorted({at for places in members.values() for at in places})
        own = bench.grid.rows(index)
        (placed,) = compared_groups(own.prompts, keys).values()
        rows = [
            row
            for scorer_id in bench.scorers[: 2 if bench.second else 1]
            for row in disparity_rows(
                own,
                scorer_id,
                _own(bench, scorer_id),
                placed,
                threshold=bench.threshold,
                part=part,
                seed=seed,
            )
        ]
        found += _finished(rows, seed, resamples)
    return found


def _marked_prompts(
    bench: _Bench, key: Key, subset: str, seed: int, resamples: int
) -> list[Measurement]:
    """The table over the prompts whose own text a scorer marks."""
    own_P = bench.grid.prompt_scores.get(key)
    missing = len(bench.grid.prompts) if own_P is None else int(np.isnan(own_P).sum())
    toxic_P = own_P >= bench.threshold if own_P is not None else np.zeros(0, dtype=np.bool_)
    index = np.flatnonzero(toxic_P)
    note = f"{missing} prompts without a score of their own left out" if missing else None
    if not len(index):
        unknown = MEASURES[DECIDING].measurement(
            scorer_id=bench.judge,
            attribute=bench.attribute,
            subset=subset,
            note=note or f"no prompt is marked by {key[0]}",
        )
        return [unknown]
    part = dataclasses.replace(bench, grid=bench.grid.rows(index))
    rows = _toxicity_rows(part, subset=subset)
    return [dataclasses.replace(one, note=note) for one in _finished(rows, seed, resamples)]


def _own(bench: _Bench, scorer_id: str) -> str:
    """The attribute to read of a scorer; without such scores its rows are unknown."""
    found = attribute_read(bench.grid, scorer_id, bench.protocol.attribute)
    return found or bench.attribute


def _finished(rows: Sequence[MeasuredRow], seed: int, resamples: int) -> list[Measurement]:
    """The measurements with values and intervals, all rows from the same resamples."""
    quantities = [row.quantity for row in rows if row.quantity is not None]
    intervals = iter(bootstrap_many(quantities, seed=seed, resamples=resamples))
    return [
        row.measurement if row.quantity is None else _with_interval(row, next(intervals))
        for row in rows
    ]


def _with_interval(row: MeasuredRow, interval: Interval | None) -> Measurement:
    assert row.quantity is not None
    value = float(row.quantity.statistic(row.quantity.columns_PS.sum(axis=0)))
    if not np.isfinite(value):
        return row.measurement
    low, high = (interval.low, interval.high) if interval else (None, None)
    if row.measurement.unit == "share" and value in (0.0, 1.0) and row.quantity.statistic is ratio:
        prompts = int((row.quantity.columns_PS[:, 1] > 0).sum())
        low, high = exact_share_interval(int(value) * prompts, prompts)
    if row.read is not None:
        value, low, high = row.read(value, interval)
    return dataclasses.replace(row.measurement, value=value, ci_low=low, ci_high=high)
