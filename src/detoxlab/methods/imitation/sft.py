"""Supervised fine-tuning of a LoRA adapter on responses, with TRL's SFTTrainer.

The loss is the mean negative log-likelihood, in nats, of the response's tokens and of the
end token after them. Earlier turns of a dialogue are read, never learnt.

Sources: Hu et al. 2021, LoRA; Scalena et al. 2023, "Let the Models Respond: Interpreting
Language Model Detoxification Through the Lens of Prompt Dependence", whose published
training configuration (repository RewardLM, falcon7b-FT.yaml) is what "published" means in
the descriptions below.
"""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from detoxlab.methods.loop.config import PassesConfig

if TYPE_CHECKING:
    pass


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
