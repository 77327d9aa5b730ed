"""Simple preference optimisation of a LoRA adapter: DPO without a reference model.

The reward of a response is β times its log-probability in nats per token, and the loss of a pair is
−log σ(reward of the chosen − reward of the rejected response − γ). A long response has no advantage
over a short one, and the chosen one must lead by the target margin γ.

Source: Meng et al. 2024, "SimPO: Simple Preference Optimization with a Reference-Free Reward"
(arXiv 2405.14734), equations 4 and 6. TRL has it as an option of its experimental CPO trainer,
which makes its rows itself; here the rows, the data and the run are those of `dpo`.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from detoxlab.methods.base import MethodSpec
from detoxlab.methods.preference.config import PreferenceConfig, PreferenceData
from detoxlab.runs import Run

if TYPE_CHECKING:
    from torch import Tensor

    from detoxlab.models import LanguageModel


class SimPOConfig(PreferenceConfig):
    """Hyperparameters of SimPO. Each default names where it comes from."""

    beta: float = Field(
        default=2.0, gt=0, description="reward per nat per token; Meng et al.: 2 to 2.5"
    )
    target_margin: float = Field(
        default=1.0,
        ge=0,
        description="gamma, the lead in reward that the chosen response must have; "
        "Meng et al.: .3 to 1.6, half of beta",
    )


def simpo_rewards(nats_N: "Tensor", tokens_N: "Tensor", beta: float) -> "Tensor":
    """β times the mean log-probability of each response's tokens, at most 0; higher is better.

    `nats_N` are log-probabilities summed over the `tokens_N` tokens of N responses. Equation 4.

    >>> from torch import tensor
    >>> simpo_rewards(tensor([-6.0, -6.0]), tensor([2, 3]), beta=2.0).tolist()
    [-6.0, -4.0]
    """
    return beta * nats_N / tokens_N


def simpo_losses(chosen_B: "Tensor", rejected_B: "Tensor", target_margin: float) -> "Tensor":
    """−log σ(chosen − rejected − γ) of B pairs, from the rewards of both responses; at least 0.

    Equation 6. It is log 2 where the chosen response leads by the target margin.

    >>> from torch import tensor
    >>> simpo_losses(tensor([-4.0, -4.0]), tensor([-5.0, -4.0]), target_margin=1.0)
    tensor([0.6931, 1.3133])
    """
    from torch.nn.functional import logsigmoid

    return -logsigmoid(chosen_B - rejected_B - target_margin)


def fit_simpo(config: SimPOConfig, lm: "LanguageModel", data: PreferenceData, run: Run) -> Path:
    """The folder of the adapter that makes the chosen responses likelier; see `fit_pairs`."""
    from trl import DPOConfig as TrlConfig

    from detoxlab.methods.preference.train import (
        OwnLossTrainer,
        TrainerKind,
        fit_pairs,
        pair_columns,
    )

    trainer = partial(
        OwnLossTrainer,
        rewards=partial(simpo_rewards, beta=config.beta),
        losses=partial(simpo_losses, target_margin=config.target_margin),
    )
    kind = TrainerKind(trainer, TrlConfig, {}, pair_columns, takes_single=False)
    return fit_pairs(config, lm, data, run, "simpo", kind)


METHOD = MethodSpec(SimPOConfig, fit_simpo, ("prompts", "pairs"))
