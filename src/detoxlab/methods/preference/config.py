"""The settings of preference optimisation, and its two kinds of data.

Its methods learn from given pairs, or from prompts, to which the model's own responses are drawn
and ranked by the scorer.
"""

from collections.abc import Sequence

from pydantic import Field, model_validator

from detoxlab.data.split import PairSplit
from detoxlab.methods.feedback.drawing import DrawSettings
from detoxlab.methods.feedback.settings import RewardSettings
from detoxlab.methods.loop.config import PassesConfig
from detoxlab.records import Prompt

PreferenceData = PairSplit | Sequence[Prompt]
"""Given pairs, or prompts to which responses are drawn and ranked."""


class PreferenceConfig(PassesConfig):
    """Hyperparameters of preference optimisation. Each default names where it comes from."""

    beta: float = Field(
        default=0.1, gt=0, description="tie to the reference model; Rafailov et al., B: .1"
    )
    max_length: int = Field(
        default=512,
        ge=2,
        description="tokens per row; a longer prompt loses its beginning",
    )
    epochs: float = Field(default=1.0, ge=0, description="passes over the pairs; TRL: 3")
    learning_rate: float = Field(
        default=5e-4,
        gt=0,
        description="AdamW's peak rate; found on the embedded model; TRL: 1e-6, for whole models",
    )
    lora_dropout: float = Field(
        default=0.0,
        ge=0,
        le=0,
        description="off, as in TRL: responses are compared token by token",
    )
    draws: DrawSettings = Field(
        default=DrawSettings(), description="how responses to given prompts are drawn"
    )
    reward: RewardSettings = Field(
        default=RewardSettings(), description="reward that ranks the drawn responses"
    )
    margin: float = Field(
        default=0.3,
        ge=0,
        description="least difference of reward between the two of a pair; at .3 an eighth of "
        "RTP's toxic prompts make none with the embedded model",
    )
    validation: float = Field(
        default=0.1, gt=0, lt=1, description="share of prompts held out when responses are drawn"
    )

    @model_validator(mode="after")
    def _draws_two(self) -> "PreferenceConfig":
        if self.draws.k < 2:
            raise ValueError(f"draws.k is {self.draws.k}: a pair needs at least 2 responses")
        return self

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """The scorers that rank the responses drawn to prompts; given pairs need none."""
        return self.reward.names
