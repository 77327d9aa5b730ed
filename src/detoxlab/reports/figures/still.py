"""Plotly figures of the report as drawings: lines, points, error bars, bands, flows.

On screens the page draws figures by Plotly's script. Paper, files, and pages without scripts have
these drawings, which need no script and no browser.
"""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detoxlab.reports.drawings import STROKES, sign_of
from detoxlab.reports.figures.still_flow import flow_drawing
from detoxlab.reports.geometry import Scale, linear, log_ticks, path, ticks
from detoxlab.reports.parts import Drawing, Figure, Mark, Point, Tick, Trace

WIDTH, RIGHT, TOP, BOTTOM = 700, 14, 30, 44
LETTER, LINE = 6.6, 18
MUTED = "var(--muted)"


@dataclass(frozen=True)
class _Axis:
    """One axis: its range, logarithmic or not, or its categories from the first to the last."""

    low: float
    high: float
    is_log: bool = False
    categories: tuple[str, ...] = ()

    def place(self, value: Any) -> float:
        """The value on a linear scale from `low` to `high`."""
        if self.categories:
            return float(self.categories.index(str(value)))
        return math.log10(value) if self.is_log else float(value)

    def marks(self) -> list[tuple[float, str]]:
        """The places and texts of ticks."""
        if self.categories:
            return [(float(at), _plain(one)) for at, one in enumerate(self.categories)]
        if self.is_log:
            found = log_ticks(10.0**self.low, 10.0**self.high)
            return [(math.log10(tick), f"{tick:g}") for tick in found]
        return [(tick, f"{tick:.6g}".replace("-", "−")) for tick in ticks(self.low, self.high)]


def as_drawing(figure: Figure, *, width: int = WIDTH) -> Drawing:
    """The drawing of one figure, `width` pixels wide; a flow has a width of its own."""
    kinds = {trace["type"] for trace in figure.data}
    return flow_drawing(figure) if kinds == {"sankey"} else plotted(figure, width=width)


def plotted(figure: Figure, *, width: int = WIDTH) -> Drawing:
    """The drawing of a figure of scatter traces."""
    traces = [trace for trace in figure.data if trace["type"] == "scatter"]
    x, y = (_axis(traces, figure.layout, name) for name in "xy")
    left = max(46.0, 12 + LETTER * max((len(text) for _, text in y.marks()), default=0))
    left = min(left, 0.45 * width)
    backwards = figure.layout.get("legend", {}).get("traceorder") == "reversed"
    named = traces[::-1] if backwards else traces
    keys = _keys(named, left, width - RIGHT) if figure.layout.get("showlegend", True) else []
    rows = 1 + max((round(row) for _, (_, row) in keys), default=-1)
    floor = max(300.0, min(460.0, float(figure.layout.get("height", 340))))
    x_scale = linear(x.low, x.high, left + 6, width - RIGHT)
    y_scale = linear(y.low, y.high, floor, TOP)
    placed = _Placed(x, y, x_scale, y_scale)
    return Drawing(
        key=figure.key,
        title=figure.title,
        note=figure.note,
        size=(width, int(floor) + BOTTOM + LINE * rows),
        frame=(left, float(width - RIGHT), floor),
        x_title=_title(figure.layout, "xaxis"),
        x_ticks=_ticks(x, x_scale),
        y_ticks=_ticks(y, y_scale),
        marks=(
            *_shapes(figure.layout, x_scale, floor),
            *_zero_lines(figure.layout, placed, (left, float(width - RIGHT), floor)),
            *(mark for at, trace in enumerate(traces) for mark in _marks(at, traces, placed)),
            *(_key(trace, place, floor + BOTTOM + 8) for trace, place in keys),
        ),
        table=figure.table,
        y_title=_title(figure.layout, "yaxis"),
    )


# --- inside ---


@dataclass(frozen=True)
class _Placed:
    x: _Axis
    y: _Axis
    x_scale: Scale
    y_scale: Scale

    def at(self, x: Any, y: Any, shift: float = 0.0) -> Point:
        return self.x_scale(self.x.place(x)), self.y_scale(self.y.place(y) + shift)


def _plain(text: str) -> str:
    """A label of Plotly's without its tags and entities."""
    return html.unescape(text.replace("<br>", ", "))


def _title(layout: Mapping[str, Any], axis: str) -> str:
    return _plain(str(layout.get(axis, {}).get("title", {}).get("text", "")))


def _ticks(axis: _Axis, scale: Scale) -> tuple[Tick, ...]:
    return tuple((scale(place), text) for place, text in axis.marks())


def _axis(traces: Sequence[Trace], layout: Mapping[str, Any], name: str) -> _Axis:
    asked = layout.get(f"{name}axis", {})
    if "categoryarray" in asked:
        names = tuple(map(str, asked["categoryarray"]))
        return _Axis(-0.6, len(names) - 0.4, categories=names)
    is_log = asked.get("type") == "log"
    values = [value for trace in traces for value in _reach(trace, name) if value is not None]
    if is_log:
        values = [math.log10(value) for value in values if value > 0]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if asked.get("rangemode") == "tozero" or asked.get("zeroline"):
        low, high = min(low, 0.0), max(high, 0.0)
    if "range" in asked:
        low, high = map(float, asked["range"])
    else:
        margin = 0.04 * (high - low) or 0.5
        low, high = (low if low == 0 else low - margin), (high if high == 0 else high + margin)
    return _Axis(low, high, is_log)


def _reach(trace: Trace, name: str) -> Iterator[float | None]:
    """The values of a trace on one axis, and the ends of its error bars."""
    bars = trace.get(f"error_{name}", {})
    up, down = bars.get("array", ()), bars.get("arrayminus", ())
    for at, value in enumerate(trace[name]):
        yield value
        if value is not None and at < len(up):
            yield from (value + up[at], value - down[at])


def _shift(at: int, traces: Sequence[Trace], placed: _Placed) -> float:
    """How far a trace stands from the middle of its category, where several share it."""
    if not placed.y.categories or len(traces) < 2:
        return 0.0
    return 0.7 * ((at + 0.5) / len(traces) - 0.5)


def _marks(at: int, traces: Sequence[Trace], placed: _Placed) -> list[Mark]:
    trace, shift = traces[at], _shift(at, traces, placed)
    pieces = list(_pieces(trace, placed, shift))
    points = [point for piece in pieces for point in piece]
    line, marker = trace.get("line", {}), trace.get("marker", {})
    colour = marker.get("color") or line.get("color") or MUTED
    if trace.get("fill"):
        return [Mark(trace["fillcolor"], path(points) + " Z", "", "", "", "", (0.0, 0.0))]
    if line.get("shape") == "hv":
        pieces = list(map(_stepped, pieces))
    dash = STROKES[line.get("dash", "solid")] if "lines" in trace["mode"] else ""
    lines = list(map(path, pieces)) if "lines" in trace["mode"] else []
    lines += _error_bars(trace, placed, shift)
    signs: dict[bool, list[str]] = {False: [], True: []}
    if "markers" in trace["mode"]:
        symbols = marker.get("symbol", "circle")
        for number, (x, y) in enumerate(points):
            name = symbols if isinstance(symbols, str) else symbols[number]
            signs[name.endswith("-open")].append(sign_of(name.removesuffix("-open"), x, y, 4.5))
    solid = Mark(colour, "", " ".join(lines), dash, " ".join(signs[False]), "", (0.0, 0.0))
    hollow = Mark(colour, "", "", "", " ".join(signs[True]), "", (0.0, 0.0), style="hollow")
    return [solid, *([hollow] if signs[True] else [])]


def _pieces(trace: Trace, placed: _Placed, shift: float) -> Iterator[list[Point]]:
    """The points of a trace, cut where a value is unknown."""
    piece: list[Point] = []
    for x, y in zip(trace["x"], trace["y"], strict=True):
        if x is not None and y is not None:
            piece.append(placed.at(x, y, shift))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _stepped(points: Sequence[Point]) -> list[Point]:
    """The line that stays at each height until the next point."""
    found: list[Point] = []
    for x, y in points:
        if found:
            found.append((x, found[-1][1]))
        found.append((x, y))
    return found


def _error_bars(trace: Trace, placed: _Placed, shift: float) -> list[str]:
    found = []
    for name in "xy":
        bars = trace.get(f"error_{name}")
        if bars is None:
            continue
        rows = zip(trace["x"], trace["y"], bars["array"], bars["arrayminus"], strict=True)
        for x, y, up, down in rows:
            if name == "x":
                found.append(path([placed.at(x - down, y, shift), placed.at(x + up, y, shift)]))
            else:
                found.append(path([placed.at(x, y - down, shift), placed.at(x, y + up, shift)]))
    return found


def _shapes(layout: Mapping[str, Any], x_scale: Scale, floor: float) -> list[Mark]:
    """Vertical lines over the whole height."""
    return [
        _rule([(x_scale(shape["x0"]), floor), (x_scale(shape["x0"]), TOP)], "2 3")
        for shape in layout.get("shapes", ())
    ]


def _rule(points: Sequence[Point], dash: str) -> Mark:
    return Mark(MUTED, "", path(points), dash, "", "", (0.0, 0.0), style="stair")


def _zero_lines(
    layout: Mapping[str, Any], placed: _Placed, frame: tuple[float, float, float]
) -> list[Mark]:
    left, right, floor = frame
    lines: list[list[Point]] = []
    if layout.get("xaxis", {}).get("zeroline"):
        lines.append([(placed.x_scale(0.0), floor), (placed.x_scale(0.0), TOP)])
    if layout.get("yaxis", {}).get("zeroline"):
        lines.append([(left, placed.y_scale(0.0)), (right, placed.y_scale(0.0))])
    return [_rule(line, "") for line in lines]


def _keys(traces: Sequence[Trace], left: float, right: float) -> list[tuple[Trace, Point]]:
    """The named traces, and the place of each in the key: the left end, and the row."""
    found: list[tuple[Trace, Point]] = []
    x, row = left, 0
    for trace in traces:
        if trace.get("showlegend") is False or "name" not in trace:
            continue
        wide = 46 + LETTER * len(_plain(str(trace["name"])))
        if x > left and x + wide > right:
            x, row = left, row + 1
        found.append((trace, (x, float(row))))
        x = round(x + wide, 1)
    return found


def _key(trace: Trace, at: Point, top: float) -> Mark:
    """A piece of the trace's line with its sign, and its name."""
    x, y = at[0], top + LINE * at[1]
    marker, line = trace.get("marker", {}), trace.get("line", {})
    symbols = marker.get("symbol", "circle")
    symbol = (symbols if isinstance(symbols, str) else symbols[0]).removesuffix("-open")
    return Mark(
        marker.get("color") or line.get("color") or MUTED,
        "",
        path([(x, y - 4), (x + 26, y - 4)]) if "lines" in trace["mode"] else "",
        STROKES[line.get("dash", "solid")],
        sign_of(symbol, x + 13, y - 4, 4.0) if "markers" in trace["mode"] else "",
        _plain(str(trace["name"])),
        (x + 32, y),
        style="key",
    )
