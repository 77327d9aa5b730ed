"""REINFORCE with a leave-one-out baseline of a LoRA adapter, with TRL's RLOOTrainer.

The reward of a response is reduced by beta times its log-ratio to the base model, summed over
its tokens; the advantage is this reward less the mean over the others of its group. The policy
that maximises the objective is π ∝ π_base exp(reward / beta).

Source: Ahmadian et al. 2024, Back to Basics: Revisiting REINFORCE-Style Optimization for
Learning from Human Feedback in LLMs, equations 6 and 9.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from detoxlab.methods.base import MethodSpec
from detoxlab.methods.online.config import OnlineConfig
from detoxlab.records import Prompt
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.methods.online.train import RewardFunction
    from detoxlab.models import LanguageModel


class RLOOConfig(OnlineConfig):
    """Hyperparameters of RLOO. Each default names where it comes from."""

    kl_coefficient: float = Field(
        default=0.05,
        ge=0,
        description="beta, weight of the KL to the base; 0: the KL is not even measured; TRL: .05",
    )
    normalize_advantages: bool = Field(
        default=False, description="over the batch: mean 0, standard deviation 1; TRL: off"
    )


def fit_rloo(
    config: RLOOConfig,
    lm: "LanguageModel",
    prompts: Sequence[Prompt],
    run: Run,
    reward: "RewardFunction | None" = None,
) -> Path:
    """The folder of the adapter that learnt from its own responses; see `fit_groups`."""
    from trl import RLOOConfig as TrlConfig

    from detoxlab.methods.online.train import LeaveOneOutTrainer, TrainerKind, fit_groups

    settings = {
        "beta": config.kl_coefficient,
        "normalize_advantages": config.normalize_advantages,
    }
    kind = TrainerKind(LeaveOneOutTrainer, TrlConfig, settings)
    return fit_groups(config, lm, prompts, run, "rloo", kind, reward)


METHOD = MethodSpec(RLOOConfig, fit_rloo, ("prompts",))
