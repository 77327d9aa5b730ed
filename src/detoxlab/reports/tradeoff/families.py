"""The family of a variant's method, and the shape that stands for it in pictures."""

import math
from collections.abc import Sequence

from detoxlab.methods import METHODS
from detoxlab.reports.changed import ELSEWHERE, changes_of
from detoxlab.reports.geometry import path
from detoxlab.reports.parts import Point
from detoxlab.reports.study import Measured, Study

BASE, STEERED, OTHER = "baseline", "changed decoding", "another"
ASKED, SEVERAL = "prompt or choice", "several changes"
FAMILIES = {
    "imitation": "imitation",
    "preference": "preferences",
    "online": "reinforcement learning",
    "ppo": "reinforcement learning",
    "regularised": "under a constraint",
    "auxiliary": STEERED,
    "sasa": STEERED,
    "edits": "edits of weights",
    "activation": "changed activations",
}
"""The names of families for readers, by the folder of the method."""

SHAPES = {
    BASE: "circle",
    "imitation": "square",
    "preferences": "diamond",
    "reinforcement learning": "triangle",
    "under a constraint": "pointing down",
    STEERED: "star",
    ASKED: "hourglass",
    SEVERAL: "spark",
    "edits of weights": "plus",
    "changed activations": "hexagon",
    OTHER: "pentagon",
}
FURTHER = ("bow tie", "upright")  # for families that are not named above
SIZE = 6.0


def family(study: Study, run: Measured) -> str:
    """The family of the one change that makes a measured run, or that there are several."""
    if run.name == study.baseline.name:
        return BASE
    changes = changes_of(study, run)
    if len(changes) != 1:
        return SEVERAL if changes else OTHER
    (change,) = changes
    if change in METHODS:
        return family_of(change)
    if change == ELSEWHERE:
        return OTHER
    return STEERED if run.config.get("steer") else ASKED


def family_of(method: str) -> str:
    """The family of a method, which is the folder that holds it.

    >>> family_of("dpo"), family_of("grpo"), family_of("auxiliary")
    ('preferences', 'reinforcement learning', 'changed decoding')
    """
    parts = METHODS[method].config.__module__.split(".")
    if parts[:2] != ["detoxlab", "methods"]:
        return OTHER
    return FAMILIES.get(parts[2], parts[2].replace("_", " "))


def shapes(families: Sequence[str]) -> dict[str, str]:
    """The shape of each family, which differs as long as there are shapes left.

    >>> shapes(["baseline", "my method", "imitation"])
    {'baseline': 'circle', 'my method': 'bow tie', 'imitation': 'square'}
    """
    unnamed = [name for name in dict.fromkeys(families) if name not in SHAPES]
    further = {name: FURTHER[at % len(FURTHER)] for at, name in enumerate(unnamed)}
    return {name: SHAPES.get(name) or further[name] for name in dict.fromkeys(families)}


def outline(shape: str, x: float, y: float, size: float = SIZE) -> str:
    """The closed path of a shape around a point."""
    if shape == "circle":
        r = size * 0.9
        return f"M{x - r:g},{y:g} a{r:g},{r:g} 0 1,0 {2 * r:g},0 a{r:g},{r:g} 0 1,0 {-2 * r:g},0 Z"
    corners = _corners(shape)
    return path([(round(x + size * dx, 2), round(y + size * dy, 2)) for dx, dy in corners]) + " Z"


def _corners(shape: str) -> list[Point]:
    """The corners of a shape of size 1 around the origin; y points down."""
    near = 1 / 3
    drawn: dict[str, list[Point]] = {
        "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
        "diamond": [(0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)],
        "triangle": [(0, -1.15), (1.1, 0.85), (-1.1, 0.85)],
        "pointing down": [(0, 1.15), (1.1, -0.85), (-1.1, -0.85)],
        "hourglass": [(-1, -1), (1, -1), (-1, 1), (1, 1)],
        "bow tie": [(-1, -1), (1, 1), (1, -1), (-1, 1)],
        "upright": [(-0.6, -1.2), (0.6, -1.2), (0.6, 1.2), (-0.6, 1.2)],
        "spark": _around(4, 1.4, 0.5),
        "star": _around(5, 1.3, 0.55),
        "pentagon": _around(5, 1.1),
        "hexagon": _around(6, 1.1),
        "plus": [
            *((-near, -1.1), (near, -1.1), (near, -near), (1.1, -near), (1.1, near), (near, near)),
            *((near, 1.1), (-near, 1.1), (-near, near), (-1.1, near), (-1.1, -near)),
            (-near, -near),
        ],
    }
    return drawn[shape]


def _around(corners: int, outer: float, inner: float | None = None) -> list[Point]:
    """A regular polygon that points up; with `inner`, a star."""
    radii = [outer] if inner is None else [outer, inner]
    count = corners * len(radii)
    return [
        (
            radii[at % len(radii)] * math.sin(2 * math.pi * at / count),
            -radii[at % len(radii)] * math.cos(2 * math.pi * at / count),
        )
        for at in range(count)
    ]
