"""Settings of a sweep: the strengths to try, the texts that cost is measured on, the budgets."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from detoxlab.data.settings import RunningText, portable
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.settings import Settings

Strength = Annotated[float, Field(gt=0)]
Ratio = Annotated[float, Field(gt=1)]


def _numbers(given: Any) -> Any:
    """`1.02`, `"1.02,1.05"` and lists of such as a list.

    >>> _numbers([1.02, "1.05, 1.1"])
    [1.02, '1.05', ' 1.1']
    """
    parts = given if isinstance(given, list | tuple) else [given]
    return [one for part in parts for one in (part.split(",") if isinstance(part, str) else [part])]


Budgets = Annotated[tuple[Ratio, ...], BeforeValidator(_numbers), Field(min_length=1)]
Strengths = Annotated[tuple[Strength, ...], BeforeValidator(_numbers), Field(min_length=1)]


class CostText(RunningText):
    """A text whose perplexity is a cost; the fields are those of that evaluation."""

    @model_validator(mode="before")
    @classmethod
    def _of_a_file(cls, given: Any) -> Any:
        return {"source": given} if isinstance(given, str) else given


class Sweeping(Settings):
    """The strengths, texts and budgets of a sweep; shared by `sweep` and by recipes."""

    costs: dict[str, CostText] = Field(
        min_length=1,
        description="name: a text on which perplexity must hardly rise; a file, or the settings of "
        "an evaluation of perplexity",
    )
    budgets: dict[str, Budgets] = Field(
        min_length=1,
        description="name of a text: perplexity as a multiple of the untouched model's, or several "
        "with commas; the nth of all names are one budget",
    )
    strengths: Strengths = Field(
        (0.1, 0.25, 0.5, 0.75, 1.0), description="tried first, with commas"
    )
    tries: int = Field(5, ge=0, description="further strengths, at most, for each budget")

    @property
    def each(self) -> tuple[dict[str, float], ...]:
        """The budgets one by one; a name with one value has it in all of them.

        >>> Sweeping(costs={"a": "a.txt", "b": "b.txt"}, budgets={"a": "1.02,1.05", "b": 1.1}).each
        ({'a': 1.02, 'b': 1.1}, {'a': 1.05, 'b': 1.1})
        """
        count = max(map(len, self.budgets.values()))
        return tuple(
            {name: of[at if len(of) > 1 else 0] for name, of in self.budgets.items()}
            for at in range(count)
        )

    @model_validator(mode="after")
    def _budgets_fit(self) -> Self:
        unknown = [name for name in self.budgets if name not in self.costs]
        if unknown:
            raise ValueError(
                f"budget {unknown[0]!r} has no text: name its file among the costs, which are: "
                f"{', '.join(self.costs)}"
            )
        if len({len(of) for of in self.budgets.values()} - {1}) > 1:
            raise ValueError("budgets: each name needs one value, or as many as the others")
        return self

    def sweep_config(self) -> dict[str, Any]:
        """These settings as a run records them, with relative paths."""
        own = self.model_dump(mode="json", include=set(Sweeping.model_fields))
        return {**own, "costs": {name: portable(one) for name, one in own["costs"].items()}}


class SweepSettings(MeasureSettings, Sweeping):
    """One `sweep` command: a treated model, the bench of its curve, and the budgets."""

    @model_validator(mode="before")
    @classmethod
    def _no_strength(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and "strength" in given:
            raise ValueError("strength: a sweep finds it; name strengths to try by `strengths`")
        return given

    def at(self, strength: float) -> MeasureSettings:
        """The measurement at this strength."""
        own = {name: getattr(self, name) for name in MeasureSettings.model_fields}
        return MeasureSettings(**own | {"strength": strength})

    def run_config(self) -> dict[str, Any]:
        """The content of the run's `config.yaml`, with relative paths."""
        measured = super().run_config()
        del measured["strength"]
        return {**measured, **self.sweep_config()}
