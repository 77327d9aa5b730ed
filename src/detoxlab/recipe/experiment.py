"""Settings of a whole experiment: a base, the variants made from it, one bench, one report.

A recipe is a YAML file. Every key is a field of the models below; a key that is not is an
error that suggests the nearest one. `detoxlab run --schema` prints the JSON schema.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from detoxlab.contest import WinRate
from detoxlab.evaluations import AnyEvaluation
from detoxlab.loading import Loading, ModelName, ModelSettings
from detoxlab.recipe.comparing import WithinLimits
from detoxlab.recipe.explaining import Explaining, ExplainSettings
from detoxlab.recipe.learning import Learning, TrainSettings, check_seed
from detoxlab.recipe.measuring import MeasureSettings, Measuring

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

# A resumed recipe may change these: variants and explanations have runs of their own, and limits
# only change how the finished runs are read.
MAY_CHANGE = ("variants", "limits", "explain")


class Variant(Learning):
    """One treated model."""

    name: Name = Field(description="of its folder and in the report")
    against: tuple[Name, ...] = Field(
        (), description="other variants that it is held against, besides the base"
    )


class Recipe(Measuring):
    """A whole experiment: a base model, the variants made from it, one bench, one report."""

    name: Name = Field(description="of the folder, where none is named")
    description: str = Field("", description="for people")
    model: ModelName
    variants: tuple[Variant, ...] = Field(
        min_length=1, description="the treated models, each by a method from the base"
    )
    evaluate: dict[Name, AnyEvaluation] = Field(
        {}, description="name: an evaluation of usefulness, for the base and every variant"
    )
    win_rate: WinRate | None = Field(
        None, description="a third model judges every variant against the base and its rivals"
    )
    explain: Explaining | None = Field(
        None, description="how much the base and every variant listen to their prompts"
    )
    limits: WithinLimits

    @model_validator(mode="after")
    def _one_seed(self) -> "Recipe":
        for variant in self.variants:
            check_seed(variant.config, self.seed, f"variants.{variant.name}.")
        return self

    @model_validator(mode="after")
    def _judge_is_a_third_model(self) -> "Recipe":
        if self.win_rate and self.win_rate.judge.model == self.model:
            raise ValueError(f"win_rate.judge is {self.model!r}, the base: take a third model")
        return self

    @model_validator(mode="after")
    def _works_here(self) -> "Recipe":
        for stage in ("evaluate", "explain"):
            if getattr(self, stage) and self.endpoint:
                raise ValueError(f"{stage} works on a model in this process, not on an endpoint")
        return self

    @field_validator("variants")
    @classmethod
    def _names_differ(cls, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        names = [variant.name for variant in variants]
        twice = sorted({name for name in names if names.count(name) > 1 or name == "base"})
        if twice:
            raise ValueError(
                f"variant name {twice[0]!r} is taken: names must differ, also from base"
            )
        return variants

    @field_validator("variants")
    @classmethod
    def _rivals_are_known(cls, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        for variant in variants:
            others = [other.name for other in variants if other is not variant]
            unknown = [name for name in variant.against if name not in others]
            if unknown:
                raise ValueError(
                    f"{variant.name} is held against {unknown[0]!r}, which is no other variant; "
                    f"there are: {', '.join(others) or 'none'}"
                )
        return variants

    @property
    def base_model(self) -> ModelSettings:
        """The base model with its settings for loading."""
        shared = {name: getattr(self, name) for name in Loading.model_fields}
        return ModelSettings(model=self.model, **shared)

    def measure_settings(self, model: str) -> MeasureSettings:
        """The measurement of `model` on this recipe's bench."""
        shared = {name: getattr(self, name) for name in Measuring.model_fields}
        return MeasureSettings(model=model, **shared)

    def train_settings(self, variant: Variant) -> TrainSettings:
        """The training of `variant` from this recipe's base model.

        The prompts of the bench are excluded from the prompts and texts of the training.
        """
        shared = {name: getattr(self, name) for name in (*Loading.model_fields, "model", "seed")}
        own = {name: getattr(variant, name) for name in Learning.model_fields}
        for kind, given in variant.sources().items():
            if getattr(given, "exclude", self.prompts) is None:
                own[kind] = given.model_copy(update={"exclude": self.prompts})
        return TrainSettings(**shared, **own)

    def explain_settings(self, explain: Explaining, runs: Sequence[str]) -> ExplainSettings:
        """The explanation of measured runs, the base's first."""
        shared = {name: getattr(self, name) for name in ("device", "resamples", "seed")}
        own = {name: getattr(explain, name) for name in Explaining.model_fields}
        return ExplainSettings(runs=tuple(runs), **shared, **own)
