"""Training curves."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from detoxlab.report import words
from detoxlab.report.figures.base import DASHES, SYMBOLS, Figure, headings, run_colour
from detoxlab.report.safety import plotly_text
from detoxlab.report.study import Trained
from detoxlab.report.tables import Cell, Table

CURVE_POINTS = 400


CURVES = (
    ("loss", "Loss", ("loss", "eval_loss")),
    ("reward", "Reward", ("reward", "eval_reward")),
    ("toxicity", "Toxicity of the sampled responses", ("toxicity",)),
    ("kl", "KL to the reference model, nats per token", ("kl",)),
    ("kl_coefficient", "KL coefficient", ("kl_coefficient",)),
    ("entropy", "Entropy", ("entropy",)),
    ("parts", "Parts of the loss", ("policy_loss", "value_loss")),
    ("response_length", "Response length, tokens", ("response_length",)),
    ("learning_rate", "Learning rate", ("learning_rate",)),
    ("grad_norm", "Gradient norm", ("grad_norm",)),
)


def training(trained: Trained, index: int) -> list[Figure]:
    """Training curves of one run: loss beside validation loss, and what else was logged."""
    figures = []
    for key, title, names in (*CURVES, ("gates", "Share of responses gated", _gates(trained))):
        curves = {name: _points(trained, name) for name in names}
        curves = {name: points for name, points in curves.items() if points}
        if curves:
            figures.append(_training_figure(trained, f"train-{index}-{key}", title, curves))
    return figures


def _gates(trained: Trained) -> tuple[str, ...]:
    """The gates that ever fired."""
    names = {name for row in trained.log for name in row if name.startswith("gate_")}
    return tuple(sorted(n for n in names if any(row.get(n) for row in trained.log)))


def _points(trained: Trained, name: str) -> list[tuple[float, float]]:
    points = []
    for at, row in enumerate(trained.log, start=1):
        if "eval_loss" in row and "loss" not in row and not name.startswith("eval_"):
            continue
        x, y = _finite(row.get("step", at)), _finite(row.get(name))
        if x is not None and y is not None:
            points.append((x, y))
    return points


def _finite(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable and np.isfinite(value) else None


def _training_figure(
    trained: Trained, key: str, title: str, curves: Mapping[str, list[tuple[float, float]]]
) -> Figure:
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
        "xaxis": {"title": {"text": "step"}, "zeroline": False},
        "yaxis": {"title": {"text": title.lower()}},
        "hovermode": "x unified",
        "showlegend": len(traces) > 1,
    }
    note = "; ".join(f"{words.label(n)}: {words.count(len(p))} steps" for n, p in curves.items())
    table = _training_table(f"figure-{key}", f"{title} · {trained.name}", curves)
    return Figure(key, f"{title} · {trained.name}", note + ".", tuple(traces), layout, table)


def _thinned(points: list[tuple[float, float]], limit: int = CURVE_POINTS) -> list[Any]:
    """At most `limit` points, evenly spaced, first and last kept."""
    if len(points) <= limit:
        return points
    return [points[at] for at in np.linspace(0, len(points) - 1, limit).round().astype(int)]


def _training_table(key: str, title: str, curves: Mapping[str, list[tuple[float, float]]]) -> Table:
    steps = sorted({x for points in curves.values() for x, _ in _thinned(points, 25)})
    lookup = {name: dict(points) for name, points in curves.items()}
    rows = tuple(
        (Cell(f"{step:g}", step, "number"), *(_logged(lookup[name].get(step)) for name in curves))
        for step in steps
    )
    titles = ("Step", *(words.label(name) for name in curves))
    return Table(key, title, headings(titles, 0), rows, "At most 25 steps per curve.")


def _logged(value: float | None) -> Cell:
    return Cell("–", None, "muted") if value is None else Cell(f"{value:.4g}", value, "number")
