"""Scales, ticks and paths of drawings in SVG."""

import math
from collections.abc import Callable, Sequence

from detoxlab.reports.parts import Point

Scale = Callable[[float], float]
ENOUGH = 4  # numbers on an axis


def linear(low: float, high: float, start: float, stop: float) -> Scale:
    """The scale that maps `low` to `start` and `high` to `stop`."""
    span = (high - low) or 1.0
    return lambda value: round(start + (value - low) / span * (stop - start), 2)


def ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers that lie between two.

    >>> ticks(0.0, 0.97), ticks(2.6, 2.9)
    ([0.0, 0.2, 0.4, 0.6, 0.8], [2.6, 2.7, 2.8, 2.9])
    """
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 3))
    step = next(n * power for n in (1, 2, 5, 10) if span / (n * power) < 5.5)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(n * step, 10) for n in range(first, last + 1)] or [low]


def path(points: Sequence[Point]) -> str:
    """The line through the points, as the `d` of an SVG path; empty without points."""
    return "M" + " L".join(f"{x:g},{y:g}" for x, y in points) if points else ""


def logarithmic(low: float, high: float, start: float, stop: float) -> Scale:
    """As `linear`, of the logarithm; both ends are above 0."""
    inner = linear(math.log(low), math.log(high), start, stop)
    return lambda value: inner(math.log(value))


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two, for a logarithmic scale; the more the nearer they are.

    >>> log_ticks(19.2, 778.0), log_ticks(11.0, 45.0)
    ([20.0, 30.0, 50.0, 100.0, 200.0, 300.0, 500.0], [12.0, 15.0, 20.0, 25.0, 30.0, 40.0])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in ((1, 2, 3, 5), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)):
        every = [round(step * 10.0**power, 10) for power in powers for step in steps]
        found = [tick for tick in every if low <= tick <= high]
        if len(found) >= ENOUGH:
            break
    return found or [low]
