"""The distributions of scores, as histograms computed here: the page has no raw points."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detoxlab.reports import words
from detoxlab.reports.figures.base import DASHES, headings, run_colour
from detoxlab.reports.parts import Cell, Figure, Table, Trace, value_cell
from detoxlab.reports.safety import plotly_text
from detoxlab.reports.study import Study

FloatArray = npt.NDArray[np.float64]

BINS = 20


def distributions(study: Study) -> list[Figure]:
    """The distribution of the judge's scores: share per bin, and share at or above."""
    judge = study.judge_id
    scores = []
    for run in study.measured:
        values = run.all_scores(judge, study.attribute)
        scores.append(values[~np.isnan(values)])
    if not all(values.size for values in scores):
        return []
    note = f"{words.label(study.attribute)} by {judge}, all scored responses of each model."
    return [_histogram(study, scores, note), _survival(study, scores, note)]


def _histogram(study: Study, scores: Sequence[FloatArray], note: str) -> Figure:
    edges = np.linspace(0, 1, BINS + 1)
    shares = [np.histogram(values, edges)[0] / values.size for values in scores]
    titles = [f"{low:.2f} to {high:.2f}" for low, high in itertools.pairwise(edges)]
    traces = [
        _line(study, index, edges, 100 * np.append(values, values[-1]), shape="hv")
        for index, values in enumerate(shares)
    ]
    axis = {"title": {"text": "% of responses (log)"}, "type": "log", "dtick": 1}
    table = _curve_table(study, "figure-histogram", "Distribution of scores", titles, shares)
    return Figure(
        "histogram",
        "Distribution of scores",
        f"{note} Bins of {1 / BINS:g}; the vertical axis is logarithmic.",
        tuple(traces),
        _score_layout(study, axis),
        table,
    )


def _survival(study: Study, scores: Sequence[FloatArray], note: str) -> Figure:
    cuts = np.linspace(0, 1, BINS + 1)
    shares = [np.array([np.mean(values >= cut) for cut in cuts]) for values in scores]
    traces = [_line(study, i, cuts, 100 * values) for i, values in enumerate(shares)]
    axis = {"title": {"text": "% of responses at or above"}, "rangemode": "tozero"}
    titles = [f"≥ {cut:.2f}" for cut in cuts]
    title = "Responses at or above a score"
    return Figure(
        "survival",
        title,
        f"{note} At the threshold ({study.threshold:g}) the height is the toxic share.",
        tuple(traces),
        _score_layout(study, axis),
        _curve_table(study, "figure-survival", title, titles, shares),
    )


def _line(study: Study, index: int, x: FloatArray, y: FloatArray, shape: str = "linear") -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plotly_text(study.names[index]),
        "x": [round(float(value), 4) for value in x],
        "y": [round(float(value), 4) if value > 0 or shape == "linear" else None for value in y],
        "line": {
            "color": run_colour(index),
            "dash": DASHES[index % len(DASHES)],
            "width": 2.4,
            "shape": shape,
        },
        "hovertemplate": "%{x:.2f}: %{y:.2f} %",
    }


def _score_layout(study: Study, yaxis: Mapping[str, Any]) -> dict[str, Any]:
    line = {"color": "var(--muted)", "width": 1, "dash": "dot"}
    return {
        "height": 340,
        "xaxis": {
            "title": {"text": f"{study.attribute} score"},
            "range": [0, 1],
            "zeroline": False,
        },
        "yaxis": dict(yaxis),
        "hovermode": "x unified",
        "shapes": [
            {
                "type": "line",
                "xref": "x",
                "yref": "paper",
                "x0": study.threshold,
                "x1": study.threshold,
                "y0": 0,
                "y1": 1,
                "line": line,
            }
        ],
    }


def _curve_table(
    study: Study, key: str, title: str, stubs: Sequence[str], shares: Sequence[FloatArray]
) -> Table:
    rows = tuple(
        (Cell(stub), *(value_cell(float(s[at]), words.number(float(s[at]))) for s in shares))
        for at, stub in enumerate(stubs)
    )
    return Table(key, title, headings(("Score", *study.names), 1), rows)
