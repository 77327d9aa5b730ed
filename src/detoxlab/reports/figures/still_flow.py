"""Flow figures of the report as drawings: bars on two sides, ribbons between them."""

import html
from collections.abc import Sequence

from detoxlab.reports.geometry import path
from detoxlab.reports.parts import Drawing, Figure, Mark, Trace

WIDTH, HEIGHT, TOP = 700, 340, 24
BAR, GAP = 20.0, 10.0
MIDDLE = 0.5  # of the picture: left of it stands the first side


def flow_drawing(figure: Figure) -> Drawing:
    """The drawing of a figure with one Sankey trace of two sides."""
    (trace,) = figure.data
    tops, unit = _tops(trace)
    return Drawing(
        key=figure.key,
        title=figure.title,
        note=figure.note,
        size=(WIDTH, HEIGHT),
        frame=(0.0, float(WIDTH), float(HEIGHT)),
        x_title="",
        x_ticks=(),
        y_ticks=(),
        marks=(*_ribbons(trace, tops, unit), *_bars(trace, tops, unit)),
        table=figure.table,
        y_title=figure.title,
    )


# --- inside ---


def _sizes(trace: Trace) -> list[float]:
    """The amount that flows through each node."""
    link = trace["link"]
    sizes = [0.0] * len(trace["node"]["label"])
    for ends in (link["source"], link["target"]):
        for node, value in zip(ends, link["value"], strict=True):
            sizes[node] += value
    return sizes


def _sides(trace: Trace) -> tuple[list[int], list[int]]:
    """The nodes of the left and of the right side, from the top."""
    places = trace["node"]["x"]
    nodes = range(len(places))
    return [n for n in nodes if places[n] < MIDDLE], [n for n in nodes if places[n] > MIDDLE]


def _tops(trace: Trace) -> tuple[dict[int, float], float]:
    """The upper end of each node's bar, and the height of one unit."""
    sizes, sides = _sizes(trace), _sides(trace)
    gaps = GAP * (max(map(len, sides)) - 1)
    unit = (HEIGHT - TOP - gaps) / max(1.0, *(sum(sizes[node] for node in side) for side in sides))
    tops: dict[int, float] = {}
    for side in sides:
        y = float(TOP)
        for node in side:
            tops[node] = round(y, 2)
            y += sizes[node] * unit + GAP
    return tops, unit


def _bars(trace: Trace, tops: dict[int, float], unit: float) -> list[Mark]:
    sizes, (left, _) = _sizes(trace), _sides(trace)
    marks = []
    for node, top in tops.items():
        x = 0.0 if node in left else WIDTH - BAR
        floor = round(top + sizes[node] * unit, 2)
        corners = [(x, top), (x + BAR, top), (x + BAR, floor), (x, floor)]
        marks.append(
            Mark(
                colour=trace["node"]["color"][node],
                area="",
                line="",
                dash="",
                signs=path(corners) + " Z",
                label=html.unescape(trace["node"]["label"][node]),
                label_at=(x + BAR + 6 if node in left else x - 6, round((top + floor) / 2 + 4, 2)),
                anchor="start" if node in left else "end",
                style="flow",
            )
        )
    return marks


def _ribbons(trace: Trace, tops: dict[int, float], unit: float) -> list[Mark]:
    link, used = trace["link"], dict.fromkeys(tops, 0.0)
    x0, x1, bend = BAR, WIDTH - BAR, WIDTH / 2
    marks = []
    rows: Sequence[tuple[int, int, float, str]] = list(
        zip(link["source"], link["target"], link["value"], link["color"], strict=True)
    )
    for source, target, value, colour in rows:
        high = value * unit
        a, b = tops[source] + used[source], tops[target] + used[target]
        used[source] += high
        used[target] += high
        area = (
            f"M{x0:g},{a:.2f} C{bend:g},{a:.2f} {bend:g},{b:.2f} {x1:g},{b:.2f} "
            f"L{x1:g},{b + high:.2f} C{bend:g},{b + high:.2f} {bend:g},{a + high:.2f} "
            f"{x0:g},{a + high:.2f} Z"
        )
        marks.append(Mark(colour, area, "", "", "", "", (0.0, 0.0), style="flow"))
    return marks
