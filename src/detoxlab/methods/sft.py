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

from detoxlab.methods.base import DialogueSplit, MethodConfig
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

Tracker = Literal["tensorboard", "wandb", "trackio"]


class SFTConfig(MethodConfig):
    """Hyperparameters of supervised fine-tuning. Each default names where it comes from."""

    chat: bool = Field(
        default=True, description="turns in the chat template; false: plain lines to continue"
    )
    targets: Literal["last", "all"] = Field(
        default="last",
        description="which assistant turns are learnt; the published code learnt every turn, "
        "the user's too, which teaches the hate that is being answered",
    )
    max_length: int = Field(
        default=512, ge=2, description="tokens per dialogue; longer ones lose their oldest context"
    )
    epochs: float = Field(default=3.0, ge=0, description="passes over the dialogues; published: 3")
    max_steps: int | None = Field(
        default=None,
        ge=0,
        description="stop after so many optimizer steps; none: when epochs are over",
    )
    batch_size: int = Field(
        default=16, ge=1, description="dialogues per forward pass; published: 16"
    )
    gradient_accumulation: int = Field(
        default=1, ge=1, description="forward passes per step; published: 2, here 1 for small data"
    )
    learning_rate: float = Field(
        default=3e-4, gt=0, description="AdamW's peak rate; published: 3e-4"
    )
    scheduler: Literal["linear", "cosine", "constant_with_warmup"] = Field(
        default="linear", description="how the rate falls after the warm-up; published: linear"
    )
    warmup_ratio: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="share of steps in which the rate rises; published: 100 steps",
    )
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's; published: 0")
    max_grad_norm: float = Field(default=1.0, gt=0, description="clip the gradient; published: 1")
    lora_r: int = Field(
        default=16,
        ge=1,
        description="rank; published: 64, but LoRA, section 7.2, finds small ranks enough",
    )
    lora_alpha: float = Field(
        default=32, gt=0, description="updates are scaled by alpha / r; published: 32"
    )
    lora_dropout: float = Field(default=0.05, ge=0, lt=1, description="published: .05")
    target_modules: Literal["all-linear"] | tuple[str, ...] = Field(
        default="all-linear",
        description="layers that get an adapter; published: all linear layers of Falcon",
    )
    save_steps: int = Field(
        default=50,
        ge=1,
        description="validate and save a checkpoint every so many steps; published: 150",
    )
    patience: int = Field(
        default=3, ge=0, description="stop after so many validations without a new best; 0: never"
    )
    bf16: Literal["auto"] | bool = Field(
        default="auto",
        description="bfloat16 autocast; auto: on GPUs that have it, for float32 weights too",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="less memory for about a fifth more time"
    )
    report_to: tuple[Tracker, ...] = Field(
        default=(), description="trackers, which get numbers only"
    )
    seed: int = Field(
        default=0, ge=0, description="of the adapter's initial weights, order and dropout"
    )


@dataclass(frozen=True)
class SFT:
    """Supervised fine-tuning, as a `Method`."""

    config: SFTConfig = field(default_factory=SFTConfig)

    def fit(self, lm: "LanguageModel", data: DialogueSplit, run: Run) -> Path:
        """The folder of the adapter that learnt the responses of `data.train`.

        It is the adapter of the checkpoint with the lowest validation loss, or of the last
        step where there is no validation data. `lm` itself is left as it was. See
        `Method.fit` for resuming and errors.
        """
        from detoxlab.methods.sft_training import fit_adapter

        return fit_adapter(self.config, lm, data, run)
