"""Rejection sampling: the model learns from those of its own responses that pass.

Every prompt is answered several times; a response that no gate stops and that the scorer calls
harmless is accepted, and the adapter is fine-tuned on what was accepted, token for token as it
was drawn. Where a prompt has none, it teaches nothing.

Sources: Touvron et al. 2023, Llama 2, section 3.2.3 (the best of K responses of each prompt);
Dong et al. 2023, RAFT. Without `best_only` it is the model's distribution given acceptance,
whose likelihood rises as the sequence-level KL to that distribution falls.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from detoxlab.methods.feedback.drawing import DrawSettings
from detoxlab.methods.feedback.settings import RewardSettings
from detoxlab.methods.loop.config import PassesConfig

if TYPE_CHECKING:
    pass


class RejectionConfig(PassesConfig):
    """Hyperparameters of rejection sampling. Each default names where it comes from."""

    draws: DrawSettings = Field(
        default=DrawSettings(), description="how responses to the prompts are drawn"
    )
    reward: RewardSettings = Field(
        default=RewardSettings(), description="the scorers and gates that accept a response"
    )
    threshold: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="toxic from here on, as in measuring: not accepted",
    )
    best_only: bool = Field(
        default=False, description="of each prompt only the response with the highest reward"
    )
    validation: float = Field(default=0.1, gt=0, lt=1, description="share of prompts held out")

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """The scorers that accept what is learnt."""
        return self.reward.names
