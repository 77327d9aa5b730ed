"""The pictures of an audit: dots with intervals, calibration, histograms, lines by length."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from detoxlab.audits.card import Audit, Curve
from detoxlab.audits.names import FIGURES
from detoxlab.records import Measurement
from detoxlab.reports import words
from detoxlab.reports.figures.base import (
    DASHES,
    SYMBOLS,
    headings,
    interval_bars,
    run_colour,
    vertical_line,
)
from detoxlab.reports.parts import Cell, Figure, Table, Trace, text_cell, value_cell
from detoxlab.reports.safety import plotly_text

Drawn = list[tuple[int, Audit, Curve]]

# Section, figure, subset, title and note of each picture of dots.
DOTS = (
    (
        "hatecheck",
        "accuracy",
        "functionality",
        "Accuracy by functionality",
        "Cases on the right side of the threshold, with the 95 % interval over templates.",
    ),
    ("hatecheck", "accuracy", "group", "Accuracy by group", "All cases about the group."),
    ("toxigen", "roc_auc", "group", "ROC-AUC by group", "Statements that people rated above 3."),
    (
        "identity_bias",
        "bpsn_auc",
        "group",
        "BPSN AUC by group",
        "Low: harmless texts that mention the group score as high as toxic ones that do not.",
    ),
    (
        "perturbations",
        "marked",
        "insult",
        "Insults marked after each change",
        "Share at or above the threshold.",
    ),
)


def figures_of(key: str, audits: Sequence[Audit]) -> Iterator[Figure]:
    """The pictures of one section."""
    for section, name, subset, title, note in DOTS:
        if section == key and (figure := _dots(key, name, subset, title, note, audits)):
            yield figure
    for kind, draw in CURVES.items():
        if drawn := _curves(key, kind, audits):
            yield draw(key, drawn)


def _curves(key: str, kind: str, audits: Sequence[Audit]) -> Drawn:
    return [
        (at, audit, curve)
        for at, audit in enumerate(audits)
        if (section := audit.section(key))
        for curve in section.curves
        if curve.kind == kind and curve.x
    ]


# --- dots ---


def _dots(
    key: str, name: str, subset: str, title: str, note: str, audits: Sequence[Audit]
) -> Figure | None:
    """A row per part and a mark per audit, with intervals."""
    found = [
        (at, audit, row)
        for at, audit in enumerate(audits)
        if (section := audit.section(key))
        for row in section.figures
        if (row.name, row.subset) == (name, subset) and row.value is not None
    ]
    if not found:
        return None
    parts = list(dict.fromkeys(row.group or "" for _, _, row in found))
    is_share = FIGURES[name].unit == "share"
    scale = 100 if is_share else 1
    traces = [
        _dot_trace(at, audit, [row for where, _, row in found if where == at], scale)
        for at, audit in reversed(list(enumerate(audits)))
        if any(where == at for where, _, _ in found)
    ]
    layout = {
        "height": 110 + (12 + 14 * len(traces)) * len(parts),
        "xaxis": {
            "title": {"text": f"{FIGURES[name].label}{', %' if is_share else ''}"},
            "range": [-2, 102] if is_share else [0, 1.02],
            "zeroline": False,
        },
        "yaxis": {
            "categoryorder": "array",
            "categoryarray": [plotly_text(part) for part in parts[::-1]],
            "range": [-0.7, len(parts) - 0.3],
            "showgrid": True,
        },
        "shapes": [] if is_share else [vertical_line(0.5)],
        "scattermode": "group",
        "legend": {"traceorder": "reversed"},
        "showlegend": len(traces) > 1,
    }
    return Figure(
        f"{key}-{name}-{subset}", title, note, tuple(traces), layout, _dot_table(title, found)
    )


def _dot_trace(at: int, audit: Audit, rows: Sequence[Measurement], scale: int) -> Trace:
    colour = run_colour(at + 1)
    return {
        "type": "scatter",
        "mode": "markers",
        "orientation": "h",
        "name": plotly_text(audit.name),
        "x": [round(scale * (row.value or 0.0), 4) for row in rows],
        "y": [plotly_text(row.group or "") for row in rows],
        "error_x": interval_bars(
            [(row.value, row.ci_low, row.ci_high) for row in rows],
            scale=scale,
            colour=colour,
            thickness=1.4,
            width=3,
        ),
        "marker": {"symbol": SYMBOLS[at % len(SYMBOLS)], "size": 9, "color": colour},
        "hovertemplate": "%{y}: %{x:.3g}",
    }


def _dot_table(title: str, found: Sequence[tuple[int, Audit, Measurement]]) -> Table:
    rows = tuple(
        (
            Cell(audit.name),
            text_cell(row.group),
            value_cell(row.value, words.number(row.value, row.unit)),
            value_cell(row.ci_low, words.interval(row.ci_low, row.ci_high, row.unit)),
        )
        for _, audit, row in found
    )
    return Table(
        f"numbers-{title.lower().replace(' ', '-')}",
        title,
        headings(("Scorer", "Of", "Value", "95 % interval"), 2),
        rows,
    )


# --- curves ---


def _calibration(key: str, drawn: Drawn) -> Figure:
    """Mean reference by mean score, with the line of a perfect scorer."""
    perfect = {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 1],
        "y": [0, 1],
        "line": {"color": "var(--muted)", "dash": "dot", "width": 1},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    traces = [perfect, *(_curve(at, audit.name, curve, "markers") for at, audit, curve in drawn)]
    return _figure(
        key,
        "calibration",
        "Calibration",
        "15 bins of as many texts each, by score. Below the dotted line the scorer overstates.",
        traces,
        drawn,
        ("mean score", "mean reference"),
    )


def _histogram(key: str, drawn: Drawn) -> Figure:
    """Share of texts per bin of the score, a line per class."""
    traces = _lines(drawn, shape="hvh")
    return _figure(
        key,
        "histogram",
        "Distribution of scores",
        "Share of the texts of each class in bins of .05. Where the lines of two classes lie over "
        "each other, the scorer cannot tell them apart.",
        traces,
        drawn,
        ("score", "share of texts"),
    )


def _by_length(key: str, drawn: Drawn) -> Figure:
    """Share marked, by the number of calm sentences."""
    return _figure(
        key,
        "length",
        "Marked, by the number of calm sentences",
        "An insult should stay marked among any number of calm sentences; calm sentences alone "
        "should not be marked.",
        _lines(drawn),
        drawn,
        ("calm sentences beside the insult", "share marked"),
    )


CURVES: Mapping[str, Callable[[str, Drawn], Figure]] = {
    "calibration": _calibration,
    "length": _by_length,
    "histogram": _histogram,
}


def _lines(drawn: Drawn, shape: str = "linear") -> list[Trace]:
    """A colour per audit, a dash per curve of it."""
    names = list(dict.fromkeys(curve.name for _, _, curve in drawn))
    return [
        _curve(at, f"{audit.name}, {curve.name}", curve, "", DASHES[names.index(curve.name)], shape)
        for at, audit, curve in drawn
    ]


def _curve(
    at: int, name: str, curve: Curve, marks: str, dash: str = "solid", shape: str = "linear"
) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines+markers" if marks else "lines",
        "name": plotly_text(name),
        "x": list(curve.x),
        "y": list(curve.y),
        "line": {"color": run_colour(at + 1), "dash": dash, "width": 2.2, "shape": shape},
        "marker": {"symbol": SYMBOLS[at % len(SYMBOLS)], "size": 7},
    }


def _figure(
    key: str,
    kind: str,
    title: str,
    note: str,
    traces: Sequence[Trace],
    drawn: Drawn,
    axes: tuple[str, str],
) -> Figure:
    across, up = axes
    layout: dict[str, Any] = {
        "height": 380,
        "xaxis": {"title": {"text": across}, "zeroline": False},
        "yaxis": {"title": {"text": up}, "rangemode": "tozero", "zeroline": False},
        "showlegend": len(drawn) > 1,
    }
    rows = tuple(
        (Cell(audit.name), Cell(curve.name), value_cell(x, f"{x:.3g}"), value_cell(y, f"{y:.3g}"))
        for _, audit, curve in drawn
        for x, y in zip(curve.x, curve.y, strict=True)
    )
    table = Table(f"numbers-{key}-{kind}", title, headings(("Scorer", "Curve", *axes), 2), rows)
    return Figure(f"{key}-{kind}", title, note, tuple(traces), layout, table)
