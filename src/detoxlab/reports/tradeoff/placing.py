"""Places labels beside their points, so that none covers another label or a point."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from detoxlab.reports.parts import Anchor, Point

LETTER = 7.0  # the width of a letter, about
ABOVE, BELOW = 10.0, 4.0  # of a line of text, from its baseline
GAP = 11.0  # between a point and its label
STEP, STEPS = 5.0, 60  # that a label may be moved up or down
NEAR = 15.0  # farther away a line leads from the point to its label
CROSSED = 14.0  # as bad as so many points of distance, for each line behind a label

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""
Segment = tuple[Point, Point]


@dataclass(frozen=True, slots=True)
class Label:
    """The place of a label: where its text is anchored, and the line to its point if it is far."""

    at: Point
    anchor: Anchor
    leader: tuple[Point, ...] = ()


def place_labels(
    texts: Sequence[str], points: Sequence[Point], frame: Box, lines: Sequence[Segment] = ()
) -> list[Label]:
    """A place for each text beside its point.

    Labels cover neither each other nor a point and stay within the frame, as long as there is
    room; they avoid lines where that costs little. The same input gives the same places.
    """
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in points]
    found: dict[int, Label] = {}
    for at in sorted(range(len(texts)), key=lambda at: (points[at], at)):
        best = min(
            _candidates(points[at], LETTER * len(texts[at])),
            key=lambda one: _badness(one[1], points[at], taken, frame, lines),
        )
        found[at] = best[0]
        taken.append(best[1])
    return [found[at] for at in range(len(texts))]


def box_of(at: Point, anchor: Anchor, width: float) -> Box:
    """The space that a text takes.

    >>> box_of((50.0, 20.0), "end", 30.0)
    (20.0, 10.0, 50.0, 24.0)
    """
    x, y = at
    left = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
    return (left, y - ABOVE, left + width, y + BELOW)


def overlap(first: Box, second: Box) -> float:
    """The area that two boxes share."""
    wide = min(first[2], second[2]) - max(first[0], second[0])
    high = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, wide) * max(0.0, high)


# --- inside ---


def _candidates(point: Point, width: float) -> Iterator[tuple[Label, Box]]:
    x, y = point
    sides: tuple[tuple[float, Anchor], ...] = ((x + GAP, "start"), (x - GAP, "end"), (x, "middle"))
    for step in sorted(range(-STEPS, STEPS + 1), key=abs):
        shift = STEP * step
        for near, anchor in sides:
            at = (round(near, 1), round(y + BELOW + shift, 1))
            is_near = abs(shift) <= NEAR + (3 if anchor == "middle" else 0)
            end = (round(near, 1), round(y + shift, 1))
            yield Label(at, anchor, () if is_near else (point, end)), box_of(at, anchor, width)


def _badness(
    box: Box, point: Point, taken: Sequence[Box], frame: Box, lines: Sequence[Segment]
) -> tuple[float, float]:
    """The area that the label covers or that is outside, then its distance and crossed lines."""
    covered = sum(overlap(box, other) for other in taken)
    outside = (box[2] - box[0]) * (box[3] - box[1]) - overlap(box, frame)
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    distance = abs(middle[1] - point[1]) + max(0.0, abs(middle[0] - point[0]) - 30) / 4
    crossed = sum(_crosses(box, line) for line in lines)
    return round(covered + max(0.0, outside), 3), round(distance + CROSSED * crossed, 3)


def _crosses(box: Box, line: Segment) -> bool:
    """Whether a horizontal or vertical line runs through the box."""
    (x0, y0), (x1, y1) = line
    ends = (min(x0, x1) - 0.5, min(y0, y1) - 0.5, max(x0, x1) + 0.5, max(y0, y1) + 0.5)
    return overlap(box, ends) > 0
