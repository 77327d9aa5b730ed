"""The forest plot of differences with their intervals."""

from collections.abc import Sequence

from detoxlab.measures.catalogue import DECIDING
from detoxlab.records import Comparison, Difference
from detoxlab.reports import words
from detoxlab.reports.figures.base import SYMBOLS, headings, run_colour, run_label
from detoxlab.reports.order import in_reading_order
from detoxlab.reports.parts import Cell, Figure, Table, Trace, text_cell, value_cell
from detoxlab.reports.safety import plotly_text
from detoxlab.reports.study import Study

NOTE = (
    "Treated minus baseline with the paired 95 % interval. Filled marks: all responses; "
    "open marks: a part of them."
)


def changes(study: Study) -> Figure | None:
    """Differences of toxicity in percentage points, by variant, scorer and subset."""
    rows = [
        (index, comparison, row)
        for index, comparison in enumerate(study.gains, start=1)
        for row in in_reading_order(comparison.overall)
        if _is_drawn(row)
    ]
    if not rows:
        return None
    order = list(dict.fromkeys(_change_label(row) for _, _, row in rows))
    traces = [_change_trace(study, index, rows) for index in sorted({i for i, _, _ in rows})]
    title = "Change against the baseline"
    layout = {
        "height": 120 + 46 * len(order) * max(1, len(traces) * 2 // 3),
        "xaxis": {
            "title": {"text": "percentage points (left is less toxic)"},
            "rangemode": "tozero",
            "zeroline": True,
            "zerolinewidth": 2,
        },
        "yaxis": {
            "categoryorder": "array",
            "categoryarray": order[::-1],
            "range": [-0.6, len(order) - 0.4],
            "automargin": True,
            "showgrid": False,
        },
        "scattermode": "group",
        "legend": {"traceorder": "reversed"},
        "showlegend": len(traces) > 1,
    }
    return Figure(
        "changes",
        title,
        f"{NOTE} {words.subset_notes(row.subset for _, _, row in rows)}".strip(),
        tuple(traces[::-1]),
        layout,
        _changes_table(title, [(c, row) for _, c, row in rows]),
    )


def _is_drawn(row: Difference) -> bool:
    """Whether a row is drawn: the toxic fraction on every subset, other shares on all responses."""
    known = row.difference is not None and row.unit == "share"
    return known and (row.name == DECIDING or row.subset in (None, "all"))


def _change_label(row: Difference) -> str:
    subset = "" if row.subset in (None, "all") else f", {row.subset}"
    return (
        plotly_text(f"{words.label(row.name)}{subset}") + f"<br>{plotly_text(row.scorer_id or '–')}"
    )


def _change_trace(
    study: Study, index: int, rows: Sequence[tuple[int, Comparison, Difference]]
) -> Trace:
    mine = [row for at, _, row in rows if at == index]
    points = [100 * (row.difference or 0.0) for row in mine]
    open_mark = [row.subset not in (None, "all") for row in mine]
    symbol = SYMBOLS[(index - 1) % len(SYMBOLS)]
    return {
        "type": "scatter",
        "mode": "markers",
        "orientation": "h",
        "name": run_label(study, study.gains[index - 1].treated),
        "x": points,
        "y": [_change_label(row) for row in mine],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [_gap(row.ci_high, row.difference) for row in mine],
            "arrayminus": [_gap(row.difference, row.ci_low) for row in mine],
            "color": run_colour(index),
            "thickness": 1.8,
            "width": 5,
        },
        "marker": {
            "symbol": [f"{symbol}-open" if hollow else symbol for hollow in open_mark],
            "size": 11,
            "color": run_colour(index),
            "line": {"width": 2, "color": run_colour(index)},
        },
        "hovertemplate": "%{y}<br>%{x:.1f} points<extra></extra>",
    }


def _gap(upper: float | None, lower: float | None) -> float:
    return 0.0 if upper is None or lower is None else 100 * (upper - lower)


def _changes_table(title: str, rows: Sequence[tuple[Comparison, Difference]]) -> Table:
    columns = ("Model", "Measure", "Scorer", "Responses", "Difference", "95 % interval")
    cells = tuple(
        (
            Cell(comparison.treated),
            Cell(words.label(row.name)),
            text_cell(row.scorer_id),
            Cell(row.subset or "all"),
            value_cell(row.difference, words.difference(row.difference)),
            value_cell(row.ci_low, words.span(row.ci_low, row.ci_high)),
        )
        for comparison, row in rows
    )
    return Table("figure-changes", title, headings(columns, 4), cells)
