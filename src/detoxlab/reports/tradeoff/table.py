"""The trade-off as a table: standing, toxicity, usefulness, and what each variant cost."""

from collections.abc import Sequence

from detoxlab.records import Measurement
from detoxlab.reports import words
from detoxlab.reports.parts import Cell, Column, Table, text_cell, value_cell
from detoxlab.reports.study import Measured, Study
from detoxlab.reports.tradeoff.axes import Axis, Estimate, main_row, with_interval
from detoxlab.reports.tradeoff.families import family
from detoxlab.reports.tradeoff.front import Front
from detoxlab.runs.usage import GENERATE, TRAIN, Usage, read_usage

NOTE = (
    "The front first, then who is dominated, then who cannot be on the front, the least toxic "
    "first. Values are of all scored responses of each model, with their 95 % intervals. On the "
    "front: the share of resamples in which a model is on it. "
)
COST_NOTE = (
    "Time is that of the clock; training includes drawing and scoring the model's own responses. "
    "Memory is the peak while it trained, of the GPU or else of the whole process, libraries "
    "included. Seconds per 1,000 tokens are those of drawing the measured responses: of the "
    "processor, or of the clock on a GPU. ≥ says that a part of the run was killed and its time is "
    "unknown."
)


def trade_off_table(
    study: Study, axes: Sequence[Axis], front: Front, order: Sequence[str], key: str
) -> Table:
    """One row for each run, in this order; `axes` come first, then further evaluations."""
    by_name = {run.name: run for run in study.measured}
    further = _further(study, axes)
    columns = (
        Column("Model"),
        Column("Family"),
        Column("Pareto front"),
        Column("On the front", numeric=True),
        *(Column(axis.heading, numeric=True) for axis in axes),
        *(Column(f"{words.label(row.name)}, {name}", numeric=True) for name, row in further),
        Column("Guards that worsened"),
        Column("Training time", numeric=True),
        Column("Peak memory", numeric=True),
        Column("s per 1,000 tokens", numeric=True),
        Column("× baseline", numeric=True),
    )
    rows = tuple(
        (
            Cell(name),
            Cell(family(study, by_name[name])),
            standing(front, name),
            _share(front, name),
            *(_of_axis(axis, name) for axis in axes),
            *(_of_evaluation(by_name[name], *one) for one in further),
            _worsened(study, name),
            *_cost(study, by_name[name]),
        )
        for name in order
    )
    return Table(key, "Trade-off of all models", columns, rows, NOTE + COST_NOTE, first=len(rows))


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


def usage_cells(usage: Usage | None) -> tuple[Cell, Cell]:
    """Seconds and peak memory of a stage; lower bounds say so, dashes are not recorded."""
    if usage is None:
        return text_cell(None), text_cell(None)
    seconds, peak = usage.wall_seconds, usage.peak_working_bytes
    return (
        Cell(_least(usage) + words.duration(seconds), seconds, "number"),
        Cell(_least(usage) + words.size(peak), float(peak), "number"),
    )


# --- inside ---


def _further(study: Study, axes: Sequence[Axis]) -> list[tuple[str, Measurement]]:
    """Evaluations that no axis shows, each with the row of its main measure."""
    shown = {axis.key for axis in axes}
    names = dict.fromkeys(name for run in study.measured for name in run.evaluations)
    found = []
    for name in names:
        if name not in shown:
            runs = [run.evaluations[name] for run in study.measured if name in run.evaluations]
            row = main_row(runs)
            found += [(name, row)] if row else []
    return found


def _share(front: Front, name: str) -> Cell:
    if name not in front.members and name not in front.dominated:
        return text_cell(None)
    share = front.shares.get(name)
    return value_cell(share, words.number(share))


def _of_axis(axis: Axis, name: str) -> Cell:
    estimate = axis.values.get(name)
    value = estimate.value if estimate else None
    return value_cell(value, with_interval(estimate, axis.unit))


def _of_evaluation(run: Measured, name: str, row: Measurement) -> Cell:
    evaluated = run.evaluations.get(name)
    rows = evaluated.measurements if evaluated else ()
    found = next((one for one in rows if one.name == row.name and one.group is None), None)
    if found is None or found.value is None:
        return value_cell(None, words.UNKNOWN)
    estimate = Estimate(found.value, found.ci_low, found.ci_high)
    return value_cell(found.value, with_interval(estimate, found.unit))


def _worsened(study: Study, name: str) -> Cell:
    comparison = next((one for one in study.gains if one.treated == name), None)
    guards = comparison.guards if comparison else ()
    worse = [words.label(guard.name) for guard in guards if guard.status == "worse"]
    return text_cell(", ".join(worse) or None)


def _cost(study: Study, run: Measured) -> tuple[Cell, ...]:
    trained = next((one for one in study.trained if one.name == run.name), None)
    base = read_usage(study.baseline.info, GENERATE)
    drawing = read_usage(run.info, GENERATE)
    here = drawing.seconds_per_1000_tokens if drawing else None
    there = base.seconds_per_1000_tokens if base else None
    times = here / there if here is not None and there else None
    return (
        *usage_cells(read_usage(trained.info, TRAIN) if trained else None),
        text_cell(None) if here is None else Cell(f"{here:.3g}", here, "number"),
        text_cell(None) if times is None else Cell(f"×\u00a0{times:.2f}", times, "number"),
    )


def _least(usage: Usage) -> str:
    return "" if usage.is_complete else "≥\u00a0"
