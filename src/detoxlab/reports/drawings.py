"""Pictures as inline SVG: curves over steps with bands; distributions and intervals by run.

Geometry is computed here, as paths; the page's macro draws them. Runs differ by dash and sign as
well as by colour, and each has its name beside its curve.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from detoxlab.reports.figures.base import DASHES, SYMBOLS, run_colour
from detoxlab.reports.geometry import Scale, linear, path, ticks
from detoxlab.reports.parts import Drawing, Mark, Point, Table
from detoxlab.reports.safety import label

WIDTH, HEIGHT = 400, 250
LEFT, MARGIN, TOP, BOTTOM = 46, 16, 12, 38
LETTER = 6.6  # the width of a letter of a label, about
LABEL_LETTERS = 14
LINE = 14  # between labels
ROW = 58  # of a distribution
SPAN = 19  # a row with an interval
NAME_LETTERS = 24
SIGN = 3.4

STROKES = {
    "solid": "",
    "dash": "7 4",
    "dot": "2 3",
    "dashdot": "7 3 2 3",
    "longdash": "12 4",
    "longdashdot": "12 3 2 3",
}


@dataclass(frozen=True, slots=True)
class Curve:
    """One run's curve: points, and at some of them an interval (x, low, high)."""

    name: str
    points: tuple[Point, ...]
    band: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Histogram:
    """One run's values: the share in each bin from `low` to `high`, the quartiles, a label."""

    name: str
    shares: tuple[float, ...]
    quartiles: tuple[float, float, float]
    label: str


@dataclass(frozen=True, slots=True)
class Span:
    """One run's value with its interval, and whether it is a bad one."""

    name: str
    value: float
    low: float
    high: float
    is_bad: bool = False


def curves(
    key: str,
    title: str,
    note: str,
    drawn: Sequence[Curve],
    table: Table,
    *,
    x_title: str,
    shown: Callable[[float], str],
) -> Drawing:
    """A line with its band for each run, its name at the end; `shown` writes a tick's number."""
    labels = [label(curve.name, LABEL_LETTERS) for curve in drawn]
    right = round(WIDTH - 14 - LETTER * max(map(len, labels)), 1)
    steps = [x for curve in drawn for x, _ in curve.points]
    x_scale = linear(min(steps), max(steps), LEFT + 8, right - 8)
    low, high = _range(drawn)
    grid = ticks(low, high)
    y_scale = linear(min(low, grid[0]), max(high, grid[-1]), HEIGHT - BOTTOM, TOP)
    heights = _apart([y_scale(curve.points[-1][1]) for curve in drawn])
    return Drawing(
        key=key,
        title=title,
        note=note,
        size=(WIDTH, HEIGHT),
        frame=(LEFT, right, HEIGHT - BOTTOM),
        x_title=x_title,
        x_ticks=tuple((x_scale(step), f"{step:g}") for step in _counts(min(steps), max(steps))),
        y_ticks=tuple((y_scale(tick), shown(tick)) for tick in grid),
        marks=tuple(
            Mark(
                colour=run_colour(at),
                area=_band(curve, x_scale, y_scale),
                line=path([(x_scale(x), y_scale(y)) for x, y in curve.points]),
                dash=STROKES[DASHES[at % len(DASHES)]],
                signs=" ".join(_sign(at, x_scale(x), y_scale(y)) for x, y in curve.points),
                label=labels[at],
                label_at=(round(right + 6, 1), round(heights[at] + 4, 1)),
            )
            for at, curve in enumerate(drawn)
        ),
        table=table,
    )


def distributions(
    key: str,
    title: str,
    note: str,
    drawn: Sequence[Histogram],
    table: Table,
    *,
    low: float,
    high: float,
    x_title: str,
    shown: Callable[[float], str],
) -> Drawing:
    """A histogram from `low` to `high` per run, the middle half as a line, the median as a sign."""
    right, height = WIDTH - MARGIN, TOP + ROW * len(drawn) + BOTTOM
    x_scale = linear(low, high, MARGIN, right)
    most = max((share for one in drawn for share in one.shares), default=0) or 1
    return Drawing(
        key=key,
        title=title,
        note=note,
        size=(WIDTH, height),
        frame=(MARGIN, right, height - BOTTOM),
        x_title=x_title,
        x_ticks=tuple((x_scale(tick), shown(tick)) for tick in ticks(low, high)),
        y_ticks=(),
        marks=tuple(
            _row(at, one, TOP + ROW * (at + 1) - 8, x_scale, (low, high), most)
            for at, one in enumerate(drawn)
        ),
        table=table,
    )


def spans(
    key: str,
    title: str,
    note: str,
    drawn: Sequence[Span],
    table: Table,
    *,
    limit: float | None,
    x_title: str,
    shown: Callable[[float], str],
) -> Drawing:
    """A value with its interval in a row for each run, with lines at 0 and at the limit."""
    labels = [label(one.name, NAME_LETTERS) for one in drawn]
    left = round(LETTER * max(map(len, labels)) + 12, 1)
    right, floor = WIDTH - 2 * MARGIN, TOP + SPAN * len(drawn) + 6
    marked = [0.0, *([] if limit is None else [limit])]
    ends = [end for one in drawn for end in (one.low, one.high)] + marked
    x_scale = linear(min(ends), max(ends), left, right)
    lines = [(0.0, ""), *([] if limit is None else [(limit, STROKES["dash"])])]
    return Drawing(
        key=key,
        title=title,
        note=note,
        size=(WIDTH, floor + BOTTOM),
        frame=(left, right, floor),
        x_title=x_title,
        x_ticks=tuple((x_scale(tick), shown(tick)) for tick in ticks(min(ends), max(ends))),
        y_ticks=(),
        marks=(
            *(_upright(x_scale(at), floor, dash) for at, dash in lines),
            *(
                _span(one, name, at, left, x_scale)
                for at, (one, name) in enumerate(zip(drawn, labels, strict=True))
            ),
        ),
        table=table,
    )


def sign_of(symbol: str, x: float, y: float, size: float = SIGN) -> str:
    """The path of a symbol around a point."""
    s, t = size, size * 1.25
    corners = {
        "diamond": [(0, -t), (t, 0), (0, t), (-t, 0)],
        "square": [(-s, -s), (s, -s), (s, s), (-s, s)],
        "triangle-up": [(0, -t), (t, s), (-t, s)],
        "triangle-down": [(0, t), (t, -s), (-t, -s)],
        "cross": [(-s, 0), (s, 0), (0, 0), (0, -s), (0, s), (0, 0)],
        "x": [(-s, -s), (s, s), (0, 0), (s, -s), (-s, s), (0, 0)],
    }
    if symbol == "circle":
        return f"M{x - s:g},{y:g} a{s:g},{s:g} 0 1,0 {2 * s:g},0 a{s:g},{s:g} 0 1,0 {-2 * s:g},0 Z"
    return path([(round(x + dx, 2), round(y + dy, 2)) for dx, dy in corners[symbol]]) + " Z"


# --- inside ---


def _upright(x: float, floor: float, dash: str) -> Mark:
    line = path([(x, TOP - 4), (x, floor)])
    return Mark("var(--muted)", "", line, dash, "", "", (0.0, 0.0), style="limit")


def _span(one: Span, name: str, at: int, left: float, x_scale: Scale) -> Mark:
    y = TOP + SPAN * (at + 0.5)
    return Mark(
        colour="var(--bad)" if one.is_bad else "var(--accent)",
        area="",
        line=path([(x_scale(one.low), y), (x_scale(one.high), y)]),
        dash="",
        signs=sign_of("diamond" if one.is_bad else "circle", x_scale(one.value), y),
        label=name,
        label_at=(round(left - 8, 1), y + 4),
        anchor="end",
        style="point",
    )


def _row(
    at: int, one: Histogram, floor: float, x_scale: Scale, ends: tuple[float, float], most: float
) -> Mark:
    low, high = ends
    edges = [low + (high - low) * n / len(one.shares) for n in range(len(one.shares) + 1)]
    tops = [floor - 32 * share / most for share in one.shares]
    steps = [
        (x_scale(edge), top) for n, top in enumerate(tops) for edge in (edges[n], edges[n + 1])
    ]
    outline = [(x_scale(low), floor), *steps, (x_scale(high), floor)]
    first, median, third = (x_scale(value) for value in one.quartiles)
    return Mark(
        colour=run_colour(at),
        area=path(outline) + " Z",
        line=path([(first, floor + 4), (third, floor + 4)]),
        dash="",
        signs=_sign(at, median, floor + 4, 1.5 * SIGN),
        label=label(one.name, LABEL_LETTERS) + one.label,
        label_at=(float(MARGIN), round(floor - 37.0, 1)),
    )


def _range(drawn: Sequence[Curve]) -> tuple[float, float]:
    """From the lowest to the highest point or end of an interval; from 0 where that is near."""
    heights = [y for curve in drawn for _, y in curve.points]
    heights += [end for curve in drawn for _, *ends in curve.band for end in ends]
    low, high = min(heights), max(heights)
    return (0.0 if 0 <= low < high / 2 else low), high


def _counts(low: float, high: float) -> list[float]:
    """Whole numbers, the first step among them, that are far enough apart to be read."""
    step = next((n for n in (1, 2, 5, 10, 20, 50, 100) if (high - low) / n <= 6), 500)
    return [low, *(float(n) for n in range(step, int(high) + 1, step) if n - low >= step / 2)]


def _apart(heights: Sequence[float]) -> list[float]:
    """The heights of labels, moved down where they would overlap, and up again at the bottom."""
    order = sorted(range(len(heights)), key=lambda at: heights[at])
    placed = list(heights)
    for above, at in itertools.pairwise(order):
        placed[at] = max(placed[at], placed[above] + LINE)
    limit = HEIGHT - BOTTOM
    for at in reversed(order):
        placed[at] = min(placed[at], limit)
        limit -= LINE
    return placed


def _band(curve: Curve, x_scale: Scale, y_scale: Scale) -> str:
    """Along the upper ends and back along the lower."""
    upper = [(x_scale(x), y_scale(high)) for x, _, high in curve.band]
    lower = [(x_scale(x), y_scale(low)) for x, low, _ in reversed(curve.band)]
    return path(upper + lower) + " Z" if upper else ""


def _sign(at: int, x: float, y: float, size: float = SIGN) -> str:
    """The run's sign around a point; the shapes are those of the other figures."""
    return sign_of(SYMBOLS[at % len(SYMBOLS)], x, y, size)
