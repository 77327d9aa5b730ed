"""Direct preference optimisation of a LoRA adapter, with TRL's DPOTrainer.

The loss of a pair is −log σ(β (Δ_chosen − Δ_rejected)), Δ the log-probability of the response
under the policy minus that under the reference, in nats, summed over its tokens. The reference
is the same model with the adapter switched off.

Source: Rafailov et al. 2023, "Direct Preference Optimization: Your Language Model is Secretly
a Reward Model", equation 7.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from detoxlab.methods.base import PairSplit
from detoxlab.methods.preference import PreferenceConfig
from detoxlab.records import Prompt
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel


class DPOConfig(PreferenceConfig):
    """Hyperparameters of DPO. Each default names where it comes from."""

    loss: Literal["sigmoid", "ipo", "hinge"] = Field(
        default="sigmoid",
        description="sigmoid: Rafailov et al., equation 7; ipo: Azar et al. 2023; "
        "hinge: Zhao et al. 2023 (SLiC)",
    )
    likelihood_weight: float = Field(
        default=0.0,
        ge=0,
        description="adds so many times the chosen response's nats per token, which keeps its "
        "probability from falling (Pang et al. 2024 take 1); DPO: 0",
    )


@dataclass(frozen=True)
class DPO:
    """Direct preference optimisation, as a `Method`."""

    config: DPOConfig = field(default_factory=DPOConfig)

    def fit(self, lm: "LanguageModel", data: "PairSplit | list[Prompt]", run: Run) -> Path:
        """The folder of the adapter that prefers the chosen responses.

        `data` are pairs, or prompts whose responses are drawn from `lm` and ranked. It is the
        adapter of the checkpoint with the lowest validation loss. `lm` itself is left as it
        was. See `Method.fit` for resuming and errors.
        """
        from detoxlab.methods.preference_training import dpo_trainer, fit_pairs

        return fit_pairs(self.config, lm, data, run, "dpo", dpo_trainer(self.config))
