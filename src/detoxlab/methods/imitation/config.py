"""The settings of methods that learn given responses, or whole texts, token by token."""

from typing import Literal

from pydantic import Field

from detoxlab.methods.loop.config import PassesConfig


class ImitationConfig(PassesConfig):
    """Hyperparameters of passes over dialogues or texts."""

    targets: Literal["last", "all"] = Field(
        default="last",
        description="which assistant turns are learnt; the published code learnt every turn, "
        "the user's too, which teaches the hate that is being answered; of a text with a question: "
        "its answer, or all of it",
    )
    max_length: int = Field(
        default=512, ge=2, description="tokens per dialogue; longer ones lose their oldest context"
    )
