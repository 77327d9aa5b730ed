"""Lines over steps, and a table of the same numbers."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from detoxlab.reports import words
from detoxlab.reports.figures.base import DASHES, SYMBOLS, headings, run_colour
from detoxlab.reports.parts import Cell, Figure, Table
from detoxlab.reports.safety import plotly_text

CURVE_POINTS = 400

Points = list[tuple[float, float]]


def curves_figure(
    key: str, title: str, curves: Mapping[str, Points], *, axis: str = "step"
) -> Figure:
    """One line per curve over `axis`, a count; a curve has the name of a measure."""
    traces = []
    for at, (name, points) in enumerate(curves.items()):
        kept = _thinned(points)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if len(kept) < 40 else "lines",
                "name": plotly_text(words.label(name)),
                "x": [x for x, _ in kept],
                "y": [y for _, y in kept],
                "line": {"color": run_colour(at), "dash": DASHES[at % len(DASHES)], "width": 2.2},
                "marker": {"symbol": SYMBOLS[at % len(SYMBOLS)], "size": 7},
            }
        )
    layout = {
        "height": 300,
        "xaxis": {"title": {"text": axis}, "zeroline": False},
        "yaxis": {"title": {"text": title.partition(" · ")[0].lower()}},
        "hovermode": "x unified",
        "showlegend": len(traces) > 1,
    }
    note = "; ".join(f"{words.label(n)}: {words.count(len(p))} {axis}s" for n, p in curves.items())
    return Figure(key, title, note + ".", tuple(traces), layout, _table(key, title, curves, axis))


def points_of(rows: Iterable[Mapping[str, Any]], name: str, *, axis: str = "step") -> Points:
    """The points of the rows in which both numbers are finite."""
    return [
        (x, y)
        for row in rows
        if (x := _finite(row.get(axis))) is not None and (y := _finite(row.get(name))) is not None
    ]


def _finite(value: Any) -> float | None:
    """The value if it is a finite number, else None."""
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable and np.isfinite(value) else None


def _thinned(points: Points, limit: int = CURVE_POINTS) -> Points:
    """At most `limit` points, evenly spaced, first and last kept."""
    if len(points) <= limit:
        return points
    return [points[at] for at in np.linspace(0, len(points) - 1, limit).round().astype(int)]


def _table(key: str, title: str, curves: Mapping[str, Points], axis: str) -> Table:
    steps = sorted({x for points in curves.values() for x, _ in _thinned(points, 25)})
    lookup = {name: dict(points) for name, points in curves.items()}
    rows = tuple(
        (Cell(f"{step:g}", step, "number"), *(_logged(lookup[name].get(step)) for name in curves))
        for step in steps
    )
    titles = (words.label(axis), *(words.label(name) for name in curves))
    return Table(
        f"figure-{key}", title, headings(titles, 0), rows, f"At most 25 {axis}s per curve."
    )


def _logged(value: float | None) -> Cell:
    return Cell("–", None, "muted") if value is None else Cell(f"{value:.4g}", value, "number")
