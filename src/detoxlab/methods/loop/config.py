"""The settings shared by all methods that train a LoRA adapter by gradient steps."""

import math
from typing import Literal

from pydantic import Field

from detoxlab.methods.base import MethodConfig
from detoxlab.methods.loop.trackers import TrackerName


class TrainingConfig(MethodConfig):
    """Hyperparameters of the optimizer, the adapter and the checkpoints.

    "published" is the configuration of Scalena et al. 2023 (repository RewardLM,
    falcon7b-FT.yaml).
    """

    chat: bool = Field(
        default=True, description="prompts in the chat template; false: plain texts to continue"
    )
    max_steps: int | None = Field(
        default=None,
        ge=0,
        description="stop after so many optimizer steps; none: when the data are used up",
    )
    batch_size: int = Field(default=16, ge=1, description="rows per forward pass; published: 16")
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
    bf16: Literal["auto"] | bool = Field(
        default="auto",
        description="bfloat16 autocast; auto: on GPUs that have it, for float32 weights too",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="less memory for about a fifth more time"
    )
    report_to: tuple[TrackerName, ...] = Field(
        default=(), description="trackers, which get numbers only"
    )
    seed: int = Field(
        default=0, ge=0, description="of the adapter's initial weights, order and dropout"
    )


class PassesConfig(TrainingConfig):
    """Settings of methods that pass over a fixed set of rows, and may stop early."""

    epochs: float = Field(default=3.0, ge=0, description="passes over the rows; published: 3")
    patience: int = Field(
        default=3, ge=0, description="stop after so many validations without a new best; 0: never"
    )

    group_by_length: bool = Field(
        default=False,
        description="batches of rows of like length: less padding, for rows of mixed length",
    )

    def total_steps(self, rows: int) -> int:
        """The number of optimizer steps on so many rows.

        >>> PassesConfig(epochs=2, batch_size=4).total_steps(10)
        6
        """
        per_epoch = math.ceil(math.ceil(rows / self.batch_size) / self.gradient_accumulation)
        steps = math.ceil(self.epochs * per_epoch)
        return steps if self.max_steps is None else min(steps, self.max_steps)
