"""Kahneman-Tversky optimisation of a LoRA adapter, with TRL's KTOTrainer.

Each response of a pair is an example of its own, desirable or not. With Δ the log-probability
of the response under the policy minus that under the reference (the same model with the adapter
off), in nats, the losses are 1 − σ(β (Δ − z)) for a desirable and 1 − σ(β (z − Δ)) for an
undesirable response. z estimates the divergence from the reference, in nats per response, from
prompts joined with responses to others; it is never below 0 and has no gradient.

Source: Ethayarajh et al. 2024, "KTO: Model Alignment as Prospect Theoretic Optimization",
equations 7 and 8. We join every prompt with the response of the row before it, also across the
border of a batch, so that no response is joined with its own prompt.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from detoxlab.methods.base import PairSplit
from detoxlab.methods.preference import PreferenceConfig
from detoxlab.records import Prompt
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel


class KTOConfig(PreferenceConfig):
    """Hyperparameters of KTO. Each default names where it comes from."""

    batch_size: int = Field(
        default=32, ge=2, description="responses per forward pass; z is their mean, so at least 2"
    )
    desirable_weight: float = Field(
        default=1.0, gt=0, description="of the chosen responses; 1: as many as rejected ones"
    )
    undesirable_weight: float = Field(default=1.0, gt=0, description="of the rejected responses")


@dataclass(frozen=True)
class KTO:
    """Kahneman-Tversky optimisation, as a `Method`."""

    config: KTOConfig = field(default_factory=KTOConfig)

    def fit(self, lm: "LanguageModel", data: "PairSplit | list[Prompt]", run: Run) -> Path:
        """The folder of the adapter that finds the chosen responses desirable.

        Data, the checkpoint that counts, resuming and errors are those of `DPO.fit`.
        """
        from detoxlab.methods.preference_training import fit_pairs, kto_trainer

        return fit_pairs(self.config, lm, data, run, "kto", kto_trainer(self.config))
