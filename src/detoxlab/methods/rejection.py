"""Rejection sampling: the model learns from those of its own responses that pass.

Every prompt is answered several times; a response that no gate stops and that the scorer calls
harmless is accepted, and the adapter is fine-tuned on what was accepted, token for token as it
was drawn. Where a prompt has none, it teaches nothing.

Sources: Touvron et al. 2023, Llama 2, section 3.2.3 (the best of K responses of each prompt);
Dong et al. 2023, RAFT. Without `best_only` it is the model's distribution given acceptance,
whose likelihood rises as the sequence-level KL to that distribution falls.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from detoxlab.methods.reward import RewardSettings
from detoxlab.methods.sampled import DrawSettings
from detoxlab.methods.training.config import PassesConfig
from detoxlab.records import Prompt
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel


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


@dataclass(frozen=True)
class Rejection:
    """Fine-tuning on accepted responses, as a `Method`."""

    config: RejectionConfig = field(default_factory=RejectionConfig)

    def fit(self, lm: "LanguageModel", data: "list[Prompt]", run: Run) -> Path:
        """The folder of the adapter that learnt the accepted responses to the prompts.

        `run.json` has the share that was accepted (`acceptance`) and, with `rejected.jsonl`, why
        others were not. The rest is as in `SFT.fit`.
        """
        from detoxlab.methods.rejection_training import fit_accepted

        return fit_accepted(self.config, lm, data, run)
