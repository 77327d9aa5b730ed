"""Settings of the methods that compare a group of the model's own responses.

GRPO and RLOO draw several responses to each prompt, reward them, and raise the probability of
those that are better than the others of their group. Neither needs a value function. Both are
TRL's trainers with our reward, our generation and a penalty for leaving the base model.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from detoxlab.errors import TrainingError
from detoxlab.methods.feedback.rollout import Rollout
from detoxlab.methods.feedback.settings import RewardSettings
from detoxlab.methods.feedback.stop import StopRules
from detoxlab.methods.loop.config import TrainingConfig

if TYPE_CHECKING:
    from collections.abc import Sized


class GroupRollout(Rollout):
    """How groups of responses are drawn, one group per prompt."""

    prompts: int = Field(default=16, ge=1, description="prompts per step; fewer if there are fewer")
    k: int = Field(default=8, ge=2, description="responses per prompt, compared with each other")


class OnlineConfig(TrainingConfig):
    """Hyperparameters of methods that draw, reward and learn one batch of responses per step."""

    rollout: GroupRollout = Field(default=GroupRollout(), description="how responses are drawn")
    reward: RewardSettings = Field(
        default=RewardSettings(), description="reward of a response, and its gates"
    )
    stop: StopRules = Field(default=StopRules(), description="when it has gone wrong")
    max_steps: int | None = Field(default=60, ge=0, description="none: one pass over the prompts")
    batch_size: int = Field(default=32, ge=1, description="responses per forward pass")
    gradient_accumulation: int = Field(
        default=1, ge=1, le=1, description="follows from rollout and batch_size: leave it out"
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="AdamW's peak rate")
    warmup_ratio: float = Field(
        default=0.0, ge=0, lt=1, description="share of steps in which the rate rises"
    )
    lora_dropout: float = Field(
        default=0.0, ge=0, le=0, description="off: the policy that learns is the one that drew"
    )
    clip_range: float = Field(
        default=0.2, gt=0, description="of the ratio of the policy to the one that drew"
    )
    save_steps: int = Field(default=10, ge=1, description="save a checkpoint every so many steps")
    samples_every: int = Field(
        default=10, ge=1, description="keep a few responses to read every so many steps"
    )

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """The scorers of the reward."""
        return self.reward.names

    def prompts_per_step(self, prompts: "Sized") -> int:
        """The number of prompts that a step asks: the number set, or all where there are fewer.

        Raises `TrainingError` when their responses do not fill whole forward passes.
        """
        count = min(self.rollout.prompts, len(prompts))
        responses = count * self.rollout.k
        if responses < 1 or responses % min(self.batch_size, responses):
            raise TrainingError(
                f"{count} prompts with {self.rollout.k} responses each are {responses} per step, "
                f"which batches of {self.batch_size} do not divide",
                remedy="Choose batch_size among the divisors of that number.",
            )
        return count
