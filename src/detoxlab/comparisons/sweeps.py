"""The strength of a treatment that spends a budget: the search, and what a sweep found.

Methods are compared at equal cost, not at a strength of 1: each at the largest strength up to
which every tried strength keeps within the budget. The cost need not rise evenly with the
strength, so that the search brackets and halves, and never goes beyond what was tried.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detoxlab.records import from_json
from detoxlab.runs import Run, check_kind, read_json

FILE = "sweep.json"
Budget = Mapping[str, float]
CLOSE = 0.002
"""A budget counts as spent where the cost is closer to it than this share."""


@dataclass(frozen=True)
class Cost:
    """A text's perplexity at some strength over that of the untouched model, with interval."""

    name: str
    ratio: float
    ratio_low: float | None = None
    ratio_high: float | None = None


@dataclass(frozen=True)
class SweepPoint:
    """One strength: its run, its costs, and the judge's toxic fraction with interval."""

    strength: float
    run: str
    costs: tuple[Cost, ...]
    toxic_fraction: float | None
    ci_low: float | None = None
    ci_high: float | None = None

    def overrun(self, budget: Budget) -> float:
        """The largest cost relative to its budget; above 1 the budget is overdrawn.

        >>> point = SweepPoint(0.5, "half", (Cost("web", 1.1), Cost("wiki", 1.02)), None)
        >>> round(point.overrun({"web": 1.1, "wiki": 1.03}), 3)
        1.0
        """
        return max(one.ratio / budget[one.name] for one in self.costs if one.name in budget)


@dataclass(frozen=True)
class SweepChoice:
    """The strength chosen for a budget; `spent` is False where no tried strength overdraws it."""

    budget: Budget
    strength: float
    spent: bool

    @property
    def told(self) -> str:
        """The choice in words.

        >>> SweepChoice({"wiki": 1.03}, 0.25, spent=True).told
        'wiki x 1.03: strength 0.25'
        """
        named = ", ".join(f"{name} x {most:g}" for name, most in self.budget.items())
        why = "" if self.spent else ", the largest tried, which does not spend it: try larger ones"
        if self.spent and self.strength == 0:
            why = ": the smallest strength that was tried overdraws it"
        return f"{named}: strength {self.strength:g}{why}"


@dataclass(frozen=True)
class Sweep:
    """The tried strengths in rising order, the untouched model first, and one choice per budget."""

    points: tuple[SweepPoint, ...]
    choices: tuple[SweepChoice, ...]


def read_sweep(run: Run) -> Sweep:
    """The finished sweep of a run of `sweep`.

    Raises `ConfigError` for another kind of run, `MissingFileError` for one without an end.
    """
    check_kind(run, "sweep")
    return from_json(Sweep, read_json(run.path / FILE))


def bracket(points: Sequence[SweepPoint], budget: Budget) -> tuple[float, float | None]:
    """The largest strength before the first that overdraws the budget, and that one, if any.

    >>> costs = ((0.0, 1.0), (0.5, 1.02), (1.0, 1.2), (2.0, 1.01))
    >>> tried = [SweepPoint(strength, "", (Cost("t", cost),), None) for strength, cost in costs]
    >>> bracket(tried, {"t": 1.05}), bracket(tried, {"t": 1.5})
    ((0.5, 1.0), (2.0, None))
    """
    last = 0.0
    for point in sorted(points, key=lambda one: one.strength):
        if point.overrun(budget) > 1:
            return last, point.strength
        last = point.strength
    return last, None


def next_strength(points: Sequence[SweepPoint], budget: Budget) -> float | None:
    """The strength to try next: the middle of the bracket; None where the budget is spent.

    >>> costs = ((0.0, 1.0), (1.0, 2.0))
    >>> tried = [SweepPoint(strength, "", (Cost("t", cost),), None) for strength, cost in costs]
    >>> next_strength(tried, {"t": 1.05})
    0.5
    """
    low, high = bracket(points, budget)
    if high is None or (low > 0 and _at(points, low).overrun(budget) > 1 - CLOSE):
        return None
    middle = round((low + high) / 2, 4)
    return middle if low < middle < high else None


def choose(points: Sequence[SweepPoint], budget: Budget) -> SweepChoice:
    """The largest strength up to which every tried strength keeps within the budget."""
    low, high = bracket(points, budget)
    return SweepChoice(dict(budget), low, spent=high is not None)


def _at(points: Sequence[SweepPoint], strength: float) -> SweepPoint:
    return next(one for one in points if one.strength == strength)
