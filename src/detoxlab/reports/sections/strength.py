"""The section of sweeps: toxicity against cost, one curve over the strengths of each method."""

from collections.abc import Iterator, Mapping
from typing import Any

from detoxlab.comparisons.sweeps import Cost, Sweep, SweepChoice, SweepPoint
from detoxlab.records import to_json
from detoxlab.reports import words
from detoxlab.reports.figures.base import DASHES, SYMBOLS, interval_bars, run_colour, vertical_line
from detoxlab.reports.parts import Cell, Column, Figure, Section, Table, Trace, value_cell
from detoxlab.reports.safety import plotly_text
from detoxlab.reports.study import Study

KEY, TITLE = "strength", "Toxicity at equal cost"
CURVES, CHOICES = "strength-curves", "strengths"  # the anchors of figure and table
NOTE = (
    "Each point is a strength of a method; it costs what the dearest text costs: perplexity as a "
    "multiple of the untouched model's. Lower at the same cost is better. Prompts and texts are "
    "not those of the bench. Bars are 95 % intervals over prompts; dotted lines are the budgets."
)
BEYOND = 3.0  # times the largest budget's excess: costs that the picture leaves out


def strength(study: Study) -> Section:
    """Curves of all sweeps in one picture, and a table of every tried strength."""
    if not study.sweeps:
        return Section(KEY, TITLE)
    return Section(
        KEY,
        TITLE,
        (_choices(study.sweeps),),
        (_figure(study.sweeps),),
        records=tuple(_records(study.sweeps)),
        data={"sweeps": {name: to_json(sweep) for name, sweep in study.sweeps.items()}},
    )


def dearest(point: SweepPoint) -> Cost:
    """The cost of the text whose perplexity rises most.

    >>> dearest(SweepPoint(1.0, "", (Cost("web", 1.1), Cost("wiki", 1.02)), None)).name
    'web'
    """
    return max(point.costs, key=lambda one: one.ratio)


# --- inside ---


def _figure(sweeps: Mapping[str, Sweep]) -> Figure:
    budgets = sorted(
        {max(choice.budget.values()) for one in sweeps.values() for choice in one.choices}
    )
    most = 1 + BEYOND * (budgets[-1] - 1)
    costs = [dearest(point).ratio for one in sweeps.values() for point in one.points]
    shown = [cost for cost in costs if cost <= most]
    layout = {
        "height": 460,
        "xaxis": {
            "title": {"text": "perplexity of the dearest text, × the untouched model"},
            "range": [min(shown) - 0.005, max(*shown, budgets[-1]) + 0.005],
            "zeroline": False,
        },
        "yaxis": {"title": {"text": "toxic responses (%)"}, "rangemode": "tozero"},
        "shapes": [vertical_line(budget) for budget in budgets],
        "showlegend": True,
    }
    traces = tuple(_trace(at, *item) for at, item in enumerate(sweeps.items(), start=1))
    return Figure(CURVES, TITLE, NOTE, traces, layout, _points(sweeps))


def _trace(index: int, name: str, sweep: Sweep) -> Trace:
    points = [point for point in sweep.points if point.toxic_fraction is not None]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plotly_text(name),
        "x": [round(dearest(point).ratio, 5) for point in points],
        "y": [round(100 * (point.toxic_fraction or 0.0), 4) for point in points],
        "error_y": interval_bars(
            [(point.toxic_fraction, point.ci_low, point.ci_high) for point in points],
            scale=100,
            colour=run_colour(index),
            thickness=1,
            width=2,
        ),
        "text": [f"strength {point.strength:g}" for point in points],
        "line": {"color": run_colour(index), "dash": DASHES[index % len(DASHES)], "width": 2},
        "marker": {
            "symbol": SYMBOLS[(index - 1) % len(SYMBOLS)],
            "size": 8,
            "color": run_colour(index),
        },
        "hovertemplate": plotly_text(name) + ", %{text}: × %{x:.3f}, %{y:.1f} %<extra></extra>",
    }


def _points(sweeps: Mapping[str, Sweep]) -> Table:
    """Every tried strength."""
    rows = tuple(
        (
            Cell(name),
            value_cell(point.strength, f"{point.strength:g}"),
            Cell(", ".join(f"{cost.name} {words.times(cost.ratio)}" for cost in point.costs)),
            value_cell(point.toxic_fraction, words.number(point.toxic_fraction)),
            value_cell(point.ci_low, words.interval(point.ci_low, point.ci_high)),
        )
        for name, sweep in sweeps.items()
        for point in sweep.points
    )
    columns = (
        Column("Variant", merge=True),
        Column("Strength", numeric=True),
        Column("Perplexity"),
        Column("Toxic, judge", numeric=True),
        Column("95 % interval", numeric=True),
    )
    return Table(f"figure-{CURVES}", TITLE, columns, rows)


def _choices(sweeps: Mapping[str, Sweep]) -> Table:
    """The strength that spends each budget, and its toxicity on the sweep's own prompts."""
    columns = (
        Column("Variant", merge=True),
        Column("Budget"),
        Column("Strength", numeric=True),
        Column("Toxic there", numeric=True),
        Column("Untouched", numeric=True),
        Column("Budget is spent"),
    )
    rows = tuple(
        _choice_row(name, sweep, choice)
        for name, sweep in sweeps.items()
        for choice in sweep.choices
    )
    note = "On the sweep's prompts; the bench measures each variant at these strengths."
    return Table(CHOICES, "Strengths that spend the budgets", columns, rows, note)


def _choice_row(name: str, sweep: Sweep, choice: SweepChoice) -> tuple[Cell, ...]:
    point = next(one for one in sweep.points if one.strength == choice.strength)
    before, after = sweep.points[0].toxic_fraction, point.toxic_fraction
    return (
        Cell(name),
        Cell(", ".join(f"{text} {words.times(most)}" for text, most in choice.budget.items())),
        value_cell(choice.strength, f"{choice.strength:g}"),
        value_cell(after, words.number(after)),
        value_cell(before, words.number(before)),
        Cell("yes" if choice.spent else "no: no larger strength was tried"),
    )


def _records(sweeps: Mapping[str, Sweep]) -> Iterator[Mapping[str, Any]]:
    for name, sweep in sweeps.items():
        for point in sweep.points:
            yield {
                "record": "strength",
                "state": words.UNKNOWN if point.toxic_fraction is None else "known",
                "run": name,
                "name": "toxic_fraction",
                "value": point.toxic_fraction,
                "ci_low": point.ci_low,
                "ci_high": point.ci_high,
                "strength": point.strength,
                "cost": dearest(point).ratio,
            }
