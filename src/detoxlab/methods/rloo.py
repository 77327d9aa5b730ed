"""REINFORCE with a leave-one-out baseline of a LoRA adapter, with TRL's RLOOTrainer.

The reward of a response is reduced by beta times its log-ratio to the base model, summed over
its tokens; the advantage is what is left, less the mean over the others of its group. With
that, the policy that maximises the objective is π ∝ π_base exp(reward / beta).

Source: Ahmadian et al. 2024, Back to Basics: Revisiting REINFORCE-Style Optimization for
Learning from Human Feedback in LLMs, equations 6 and 9.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from detoxlab.methods.online import OnlineConfig
from detoxlab.records import Prompt
from detoxlab.runs import Run

if TYPE_CHECKING:
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


@dataclass(frozen=True)
class RLOO:
    """REINFORCE leave-one-out, as a `Method`."""

    config: RLOOConfig = field(default_factory=RLOOConfig)

    def fit(self, lm: "LanguageModel", data: Sequence[Prompt], run: Run) -> Path:
        """The folder of the adapter that learnt from its own responses to the prompts.

        It is that of the saved step with the highest reward before a stop rule was broken.
        `lm` itself is left as it was. See `Method.fit` for resuming and errors.
        """
        from detoxlab.methods.online_training import fit_adapter, rloo_trainer

        return fit_adapter(self.config, lm, data, run, "rloo", rloo_trainer(self.config))
