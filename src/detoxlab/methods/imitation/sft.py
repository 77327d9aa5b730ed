"""Supervised fine-tuning of a LoRA adapter on responses, with TRL's SFTTrainer.

The loss is the mean negative log-likelihood, in nats, of the response's tokens and of the
end token after them. The model reads the earlier turns of a dialogue but does not learn them.

Sources: Hu et al. 2021, LoRA; Scalena et al. 2023, "Let the Models Respond: Interpreting
Language Model Detoxification Through the Lens of Prompt Dependence". In the descriptions
below "published" means its training configuration (repository RewardLM, falcon7b-FT.yaml).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from detoxlab.data.split import DialogueSplit, TextSplit
from detoxlab.methods.base import MethodSpec
from detoxlab.methods.imitation.config import ImitationConfig
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel


class SFTConfig(ImitationConfig):
    """Hyperparameters of supervised fine-tuning. Each default names where it comes from."""


def fit_sft(
    config: SFTConfig, lm: "LanguageModel", data: DialogueSplit | TextSplit, run: Run
) -> Path:
    """The folder of the adapter that learnt the responses, or whole texts; see `fit_split`."""
    from detoxlab.methods.imitation.train import fit_split

    return fit_split(config, lm, data, run, "sft")


METHOD = MethodSpec(SFTConfig, fit_sft, ("dialogues", "texts"))
