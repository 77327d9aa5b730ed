"""Supervised fine-tuning of a LoRA adapter on responses, with TRL's SFTTrainer.

The loss is the mean negative log-likelihood, in nats, of the response's tokens and of the
end token after them. Earlier turns of a dialogue are read, never learnt.

Sources: Hu et al. 2021, LoRA; Scalena et al. 2023, "Let the Models Respond: Interpreting
Language Model Detoxification Through the Lens of Prompt Dependence", whose published
training configuration (repository RewardLM, falcon7b-FT.yaml) is what "published" means in
the descriptions below.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from detoxlab.methods.base import DialogueSplit, TextSplit
from detoxlab.methods.training.config import PassesConfig
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel


class SFTConfig(PassesConfig):
    """Hyperparameters of supervised fine-tuning. Each default names where it comes from."""

    targets: Literal["last", "all"] = Field(
        default="last",
        description="which assistant turns are learnt; the published code learnt every turn, "
        "the user's too, which teaches the hate that is being answered; of a text with a question: "
        "its answer, or all of it",
    )
    max_length: int = Field(
        default=512, ge=2, description="tokens per dialogue; longer ones lose their oldest context"
    )


@dataclass(frozen=True)
class SFT:
    """Supervised fine-tuning, as a `Method`."""

    config: SFTConfig = field(default_factory=SFTConfig)

    def fit(self, lm: "LanguageModel", data: DialogueSplit | TextSplit, run: Run) -> Path:
        """The folder of the adapter that learnt the responses, or whole texts, of `data.train`.

        It is the adapter of the checkpoint with the lowest validation loss, or of the last
        step where there is no validation data. `lm` itself is left as it was. See
        `Method.fit` for resuming and errors.
        """
        from detoxlab.methods.sft_training import fit_adapter

        return fit_adapter(self.config, lm, data, run)
