"""Settings of a whole experiment: a base, the variants made from it, one bench, one report.

A recipe is a YAML file. Every key is a field of the models below; a key that is not is an
error that suggests the nearest one. `detoxlab run --schema` prints the JSON schema.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from detoxlab.contest import WinRates
from detoxlab.data.settings import PromptSettings
from detoxlab.evaluations import AnyEvaluation
from detoxlab.loading import Loading, ModelName, ModelSettings
from detoxlab.methods import METHODS
from detoxlab.recipe.benches import Bench
from detoxlab.recipe.comparing import UsefulBy, WithinLimits
from detoxlab.recipe.explaining import Explaining, ExplainSettings
from detoxlab.recipe.learning import Learning, Lesson, TrainSettings, check_seed
from detoxlab.recipe.measuring import Chosen, MeasureSettings, Measuring, Steered
from detoxlab.recipe.sweeping import Strengths, Sweeping, SweepSettings
from detoxlab.registry import look_up
from detoxlab.steering.names import SteeringName

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

# A resumed recipe may change these: variants, benches, explanations and win rates have runs of
# their own, evaluations are checked by their names in the runs, and the others only change how
# finished runs are read.
MAY_CHANGE = ("variants", "also", "evaluate", "limits", "explain", "win_rate", "useful_by")
CHANGES = (*Steered.model_fields, *Chosen.model_fields)


class Variant(Lesson, Chosen, Steered):
    """One treated model: trained by a method, steered, asked otherwise, or several of these.

    Or a model that was made elsewhere.
    """

    name: Name = Field(description="of its folder and in the report")
    method: str | None = Field(None, description="the method, such as sft; none: no training")
    of: Name | None = Field(
        None, description="the trained variant that is changed further; none: the base"
    )
    model: ModelName | None = Field(
        None, description="a treated model made elsewhere, in place of a method: adapter or folder"
    )
    measured: bool = Field(
        True, description="false: only trained, for other variants, such as experts"
    )
    against: tuple[Name, ...] = Field(
        (), description="other variants that it is held against, besides the base"
    )
    swept: bool | None = Field(
        None,
        description="its strength is found by the recipe's sweep; none: that of steerings and "
        "edits is, that of trainings and of changed variants (`of`) is not",
    )
    strengths: Strengths | None = Field(
        None, description="tried first by the sweep for this variant, in place of the sweep's own"
    )
    strength: float | None = Field(
        None, ge=0, description="measured at this strength, without a sweep"
    )

    @model_validator(mode="after")
    def _is_one_change(self) -> Self:
        changes = [name for name in ("steer", "system", "best_of") if getattr(self, name)]
        if not self.method and (unused := [*self.sources(), *(["config"] if self.config else [])]):
            raise ValueError(f"{unused[0]} without a method: name the method that learns from it")
        if not (self.method or self.model or changes):
            raise ValueError("nothing is changed: name a method, model, steer, system or best_of")
        if self.method and self.of:
            raise ValueError("method and of: a training starts from the base")
        if self.model and (self.method or self.of):
            other = "method" if self.method else "of"
            raise ValueError(f"model and {other}: a model made elsewhere is measured as it is")
        if not self.measured and (changes or not self.method):
            raise ValueError("measured is false: then it has a method and nothing else")
        return self

    @model_validator(mode="after")
    def _strength_is_given_or_found(self) -> Self:
        if self.strength is not None and (self.swept or self.strengths):
            raise ValueError("strength is given: then no sweep finds it")
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of variants that it may need: those that it changes, uses and stands against.

        >>> Variant(name="a", of="b", steer="dexperts:c+d", against=("e",)).needs
        ('b', 'c', 'd', 'e')
        """
        places = [one for name in self.steerings for one in SteeringName.parse(name).places]
        return (*([self.of] if self.of else []), *places, *self.against)

    def learning(self) -> Learning | None:
        """Its training; None where it has none."""
        if self.method is None:
            return None
        own = {name: getattr(self, name) for name in Lesson.model_fields}
        return Learning(method=self.method, **own)


class RecipeSweep(Sweeping):
    """How the strengths of a recipe's variants are found."""

    prompts: PromptSettings = Field(
        description="asked at each strength that is tried; those of the bench are left out"
    )


class Recipe(Measuring):
    """A whole experiment: a base model, the variants made from it, one bench, one report."""

    name: Name = Field(description="of the folder, where none is named")
    description: str = Field("", description="for people")
    model: ModelName
    variants: tuple[Variant, ...] = Field(
        min_length=1, description="the treated models, each by a method from the base"
    )
    also: dict[Name, Bench] = Field(
        {}, description="name: a further bench, on which base and variants are measured too"
    )
    evaluate: dict[Name, AnyEvaluation] = Field(
        {}, description="name: an evaluation of usefulness, for the base and every variant"
    )
    win_rate: WinRates | None = Field(
        None, description="a third model judges every variant against the base and its rivals"
    )
    sweep: RecipeSweep | None = Field(
        None, description="find the strengths of variants at equal cost, and measure them at those"
    )
    explain: Explaining | None = Field(
        None, description="how much the base and every variant listen to their prompts"
    )
    limits: WithinLimits
    useful_by: UsefulBy = None

    @model_validator(mode="after")
    def _something_is_measured(self) -> "Recipe":
        if not self.measured:
            raise ValueError("variants: none is measured")
        return self

    @model_validator(mode="after")
    def _one_seed(self) -> "Recipe":
        for variant in self.variants:
            check_seed(variant.config, self.seed, f"variants.{variant.name}.")
        return self

    @model_validator(mode="after")
    def _runs_differ(self) -> "Recipe":
        names = [name for variant in self.variants for name in self.run_names(variant)]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"two variants would be measured as {twice[0]!r}: rename one")
        return self

    @model_validator(mode="after")
    def _judge_is_a_third_model(self) -> "Recipe":
        if self.win_rate and self.win_rate.judge.model == self.model:
            raise ValueError(f"win_rate.judge is {self.model!r}, the base: take a third model")
        return self

    @model_validator(mode="after")
    def _works_here(self) -> "Recipe":
        for stage in ("evaluate", "explain", "sweep"):
            if getattr(self, stage) and self.endpoint:
                raise ValueError(f"{stage} works on a model in this process, not on an endpoint")
        return self

    @model_validator(mode="after")
    def _axis_is_evaluated(self) -> "Recipe":
        known = [*self.evaluate, "responses"]
        if self.useful_by is not None and self.useful_by not in known:
            raise ValueError(f"useful_by is {self.useful_by!r}; there are: {', '.join(known)}")
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
    def _changed_ones_are_trained(cls, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        trained: list[str] = []
        for variant in variants:
            if variant.of is not None and variant.of not in trained:
                raise ValueError(
                    f"{variant.name} changes {variant.of!r}, which no variant before it trains; "
                    f"these do: {', '.join(trained) or 'none'}"
                )
            trained += [variant.name] if variant.method else []
        return variants

    @field_validator("variants")
    @classmethod
    def _rivals_are_known(cls, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        for variant in variants:
            others = [other.name for other in variants if other is not variant and other.measured]
            unknown = [name for name in variant.against if name not in others]
            if unknown:
                raise ValueError(
                    f"{variant.name} is held against {unknown[0]!r}, which is no other variant; "
                    f"there are: {', '.join(others) or 'none'}"
                )
        return variants

    def only(self, names: Sequence[str], kept: Callable[[Variant], bool]) -> Self:
        """This recipe with these variants, those that they need, and those that are `kept`.

        Raises `UnknownNameError` for other names.
        """
        by_name = {variant.name: variant for variant in self.variants}
        wanted = {look_up("variant", name, by_name).name for name in names}
        for variant in reversed(self.variants):
            if variant.name in wanted or kept(variant):
                wanted |= {variant.name, *variant.needs}
        chosen = tuple(variant for variant in self.variants if variant.name in wanted)
        return self.model_copy(update={"variants": chosen})

    @property
    def measured(self) -> tuple[Variant, ...]:
        """The variants that the bench measures."""
        return tuple(variant for variant in self.variants if variant.measured)

    @property
    def swept(self) -> tuple[Variant, ...]:
        """The measured variants whose strength a sweep finds."""
        return tuple(variant for variant in self.measured if self.sweep_of(variant))

    @property
    def methods(self) -> dict[str, str]:
        """The method of each variant that is trained, by the variant's name."""
        return {variant.name: variant.method for variant in self.variants if variant.method}

    @property
    def base_model(self) -> ModelSettings:
        """The base model with its settings for loading."""
        shared = {name: getattr(self, name) for name in Loading.model_fields}
        return ModelSettings(model=self.model, **shared)

    def measure_settings(
        self,
        model: str,
        strength: float = 1.0,
        variant: Variant | None = None,
        bench: Bench | None = None,
    ) -> MeasureSettings:
        """The measurement of `model` on this recipe's bench, changed as `variant` says.

        With `bench`, on that one.
        """
        shared = {name: getattr(self, name) for name in Measuring.model_fields}
        asked = bench.of(shared) if bench else shared
        changes = {name: getattr(variant, name) for name in CHANGES} if variant else {}
        return MeasureSettings(model=model, strength=strength, **asked, **changes)

    @property
    def asked(self) -> PromptSettings | tuple[PromptSettings, ...]:
        """The prompts of all benches, which no training may see: one source, or several."""
        found = [self.prompts]
        for bench in self.also.values():
            prompts = self.measure_settings(self.model, bench=bench).prompts
            found += [prompts] if prompts not in found else []
        return tuple(found) if len(found) > 1 else self.prompts

    def sweep_of(self, variant: Variant) -> RecipeSweep | None:
        """The sweep that finds the strength of `variant`; None where it is measured as it is."""
        if variant.strength is not None:
            return None
        if variant.method is None:
            of_itself = variant.steer is not None and variant.of is None
        else:
            makes = look_up("method", variant.method, METHODS).makes
            of_itself = makes not in ("adapter", "scorer")
        return self.sweep if variant.swept or (variant.swept is None and of_itself) else None

    def run_names(self, variant: Variant) -> tuple[str, ...]:
        """The names of its measured runs: its own, or one for each of several budgets."""
        if not variant.measured:
            return ()
        sweep = self.sweep_of(variant)
        if sweep is None or len(sweep.each) == 1:
            return (variant.name,)
        ends = ["-".join(f"{most:g}" for most in dict.fromkeys(b.values())) for b in sweep.each]
        return tuple(f"{variant.name}-{end}" for end in ends)

    def sweep_settings(self, sweep: RecipeSweep, model: str, variant: Variant) -> SweepSettings:
        """The sweep of a variant, on prompts without those of the benches."""
        shared = {name: getattr(self, name) for name in Measuring.model_fields if name != "prompts"}
        own = {name: getattr(sweep, name) for name in Sweeping.model_fields}
        prompts = sweep.prompts
        if prompts.exclude is None:
            prompts = prompts.model_copy(update={"exclude": self.asked})
        own |= {"strengths": variant.strengths} if variant.strengths else {}
        changes = {name: getattr(variant, name) for name in CHANGES}
        return SweepSettings(model=model, prompts=prompts, **shared, **own, **changes)

    def train_settings(self, learning: Learning) -> TrainSettings:
        """A variant's training from this recipe's base model.

        The prompts of the benches are excluded from the prompts and texts of the training.
        """
        shared = {name: getattr(self, name) for name in (*Loading.model_fields, "model", "seed")}
        own = {name: getattr(learning, name) for name in Learning.model_fields}
        for kind, given in learning.sources().items():
            if getattr(given, "exclude", self.prompts) is None:
                own[kind] = given.model_copy(update={"exclude": self.asked})
        return TrainSettings(**shared, **own)

    def explain_settings(self, explain: Explaining, runs: Sequence[str]) -> ExplainSettings:
        """The explanation of measured runs, the base's first."""
        shared = {name: getattr(self, name) for name in ("device", "resamples", "seed")}
        own = {name: getattr(explain, name) for name in Explaining.model_fields}
        return ExplainSettings(runs=tuple(runs), **shared, **own)
