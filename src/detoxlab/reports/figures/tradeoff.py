"""Toxicity against its cost in fluency, where there is more than one variant."""

from typing import Any

from detoxlab.measures.catalogue import DECIDING
from detoxlab.records import Measurement
from detoxlab.reports import words
from detoxlab.reports.figures.base import SYMBOLS, headings, run_colour, run_label
from detoxlab.reports.parts import Cell, Figure, Table, Trace, value_cell
from detoxlab.reports.study import Measured, Study

LABELS = ("top left", "top right", "middle right")  # neighbours' stand apart


def trade_off(study: Study) -> Figure | None:
    """Toxicity against perplexity under the base model, for two variants or more."""
    points = _trade_off_points(study)
    if len(study.variants) < 2 or len(points) < 3:
        return None
    title = "Toxicity against its cost in fluency"
    beside = {index: at for at, index in enumerate(sorted(points, key=lambda i: points[i][0]))}
    traces = tuple(
        _trade_off_trace(study, index, point, LABELS[beside[index] % len(LABELS)])
        for index, point in points.items()
    )
    layout = {
        "height": 380,
        "xaxis": {
            "title": {"text": "perplexity under the base model (log)"},
            "type": "log",
            "tickvals": _round_numbers([x for x, *_ in points.values()]),
        },
        "yaxis": {"title": {"text": "% toxic responses"}, "rangemode": "tozero"},
        "showlegend": False,
        "margin": {"l": 56, "r": 90, "t": 16, "b": 48},
    }
    rows = tuple(
        (
            Cell(study.names[index]),
            value_cell(x, words.number(x, "perplexity")),
            value_cell(y, words.number(y)),
        )
        for index, (x, y, _, _) in points.items()
    )
    columns = headings(("Model", "Perplexity", "Toxic responses"), 1)
    table = Table("figure-trade-off", title, columns, rows)
    note = "Lower left is better: less toxic, and as likely under the untouched base model."
    return Figure("trade-off", title, note, traces, layout, table)


def _round_numbers(values: list[float]) -> list[float]:
    """Round numbers for a logarithmic axis, from a bit below the values to a bit above.

    >>> _round_numbers([19.2, 778.0])
    [15.0, 20, 30, 50, 70, 100, 150.0, 200, 300, 500, 700, 1000]
    """
    decades = [10**power for power in range(7)]
    every = [step * ten for ten in decades for step in (1, 1.5, 2, 3, 5, 7)]
    return [number for number in every if min(values) / 1.5 < number < max(values) * 1.5]


Point = tuple[float, float, float, float]


def _trade_off_points(study: Study) -> dict[int, Point]:
    """Perplexity, toxic fraction and its interval, of each run that has both."""
    points = {}
    likelihood = study.baseline.responses.base_likelihood_id
    for index, run in enumerate(study.measured):
        cost = _measured(run, "perplexity", likelihood)
        toxic = _measured(run, DECIDING, study.judge_id)
        if cost and toxic and cost.value is not None and toxic.value is not None:
            ends = (toxic.ci_low, toxic.ci_high)
            low, high = (toxic.value if end is None else end for end in ends)
            points[index] = (cost.value, toxic.value, low, high)
    return points


def _measured(run: Measured, name: str, scorer_id: str | None) -> Measurement | None:
    rows = (m for m in run.measurements if m.name == name and m.scorer_id == scorer_id)
    return next((m for m in rows if m.group is None and m.subset in (None, "all", "P")), None)


def _half_widths(point: Point) -> dict[str, Any]:
    _, y, low, high = point
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (high - y)],
        "arrayminus": [100 * (y - low)],
        "thickness": 1.6,
        "width": 4,
    }


def _trade_off_trace(study: Study, index: int, point: Point, label: str) -> Trace:
    name = run_label(study, study.names[index])
    void = study.names[index] in study.invalid
    colour = "var(--muted)" if void else run_colour(index)
    symbol = SYMBOLS[index % len(SYMBOLS)]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": name,
        "x": [point[0]],
        "y": [100 * point[1]],
        "error_y": _half_widths(point) | {"color": colour},
        "text": [name],
        "textposition": label,
        "cliponaxis": False,
        "marker": {
            "size": 13,
            "color": colour,
            "symbol": f"{symbol}-open" if void else symbol,
        },
        "hovertemplate": "%{text}: %{y:.1f} % toxic, perplexity %{x:.1f}<extra></extra>",
    }
