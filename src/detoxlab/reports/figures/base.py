"""Parts of all figures: colours, names of runs, and the columns of their tables.

Colours are names of CSS variables ("var(--run-0)"), which the page's script resolves, so
that the style sheet alone decides about dark mode and print.
"""

from collections.abc import Iterable, Sequence

from detoxlab.reports.parts import Column, Trace
from detoxlab.reports.safety import plotly_text
from detoxlab.reports.study import Study

# None of these numbers divides the number of colours: only after 30 runs do two look alike.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "x")
RUN_COLOURS = 6


def run_colour(index: int) -> str:
    """The colour of a run; the baseline has colour 0. After the last colour they repeat."""
    return f"var(--run-{index if index == 0 else 1 + (index - 1) % (RUN_COLOURS - 1)})"


def run_label(study: Study, name: str) -> str:
    """The name of a run in a figure, marked if it cannot be compared with the baseline."""
    return plotly_text(name) + (" (invalid)" if name in study.invalid else "")


def vertical_line(x: float) -> Trace:
    """A dotted line over the whole height of a figure."""
    line = {"color": "var(--muted)", "width": 1, "dash": "dot"}
    ends = {"x0": x, "x1": x, "y0": 0, "y1": 1}
    return {"type": "line", "xref": "x", "yref": "paper", "line": line, **ends}


def interval_bars(
    rows: Iterable[tuple[float | None, float | None, float | None]],
    *,
    scale: float,
    colour: str,
    thickness: float,
    width: float,
) -> Trace:
    """Error bars of values with intervals (value, low, high), times `scale`.

    A bar without an end has length 0.

    >>> bars = interval_bars([(0.2, 0.1, 0.4), (0.5, None, None)], scale=100, colour="red",
    ...     thickness=1, width=2)
    >>> bars["array"], bars["arrayminus"]
    ([20.0, 0.0], [10.0, 0.0])
    """
    known = list(rows)
    return {
        "type": "data",
        "symmetric": False,
        "array": [_gap(high, value, scale) for value, _, high in known],
        "arrayminus": [_gap(value, low, scale) for value, low, _ in known],
        "color": colour,
        "thickness": thickness,
        "width": width,
    }


def _gap(upper: float | None, lower: float | None, scale: float) -> float:
    return 0.0 if upper is None or lower is None else max(0.0, round(scale * (upper - lower), 4))


def headings(titles: Sequence[str], first_numeric: int) -> tuple[Column, ...]:
    """Columns of a figure's table; those from `first_numeric` on hold numbers."""
    return tuple(Column(title, numeric=at >= first_numeric) for at, title in enumerate(titles))
