"""The trade-off as a table: standing, toxicity and usefulness."""

from collections.abc import Sequence

from detoxlab.reports import words
from detoxlab.reports.parts import Cell, Column, Table, text_cell, value_cell
from detoxlab.reports.study import Study
from detoxlab.reports.tradeoff.axes import Axis, with_interval
from detoxlab.reports.tradeoff.families import family
from detoxlab.reports.tradeoff.front import Front

NOTE = (
    "The front first, then who is dominated, then who cannot be on the front, the least toxic "
    "first. Values are of all scored responses of each model, with their 95 % intervals. On the "
    "front: the share of resamples in which a model is on it."
)


def trade_off_table(
    study: Study, axes: Sequence[Axis], front: Front, order: Sequence[str], key: str
) -> Table:
    """One row for each run, in this order."""
    by_name = {run.name: run for run in study.measured}
    columns = (
        Column("Model"),
        Column("Family"),
        Column("Pareto front"),
        Column("On the front", numeric=True),
        *(Column(axis.heading, numeric=True) for axis in axes),
    )
    rows = tuple(
        (
            Cell(name),
            Cell(family(study, by_name[name])),
            standing(front, name),
            _share(front, name),
            *(_of_axis(axis, name) for axis in axes),
        )
        for name in order
    )
    return Table(key, "Trade-off of all models", columns, rows, NOTE, first=len(rows))


def drawn_table(axes: Sequence[Axis], front: Front, order: Sequence[str], key: str) -> Table:
    """The numbers of one picture: two measures of each run, and where it stands."""
    columns = (
        Column("Model"),
        *(Column(axis.heading, numeric=True) for axis in axes),
        Column("Pareto front"),
    )
    rows = tuple(
        (Cell(name), *(_of_axis(axis, name) for axis in axes), standing(front, name))
        for name in order
    )
    return Table(key, "Trade-off", columns, rows)


def standing(front: Front, name: str) -> Cell:
    """Where a run stands, in words.

    >>> standing(Front(("a",), {"b": ("a",)}, {"c": "verdict: invalid"}, {}, {}), "b").text
    'dominated by a'
    """
    if name in front.members:
        return Cell("✓ on it", None, "ok")
    if name in front.dominated:
        return Cell(f"dominated by {', '.join(front.dominated[name])}")
    if name in front.barred:
        return Cell(f"✗ {front.barred[name]}", None, "worse")
    return Cell(words.UNKNOWN, None, "unknown")


# --- inside ---


def _share(front: Front, name: str) -> Cell:
    if name not in front.members and name not in front.dominated:
        return text_cell(None)
    share = front.shares.get(name)
    return value_cell(share, words.number(share))


def _of_axis(axis: Axis, name: str) -> Cell:
    estimate = axis.values.get(name)
    value = estimate.value if estimate else None
    return value_cell(value, with_interval(estimate, axis.unit))
