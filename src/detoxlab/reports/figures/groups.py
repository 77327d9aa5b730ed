"""Dot plots of the toxic share by group, all models beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detoxlab.records import Measurement
from detoxlab.reports import words
from detoxlab.reports.figures.base import SYMBOLS, headings, run_colour
from detoxlab.reports.parts import Cell, Figure, Table, Trace, estimate_cells, value_cell
from detoxlab.reports.safety import plotly_text
from detoxlab.reports.study import Study

ROW, BETWEEN = 15, 14  # pixels of each model's mark, and between two groups
MEAN = "the mean over groups"


@dataclass(frozen=True)
class Panel:
    """One plot: of each model, by its name, the rows by group; the first group is the summary.

    Models are in the order of the study; a model without the evaluation is left out.
    """

    key: str
    title: str
    summary: str
    rows: Mapping[str, Mapping[str, Measurement]]


def group_figure(study: Study, panel: Panel) -> Figure | None:
    """The shares of all groups with their intervals, groups sorted by the first model's share.

    None where no group has a known share.
    """
    order = _in_order(panel)
    traces = [
        _trace(study, study.names.index(name), [(group, rows.get(group)) for group in order])
        for name, rows in panel.rows.items()
    ]
    if not any(trace["x"] for trace in traces):
        return None
    labels = list(map(_label, order))
    layout = {
        "height": 130 + len(order) * (BETWEEN + ROW * len(traces)),
        "xaxis": {"title": {"text": "% toxic responses"}, "rangemode": "tozero"},
        "yaxis": {
            "categoryorder": "array",
            "categoryarray": labels[::-1],
            "range": [-0.6, len(order) - 0.4],
            "automargin": True,
        },
        "scattermode": "group",
        "legend": {"traceorder": "reversed"},
        "showlegend": len(traces) > 1,
    }
    return Figure(
        panel.key,
        panel.title,
        f"Share of each group with its 95 % interval, sorted by {next(iter(panel.rows))}; first "
        f"{panel.summary.replace('_', ' ')}. Intervals of groups may overlap although the groups "
        "differ: the gaps stand in the table.",
        tuple(traces[::-1]),
        layout,
        _table(panel, order),
    )


# --- inside ---


def _in_order(panel: Panel) -> list[str]:
    """The summary, then the groups from the highest share to the lowest, unknown ones last."""
    first = next(iter(panel.rows.values()))
    groups = list(dict.fromkeys(name for rows in panel.rows.values() for name in rows))
    groups.remove(panel.summary)

    def place(group: str) -> tuple[float, str]:
        value = first[group].value if group in first else None
        return (1.0 if value is None else -value, group)

    return [panel.summary, *sorted(groups, key=place)]


def _label(group: str) -> str:
    return plotly_text(group.replace("_", " "))


def _trace(study: Study, index: int, rows: Sequence[tuple[str, Measurement | None]]) -> Trace:
    known = [(group, row) for group, row in rows if row is not None and row.value is not None]
    points = [100 * (row.value or 0.0) for _, row in known]
    ends = [
        (100 * (row.ci_low or 0.0), 100 * row.ci_high) if row.ci_high is not None else (x, x)
        for (_, row), x in zip(known, points, strict=True)
    ]
    colour, symbol = run_colour(index), SYMBOLS[index % len(SYMBOLS)]
    return {
        "type": "scatter",
        "mode": "markers",
        "orientation": "h",
        "name": plotly_text(study.names[index]),
        "x": points,
        "y": [_label(group) for group, _ in known],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [high - x for (_, high), x in zip(ends, points, strict=True)],
            "arrayminus": [x - low for (low, _), x in zip(ends, points, strict=True)],
            "color": colour,
            "thickness": 1.6,
            "width": 4,
        },
        "marker": {"symbol": symbol, "size": 9, "color": colour},
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{x:.1f} %",
    }


def _table(panel: Panel, order: Sequence[str]) -> Table:
    titles = ("Group", "Model", "Toxic responses", "95 % interval", "If unscored: none – all toxic")
    cells = tuple(
        (
            Cell(group),
            Cell(name),
            *estimate_cells(row),
            value_cell(row.bound_low, words.interval(row.bound_low, row.bound_high)),
        )
        for group in order
        for name, rows in panel.rows.items()
        if (row := rows.get(group)) is not None
    )
    return Table(f"figure-{panel.key}", panel.title, headings(titles, 2), cells)
