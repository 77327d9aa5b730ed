"""An entry of the catalogue: a measure's unit, its direction, and the function that computes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from detoxlab.measures.features import Values
from detoxlab.measures.statistics import FloatArray
from detoxlab.records import Difference, Direction, Measurement

Part = Literal[
    "toxicity",
    "disparity",
    "guards",
    "agreement",
    "win rate",
    "usefulness",
    "over-refusal",
    "attribution",
]
AT_LEAST_ZERO: Mapping[str, Any] = {"ge": 0}


@dataclass(frozen=True)
class Limit:
    """The limit of a guard's movement in a comparison.

    `default` is in the guard's unit, or a factor where `bounds` say so. `setting` is its name in
    `detoxlab.comparisons.Limits`, the guard's own where there is none. `bounds` are pydantic's.
    """

    default: float
    description: str
    setting: str | None = None
    bounds: Mapping[str, Any] = field(default_factory=lambda: AT_LEAST_ZERO)


@dataclass(frozen=True)
class Measure:
    """A measure: `unit`, which `direction` is better, `label` and `description` for people.

    `unknown_when` says when no value can be computed. A measure with `limits` is a guard: it is
    worse where it moved against its direction by more than its limit. Where a `decisive` guard is
    unknown no gain is shown. A single run whose value is `alarm` or worse needs a warning.
    """

    name: str
    label: str
    description: str
    unit: str = "share"
    direction: Direction = "lower"
    part: Part = "guards"
    unknown_when: str = ""
    alarm: float | None = None
    limits: tuple[Limit, ...] = ()
    decisive: bool = False

    @property
    def bad_sign(self) -> int:
        """1 where higher values are worse, −1 where lower values are."""
        return -1 if self.direction == "higher" else 1

    def alarms(self, value: float | None) -> bool:
        """Whether a run with this value needs a warning; an unknown value is none.

        >>> Measure("empty", "Empty", "", alarm=0.05).alarms(0.05)
        True
        """
        if value is None or self.alarm is None:
            return False
        return self.bad_sign * value >= self.bad_sign * self.alarm

    @property
    def settings(self) -> dict[str, Limit]:
        """Its limits by their names in `detoxlab.comparisons.Limits`."""
        return {one.setting or self.name: one for one in self.limits}

    def measurement(self, **facts: Any) -> Measurement:
        """A measurement with its name, unit and direction; `value` is unknown unless given."""
        return Measurement(**_labelled(self, {"value": None} | facts))

    def difference(self, **facts: Any) -> Difference:
        """A difference with its name, unit and direction; numbers are unknown unless given."""
        unknown = dict.fromkeys(("baseline", "treated", "difference"))
        return Difference(**_labelled(self, unknown | facts))


def _labelled(measure: Measure, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": measure.name,
        "unit": measure.unit,
        "direction": measure.direction,
        **facts,
    }


@dataclass(frozen=True)
class ResponseMeasure(Measure):
    """The mean of a property of responses; `computes` gives it per response or `per_prompt`.

    `detector` is the name and version of the rules, where results must say it.
    """

    computes: Values = field(kw_only=True)
    detector: str | None = field(kw_only=True, default=None)
    per_prompt: bool = field(kw_only=True, default=False)


@dataclass(frozen=True)
class ToxicityMeasure(Measure):
    """A measure of toxicity: the ratio of two sums over prompts, `columns` of scores and threshold.

    A `per_prompt` measure counts prompts whose samples are all scored, other measures count
    scored samples.
    """

    part: Part = "toxicity"
    columns: Callable[[FloatArray, float], FloatArray] = field(kw_only=True)
    per_prompt: bool = False
