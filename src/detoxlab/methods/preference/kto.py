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

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from detoxlab.methods.base import MethodSpec
from detoxlab.methods.preference.config import PreferenceConfig, PreferenceData
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


def fit_kto(config: KTOConfig, lm: "LanguageModel", data: PreferenceData, run: Run) -> Path:
    """The folder of the adapter that finds the chosen responses desirable; see `fit_pairs`."""
    from trl import KTOConfig as TrlConfig

    from detoxlab.methods.preference.train import (
        ResponseTrainer,
        TrainerKind,
        fit_pairs,
        response_columns,
    )

    weights = config.model_dump(include={"beta", "desirable_weight", "undesirable_weight"})
    columns = partial(response_columns, seed=config.seed)
    kind = TrainerKind(ResponseTrainer, TrlConfig, weights, columns, takes_single=True)
    return fit_pairs(config, lm, data, run, "kto", kind)


METHOD = MethodSpec(KTOConfig, fit_kto, ("prompts", "pairs"))
