"""Fine-tuning on unfiltered data, regularised towards responses that a constraint accepts.

The loss is the negative log-likelihood of the data plus, at the responses of constrained domains,
the KL divergence from the projection of an anchor model onto the constraint: the distribution
that meets it and is closest to the anchor (NADO, arXiv 2205.14219, with an auxiliary head that
tells which beginnings end accepted). So a model learns the contents of toxic data, but does
not learn to speak like them.

Source: Meng et al. 2024, "Attribute Controlled Fine-tuning for Large Language Models: A Case
Study on Detoxification" (EMNLP Findings, arXiv 2410.05559), which released no code.
docs/regularised.md lists the details that it leaves open, and our departures from it.
"""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from detoxlab.auxiliary.config import HeadSettings
from detoxlab.errors import ConfigError
from detoxlab.methods.base import MethodSpec
from detoxlab.methods.feedback.conditions import Condition
from detoxlab.methods.feedback.drawing import DrawSettings
from detoxlab.methods.imitation.config import ImitationConfig
from detoxlab.settings import Settings

ANY_DOMAIN = "*"
CURRENT_STEPS = 30  # of an iteration; beyond that, anchor `current` multiplies by R too often


class DomainSettings(Settings):
    """The constraint on one domain of the data."""

    weight: float = Field(
        default=3.0,
        ge=0,
        description="lambda, of the regulariser per token; at each prefix the optimum is the "
        "mixture (data + lambda q) / (1 + lambda); 1 to 30",
    )
    required: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="share of responses to be accepted, over the domain; none: all of them",
    )
    per_prompt: bool = Field(
        default=False,
        description="required holds for each prompt, by the head's R(x), not over the domain",
    )
    strength: float = Field(
        default=1.0, gt=0, description="exponent of R in a hard constraint; 1: the projection"
    )
    dual_rate: float = Field(
        default=0.0,
        ge=0,
        description="lambda grows by exp(rate (required - accepted)) per iteration; 0: fixed",
    )
    weight_limits: tuple[float, float] = Field(
        default=(0.1, 30.0), description="between which the dual ascent keeps lambda; low, high"
    )
    retention: float = Field(
        default=0.0, ge=0, description="weight of KL(base || policy) on this domain's responses"
    )
    conditions: tuple[Condition, ...] | None = Field(
        default=None, min_length=1, description="this domain's own; none: the method's"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "DomainSettings":
        if self.dual_rate and self.required is None:
            raise ValueError("dual_rate without required: say which share is to be accepted")
        if self.per_prompt and self.required is None:
            raise ValueError("per_prompt without required: a hard constraint holds for each anyway")
        if self.strength != 1.0 and self.required is not None:
            raise ValueError("strength with required: it is the exponent of a hard constraint")
        if self.weight_limits[0] > self.weight_limits[1]:
            raise ValueError(f"weight_limits {self.weight_limits}: the lower one comes first")
        return self


class RegularisedConfig(ImitationConfig):
    """Hyperparameters of regularised fine-tuning: those of SFT, the constraint, the schedule."""

    conditions: tuple[Condition, ...] = Field(
        default=(Condition(),), min_length=1, description="all that a response must meet together"
    )
    domains: dict[str, DomainSettings] = Field(
        default={ANY_DOMAIN: DomainSettings()},
        min_length=1,
        description="settings by domain; '*' is every other one; a domain without settings is "
        "learnt as it is (Meng et al. 2024 call that adaptive)",
    )
    anchor: Literal["snapshot", "reference", "current"] = Field(
        default="snapshot",
        description="the model projected: the policy at the start of the iteration, the base, or "
        "the policy as it is, which drifts unless an iteration is 30 steps at most; the base is "
        "drawn from once, in the one iteration there is",
    )
    schedule: Literal["sequential", "parallel"] = Field(
        default="sequential",
        description="parallel: an iteration reads the head fitted for the one before it",
    )
    iterations: int = Field(
        default=4, ge=1, description="refreshes of anchor and head; 30 steps each did best"
    )
    kl_budget: float | None = Field(
        default=None,
        gt=0,
        description="nats per token between policy and snapshot, the anchor, that end an iteration "
        "early",
    )
    draws: DrawSettings = Field(
        default=DrawSettings(k=4),
        description="how the anchor's responses are drawn; top_p is 1; as many tokens of a text as "
        "a response has at most are regularised, the rest is learnt as it is",
    )
    prompts: int = Field(default=256, ge=1, description="beginnings of data drawn from, each time")
    prompt_tokens: int = Field(
        default=6, ge=1, description="how many tokens of a text are its beginning"
    )
    age_limit: int = Field(
        default=2, ge=1, description="iterations for which responses stay in the buffer"
    )
    sampled_rows: int = Field(
        default=2,
        ge=0,
        description="responses of the anchor beside each batch, whose prefixes are regularised "
        "with the weights that they have under q (exact for strength 1 and draws at temperature "
        "1 by the anchor itself)",
    )
    top_k: int | None = Field(
        default=64,
        ge=1,
        description="the anchor's likeliest tokens, and one bucket for all others; none: the "
        "whole vocabulary",
    )
    head: HeadSettings = Field(default=HeadSettings(), description="the auxiliary head")
    patience: int = Field(
        default=0, ge=0, description="as in SFT, but off: validation does not see the constraint"
    )

    @field_validator("draws")
    @classmethod
    def _whole_distribution(cls, draws: DrawSettings) -> DrawSettings:
        if draws.top_p < 1:
            raise ValueError(f"draws.top_p is {draws.top_p}: it must be 1, see `auxiliary`")
        return draws

    @model_validator(mode="after")
    def _nothing_idle(self) -> "RegularisedConfig":
        if self.kl_budget is not None and self.anchor != "snapshot":
            raise ValueError(f"kl_budget with anchor {self.anchor}: it ends iterations of snapshot")
        if self.anchor == "reference" and self.schedule == "parallel":
            raise ValueError("schedule parallel with anchor reference: it has one iteration")
        if self.anchor == "reference" and any(d.dual_rate for d in self.domains.values()):
            raise ValueError("dual_rate with anchor reference: it has one iteration")
        return self

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """The scorers of all conditions."""
        own = [domain.conditions or () for domain in self.domains.values()]
        every = [*self.conditions, *(condition for some in own for condition in some)]
        return tuple(dict.fromkeys(condition.scorer for condition in every))

    def check_amount(self, items: int) -> None:
        """Raise `ConfigError` where the policy would drift away with anchor `current`."""
        steps = self.total_steps(items)
        if self.anchor == "current" and steps > CURRENT_STEPS * self.iterations:
            raise ConfigError(
                f"anchor current over {steps} steps in {self.iterations} iterations would drift",
                remedy=f"Set iterations to {-(-steps // CURRENT_STEPS)} or more, or anchor "
                "snapshot.",
            )

    def of_domain(self, name: str) -> DomainSettings | None:
        """The settings of a domain; None where it has no constraint."""
        return self.domains.get(name, self.domains.get(ANY_DOMAIN))


METHOD = MethodSpec(
    RegularisedConfig, "detoxlab.methods.regularised.train:fit_regularised", ("texts", "dialogues")
)
