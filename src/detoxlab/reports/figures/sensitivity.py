"""The deciding difference by threshold: a curve with its band."""

from detoxlab.records import Comparison, Difference
from detoxlab.reports import words
from detoxlab.reports.figures.base import (
    DASHES,
    SYMBOLS,
    headings,
    run_colour,
    run_label,
    vertical_line,
)
from detoxlab.reports.parts import Cell, Figure, Table, Trace, value_cell
from detoxlab.reports.safety import plotly_text
from detoxlab.reports.study import Study

NOTE = (
    "Difference of toxic responses by the judge on comparable pairs, treated minus baseline, if a "
    "response were toxic at or above another score, with the paired 95 % interval at each "
    "threshold as a band. Where the band lies above 0, at whatever threshold, no gain is shown."
)


def sensitivity(study: Study) -> Figure | None:
    """The difference at every threshold, one curve per variant."""
    drawn = [
        (index, comparison, known)
        for index, comparison in enumerate(study.gains, start=1)
        if (known := [row for row in comparison.sensitivity if row.difference is not None])
    ]
    if not drawn:
        return None
    title = "Change at other thresholds"
    layout = {
        "height": 380,
        "xaxis": {"title": {"text": "threshold"}, "range": [0.05, 0.95], "zeroline": False},
        "yaxis": {
            "title": {"text": "percentage points (below 0 is less toxic)"},
            "zeroline": True,
            "zerolinewidth": 2,
        },
        "shapes": [vertical_line(study.threshold)],
        "showlegend": len(drawn) > 1,
    }
    traces = tuple(
        trace
        for index, comparison, rows in drawn
        for trace in (_band(index, rows), _curve(study, index, comparison, rows))
    )
    return Figure("sensitivity", title, NOTE, traces, layout, _table(title, drawn))


def _band(index: int, rows: list[Difference]) -> Trace:
    """The area between the ends of the intervals: along the upper ends and back along the lower."""
    known = [row for row in rows if row.ci_low is not None and row.ci_high is not None]
    upper = [(row.threshold, row.ci_high) for row in known]
    lower = [(row.threshold, row.ci_low) for row in reversed(known)]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x for x, _ in upper + lower],
        "y": [_points(y) for _, y in upper + lower],
        "fill": "toself",
        "fillcolor": run_colour(index),
        "opacity": 0.18,
        "line": {"width": 0, "color": run_colour(index)},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _curve(study: Study, index: int, comparison: Comparison, rows: list[Difference]) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": run_label(study, comparison.treated),
        "x": [row.threshold for row in rows],
        "y": [_points(row.difference) for row in rows],
        "line": {
            "color": run_colour(index),
            "dash": DASHES[index % len(DASHES)],
            "width": 2.4,
        },
        "marker": {
            "symbol": SYMBOLS[(index - 1) % len(SYMBOLS)],
            "size": 8,
            "color": run_colour(index),
        },
        "hovertemplate": plotly_text(comparison.treated) + ", %{x}: %{y:.1f} points<extra></extra>",
    }


def _points(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 4)


def _table(title: str, drawn: list[tuple[int, Comparison, list[Difference]]]) -> Table:
    columns = ("Model", "Threshold", "Baseline", "Treated", "Difference", "95 % interval")
    rows = tuple(
        (
            Cell(comparison.treated),
            value_cell(row.threshold, f"{row.threshold:g}"),
            value_cell(row.baseline, words.number(row.baseline)),
            value_cell(row.treated, words.number(row.treated)),
            value_cell(row.difference, words.difference(row.difference)),
            value_cell(row.ci_low, words.span(row.ci_low, row.ci_high)),
        )
        for _, comparison, found in drawn
        for row in found
    )
    return Table("figure-sensitivity", title, headings(columns, 1), rows)
