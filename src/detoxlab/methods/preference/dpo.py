"""Direct preference optimisation of a LoRA adapter, with TRL's DPOTrainer.

The loss of a pair is −log σ(β (Δ_chosen − Δ_rejected)), Δ the log-probability of the response
under the policy minus that under the reference, in nats, summed over its tokens. The reference
is the same model with the adapter switched off.

Source: Rafailov et al. 2023, "Direct Preference Optimization: Your Language Model is Secretly
a Reward Model", equation 7.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from detoxlab.methods.base import MethodSpec
from detoxlab.methods.preference.config import PreferenceConfig, PreferenceData
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


def fit_dpo(config: DPOConfig, lm: "LanguageModel", data: PreferenceData, run: Run) -> Path:
    """The folder of the adapter that prefers the chosen responses; see `fit_pairs`."""
    from trl import DPOConfig as TrlConfig

    from detoxlab.methods.preference.train import PairTrainer, TrainerKind, fit_pairs, pair_columns

    weight = config.likelihood_weight
    losses = {"loss_type": [config.loss, "sft"], "loss_weights": [1.0, weight]}
    settings = {"beta": config.beta, **(losses if weight else {"loss_type": [config.loss]})}
    kind = TrainerKind(PairTrainer, TrlConfig, settings, pair_columns, takes_single=False)
    return fit_pairs(config, lm, data, run, "dpo", kind)


METHOD = MethodSpec(DPOConfig, fit_dpo, ("prompts", "pairs"))
