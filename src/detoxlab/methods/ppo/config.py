"""Proximal policy optimization of a LoRA adapter on rewards for the model's own responses.

Each step draws responses from the policy, rewards them, and improves the policy by several
passes of clipped gradient steps over them. A penalty per token for leaving the reference, the
same weights with the adapter off, keeps the language: the objective is the expected reward
less `kl_coefficient` times the KL, whose optimum is pi ~ pi_ref exp(reward / beta).

Sources: Schulman et al. 2017, PPO; Ziegler et al. 2019, Fine-Tuning Language Models from
Human Preferences; Huang et al. 2024, The N+ Implementation Details of RLHF with PPO.
Departures: the value head stands on the policy's own last hidden state, not on a second
model, and starts at zero; policies are compared with dropout off.
"""

from pydantic import Field

from detoxlab.methods.base import MethodSpec
from detoxlab.methods.feedback.rollout import Rollout
from detoxlab.methods.feedback.settings import RewardSettings
from detoxlab.methods.feedback.stop import StopRules
from detoxlab.methods.loop.config import TrainingConfig


class PPOConfig(TrainingConfig):
    """Hyperparameters of PPO. A step draws, rewards and learns one batch of responses."""

    max_steps: int | None = Field(
        default=30,
        ge=0,
        description="steps of drawing and learning; none: one pass over the prompts",
    )
    rollout: Rollout = Field(default=Rollout(), description="how responses are drawn")
    reward: RewardSettings = Field(
        default=RewardSettings(), description="reward of a response, and its gates"
    )
    kl_coefficient: float = Field(default=0.05, ge=0, description="beta; Huang et al.: .05")
    kl_target: float | None = Field(
        default=None,
        gt=0,
        description="nats per token that beta is adapted to; none: beta is fixed",
    )
    kl_horizon: int = Field(
        default=10_000, ge=1, description="responses over which beta is adapted; Ziegler et al."
    )
    ppo_epochs: int = Field(default=2, ge=1, description="passes over a batch; Huang et al.: 4")
    batch_size: int = Field(default=32, ge=1, description="responses per forward pass")
    gamma: float = Field(default=1.0, ge=0, le=1, description="discount; Ziegler et al.: 1")
    gae_lambda: float = Field(default=0.95, ge=0, le=1, description="Ziegler et al.: .95")
    clip_range: float = Field(default=0.2, gt=0, description="of the ratio; PPO paper: .2")
    value_clip_range: float | None = Field(
        default=0.2, gt=0, description="of values; Ziegler et al.: .2; none: not clipped"
    )
    value_coefficient: float = Field(
        default=0.1, ge=0, description="weight of the value loss; Ziegler et al.: .1"
    )
    value_learning_rate: float = Field(
        default=1e-2, gt=0, description="of the value head, which starts at zero"
    )
    entropy_bonus: float = Field(default=0.0, ge=0, description="weight of the entropy")
    whiten_advantages: bool = Field(
        default=True, description="over the tokens of a batch: mean 0, standard deviation 1"
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="AdamW's peak rate")
    warmup_ratio: float = Field(
        default=0.0, ge=0, lt=1, description="share of steps in which the rate rises"
    )
    lora_dropout: float = Field(
        default=0.0, ge=0, le=0, description="off: noise in the policy would be noise in the ratio"
    )
    save_steps: int = Field(default=10, ge=1, description="save a checkpoint every so many steps")
    samples_every: int = Field(
        default=10, ge=1, description="keep a few responses to read every so many steps"
    )
    stop: StopRules = Field(default=StopRules(), description="when it has gone wrong")

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """The scorers of the reward."""
        return self.reward.names


METHOD = MethodSpec(PPOConfig, "detoxlab.methods.ppo.train:fit_adapter", ("prompts",))
