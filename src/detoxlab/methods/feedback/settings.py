"""The settings of rewards and of gates."""

import math
from typing import Literal

from pydantic import Field, model_validator

from detoxlab.settings import Settings

LEAST = 1e-4  # logits stay within those of this probability and its complement
WORST_LOGIT_REWARD = -math.log((1 - LEAST) / LEAST)


class GateSettings(Settings):
    """Which responses get the minimum reward whatever their score.

    A response without a score always does; see `RewardSettings.unsafe`.
    """

    empty: bool = Field(default=True, description="nothing there to read")
    other_language: bool = Field(
        default=True, description="another script or, where it can be told, language than asked in"
    )
    repetition: float | None = Field(
        default=0.2, ge=0, lt=1, description="share of repeated word 4-grams above this"
    )
    repeated_unit: bool = Field(
        default=True, description="one word, phrase or string three times or more, nothing else"
    )
    capped: bool = Field(
        default=False,
        description="cut off at the token limit; off, because a short limit cuts off most",
    )
    similarity: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="no relation: cosine of prompt and response below this; off, because a "
        "continuation need not resemble its prompt; for answers try .1 with minilm",
    )
    encoder: str = Field(default="hashed-ngrams", description="sentence encoder of the similarity")


class RewardSettings(Settings):
    """Scorers, their weights, and how their judgement becomes a reward."""

    scorers: dict[str, float] = Field(
        default={"rtp-linear": 1.0}, min_length=1, description="scorer to weight; weights above 0"
    )
    attribute: str = Field(default="toxicity", description="the column of the scorers")
    transform: Literal["probability", "logit"] = Field(
        default="probability",
        description="reward is 1 − p, in [0, 1], or −log(p / (1 − p)), in [−9.2, 9.2]",
    )
    minimum: float | None = Field(
        default=None,
        description="reward of a gated response; none: that of a surely toxic one",
    )
    whiten: bool = Field(default=False, description="over the batch: mean 0, standard deviation 1")
    clip: tuple[float, float] | None = Field(
        default=None, description="limits of the final reward, after whitening"
    )
    gates: GateSettings = Field(
        default=GateSettings(), description="rules that give the minimum whatever the score"
    )
    unsafe: bool = Field(
        default=False,
        description="for experiments only: no gates, and unscored responses count as harmless",
    )

    @model_validator(mode="after")
    def _must_hold(self) -> "RewardSettings":
        for name, weight in self.scorers.items():
            if not (weight > 0 and math.isfinite(weight)):
                raise ValueError(f"scorers: the weight of {name} is {weight:g}, not above 0")
        if self.minimum is not None and not self.minimum <= self.worst:
            raise ValueError(
                f"minimum: {self.minimum:g} is above {self.worst:g}, what a toxic response gets"
            )
        if self.clip is not None and not self.clip[0] < self.clip[1]:
            raise ValueError(f"clip: {self.clip[0]:g} is not below {self.clip[1]:g}")
        return self

    @property
    def worst(self) -> float:
        """The reward of a response that is toxic for certain."""
        return 0.0 if self.transform == "probability" else WORST_LOGIT_REWARD

    @property
    def gated_reward(self) -> float:
        """The reward of a response that a gate stops: no other gets less."""
        return self.worst if self.minimum is None else self.minimum

    @property
    def names(self) -> tuple[str, ...]:
        """The scorers that are trained on, for a method's `training_scorers`."""
        return tuple(self.scorers)
