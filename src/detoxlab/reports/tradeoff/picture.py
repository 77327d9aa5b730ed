"""The picture of the trade-off: points with crosses, their labels, and the front as a stair."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from detoxlab.reports.figures.base import run_colour
from detoxlab.reports.geometry import Scale, linear, log_ticks, logarithmic, path, ticks
from detoxlab.reports.parts import Drawing, Mark, Point, Table, Tick
from detoxlab.reports.safety import label
from detoxlab.reports.study import RESPONSES, Study
from detoxlab.reports.tradeoff.axes import Axis, Estimate
from detoxlab.reports.tradeoff.families import family, outline, shapes
from detoxlab.reports.tradeoff.front import Front
from detoxlab.reports.tradeoff.placing import Box, Segment, place_labels

WIDE, NARROW = (700, 460), (370, 420)
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 30, 44
LINE = 18  # of the key below
LETTER = 6.5
LIMIT_NOTE = " The dotted line is the limit of the perplexity guard."
INK, MUTED = "var(--ink)", "var(--muted)"


@dataclass(frozen=True)
class Placed:
    """The scales of a picture of some size, and its frame (left, top, right, bottom)."""

    x: Scale
    y: Scale
    frame: Box


def picture(study: Study, useful: Axis, toxic: Axis, front: Front, table: Table) -> Drawing | None:
    """Toxicity against usefulness of every run of which both are known; None for fewer than two."""
    drawn = [name for name in study.names if name not in front.missing]
    if len(drawn) < 2:
        return None
    wide, narrow = (
        _drawing(study, useful, toxic, front, table, drawn, size) for size in (WIDE, NARROW)
    )
    return replace(wide, narrow=replace(narrow, key=f"{narrow.key}-narrow"))


# --- inside ---


def _drawing(
    study: Study,
    useful: Axis,
    toxic: Axis,
    front: Front,
    table: Table,
    drawn: Sequence[str],
    size: tuple[int, int],
) -> Drawing:
    families = {run.name: family(study, run) for run in study.measured if run.name in drawn}
    keys = _keys(families, size[0])
    width, height = size[0], size[1] + LINE * len(keys)
    frame = (float(LEFT), float(TOP), float(width - RIGHT), float(size[1] - BOTTOM))
    placed = Placed(
        _scale(useful, drawn, frame[0] + 10, frame[2] - (40 if size == WIDE else 24)),
        _scale(toxic, drawn, frame[3], frame[1] + 6),
        frame,
    )
    letters = int((width - LEFT) / LETTER)
    return Drawing(
        key=f"trade-off-{toxic.key}",
        title=f"{'Hate' if toxic.key == 'hate' else 'Toxicity'} against usefulness",
        note=_note(useful) + (LIMIT_NOTE if _limits(study, useful, placed) else ""),
        size=(width, height),
        frame=(frame[0], frame[2], frame[3]),
        x_title=label(_title(useful), letters),
        x_ticks=_grid(useful, drawn, placed.x),
        y_ticks=_grid(toxic, drawn, placed.y),
        marks=(
            *(_limit_mark(place, text, placed) for place, text in _limits(study, useful, placed)),
            *_stair(useful, toxic, front, placed),
            *_points(study, useful, toxic, front, families, placed),
            *_key_marks(keys, size[1] + 8),
        ),
        table=table,
        y_title=label(_title(toxic), letters),
    )


def _note(useful: Axis) -> str:
    side = "right" if useful.higher_is_better else "left"
    return (
        f"Lower {side} is better. Crosses are 95 % intervals; the stair joins the Pareto front. "
        "Hollow points cannot be on it. Shapes are families of methods."
    )


def _title(axis: Axis) -> str:
    return f"{axis.title} (%)" if axis.unit == "share" else axis.title


def _ends(axis: Axis, drawn: Sequence[str]) -> tuple[float, float]:
    """The range of an axis: all points and ends of intervals; a rate of responses is from 0."""
    values = [
        end
        for name in drawn
        for one in [axis.values[name]]
        for end in (one.value, one.low, one.high)
        if end is not None
    ]
    low, high = min(values), max(values)
    if axis.is_log:
        return max(low, min(one.value for one in axis.values.values()) / 10), high
    margin = 0.02 * (high - low) or 0.05 * abs(high) or 0.5
    return (0.0 if axis.from_zero else low - margin), high + margin


def _scale(axis: Axis, drawn: Sequence[str], start: float, stop: float) -> Scale:
    low, high = _ends(axis, drawn)
    return (logarithmic if axis.is_log else linear)(low, high, start, stop)


def _grid(axis: Axis, drawn: Sequence[str], scale: Scale) -> tuple[Tick, ...]:
    low, high = _ends(axis, drawn)
    found = log_ticks(low, high) if axis.is_log else ticks(low, high)
    times = 100 if axis.unit == "share" else 1
    return tuple((scale(tick), f"{times * tick:.6g}".replace("-", "−")) for tick in found)


def _limits(study: Study, useful: Axis, placed: Placed) -> list[tuple[float, str]]:
    """Places and texts of the perplexity guard's limits, where the axis shows that perplexity."""
    base = useful.values.get(study.baseline.name)
    limits = study.gains[0].limits if study.gains else {}
    if useful.key != RESPONSES or base is None:
        return []
    ratios = [limits.get(name) for name in ("perplexity_ratio_low", "perplexity_ratio")]
    places = [(placed.x(ratio * base.value), ratio) for ratio in ratios if ratio]
    left, _, right, _ = placed.frame
    return [(x, f"limit × {ratio:g}") for x, ratio in places if left <= x <= right]


def _limit_mark(x: float, text: str, placed: Placed) -> Mark:
    """A dotted line over the height of the picture, its text at the floor."""
    _, top, _, floor = placed.frame
    line = path([(x, top), (x, floor)])
    return Mark(MUTED, "", line, "2 3", "", text, (x + 4, floor - 5), style="limit")


def _stair(useful: Axis, toxic: Axis, front: Front, placed: Placed) -> list[Mark]:
    """The border of what the front dominates, from the top of the frame to its worse side."""
    if not front.members:
        return []
    corners = _corners(useful, toxic, front, placed)
    return [Mark(INK, "", path(corners), "5 4", "", "", (0.0, 0.0), style="stair")]


def _corners(useful: Axis, toxic: Axis, front: Front, placed: Placed) -> list[Point]:
    best_first = sorted(
        front.members,
        key=lambda name: (useful.sign * useful.values[name].value, toxic.values[name].value),
    )
    points = [
        (placed.x(useful.values[name].value), placed.y(toxic.values[name].value))
        for name in best_first
    ]
    worse_side = placed.frame[0 if useful.higher_is_better else 2]
    corners = [(points[0][0], placed.frame[1])]
    for at, (x, y) in enumerate(points):
        following = points[at + 1][0] if at + 1 < len(points) else worse_side
        corners += [(x, y), (following, y)]
    return corners


def _points(
    study: Study,
    useful: Axis,
    toxic: Axis,
    front: Front,
    families: Mapping[str, str],
    placed: Placed,
) -> list[Mark]:
    drawn = list(families)
    signs = shapes(list(families.values()))
    places = [
        (placed.x(useful.values[name].value), placed.y(toxic.values[name].value)) for name in drawn
    ]
    bars = {
        name: _cross(useful.values[name], toxic.values[name], at, placed)
        for name, at in zip(drawn, places, strict=True)
    }
    lines = [bar for own in bars.values() for bar in own]
    corners = _corners(useful, toxic, front, placed) if front.members else []
    lines += itertools.pairwise(corners)
    _, top, _, floor = placed.frame
    lines += [((x, top), (x, floor)) for x, _ in _limits(study, useful, placed)]
    most = 18 if placed.frame[2] > NARROW[0] else 12
    texts = [label(name, most) + _reason(front.barred.get(name)) for name in drawn]
    labels = place_labels(texts, places, placed.frame, lines)
    return [
        Mark(
            colour=run_colour(study.names.index(name)),
            area="",
            line=" ".join(path(line) for line in (*bars[name], beside.leader) if line),
            dash="",
            signs=outline(signs[families[name]], *at),
            label=text,
            label_at=beside.at,
            anchor=beside.anchor,
            style="hollow" if name in front.barred else "point",
        )
        for name, at, text, beside in zip(drawn, places, texts, labels, strict=True)
    ]


def _reason(why: str | None) -> str:
    """The word beside a hollow point."""
    if why is None:
        return ""
    first = why.partition(":")[0]
    return {"verdict": " (invalid)", "guard failed": " (guard)"}.get(first, " (judge)")


def _cross(x: Estimate, y: Estimate, at: Point, placed: Placed) -> list[Segment]:
    """The two intervals, cut off at the frame."""
    left, top, right, bottom = placed.frame
    bars: list[Segment] = []
    if x.low is not None and x.high is not None:
        ends = [min(max(placed.x(end), left), right) for end in (x.low, x.high)]
        bars.append(((ends[0], at[1]), (ends[1], at[1])))
    if y.low is not None and y.high is not None:
        ends = [min(max(placed.y(end), top), bottom) for end in (y.low, y.high)]
        bars.append(((at[0], ends[0]), (at[0], ends[1])))
    return bars


# --- the key below the picture ---


def _keys(families: Mapping[str, str], width: int) -> list[list[tuple[str, str]]]:
    """Rows of (shape, text), as many in a row as fit."""
    rows: list[list[tuple[str, str]]] = [[]]
    used = float(LEFT)
    for name, shape in shapes(list(families.values())).items():
        taken = 26 + LETTER * len(name)
        if rows[-1] and used + taken > width - RIGHT:
            rows.append([])
            used = float(LEFT)
        rows[-1].append((shape, name))
        used += taken
    return rows


def _key_marks(rows: Sequence[Sequence[tuple[str, str]]], top: float) -> list[Mark]:
    marks = []
    for at, row in enumerate(rows):
        x, y = float(LEFT), top + LINE * at
        for shape, name in row:
            sign = outline(shape, x + 6, y - 4, 5.0)
            marks.append(Mark(MUTED, "", "", "", sign, name, (x + 16, y), style="key"))
            x = round(x + 26 + LETTER * len(name), 1)
    return marks
