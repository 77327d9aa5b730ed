"""Group relative policy optimisation of a LoRA adapter, with TRL's GRPOTrainer.

The advantage of a response is its reward less the mean of its group (and divided by the
group's standard deviation, unless `scale_rewards` is "none"); it is the same for every token.
The KL to the base model enters the loss token by token.

Sources: Shao et al. 2024, DeepSeekMath, equations 3 and 4; Liu et al. 2025, Understanding
R1-Zero-Like Training (without the division). Departure: the KL estimate is multiplied by the
policy's ratio, as in DeepSeek-V3.2 and by TRL's default; the gradient of the published estimate
is that of the reverse, KL(base || policy).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from detoxlab.methods.base import MethodSpec
from detoxlab.methods.online.config import OnlineConfig
from detoxlab.records import Prompt
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.methods.online.train import RewardFunction
    from detoxlab.models import LanguageModel


class GRPOConfig(OnlineConfig):
    """Hyperparameters of GRPO. Each default names where it comes from."""

    kl_coefficient: float = Field(
        default=0.04,
        ge=0,
        description="beta, weight of the KL to the base; 0: it is not even measured; "
        "Shao et al.: .04",
    )
    scale_rewards: Literal["group", "batch", "none"] = Field(
        default="none",
        description="divide advantages by the standard deviation of the group (Shao et al.) or "
        "of the batch; none (Liu et al.), or beta would be rescaled too",
    )
    loss_type: Literal["grpo", "dr_grpo", "dapo"] = Field(
        default="dapo",
        description="token losses are averaged per response (Shao et al.), over the longest "
        "response possible (Liu et al.), or over all tokens (Yu et al., DAPO)",
    )


def fit_grpo(
    config: GRPOConfig,
    lm: "LanguageModel",
    prompts: Sequence[Prompt],
    run: Run,
    reward: "RewardFunction | None" = None,
) -> Path:
    """The folder of the adapter that learnt from its own responses; see `fit_groups`."""
    from trl import GRPOConfig as TrlConfig

    from detoxlab.methods.online.train import GroupRelativeTrainer, TrainerKind, fit_groups

    settings = {
        "beta": config.kl_coefficient,
        "scale_rewards": config.scale_rewards,
        "loss_type": config.loss_type,
    }
    kind = TrainerKind(GroupRelativeTrainer, TrlConfig, settings)
    return fit_groups(config, lm, prompts, run, "grpo", kind, reward)


METHOD = MethodSpec(GRPOConfig, fit_grpo, ("prompts",))
