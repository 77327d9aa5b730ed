"""The settings of edits that are computed from the states of toxic and other texts."""

from typing import Literal

from pydantic import Field

from detoxlab.methods.base import MethodConfig


class ContrastConfig(MethodConfig):
    """The texts that are read, and how much of each."""

    samples: int = Field(
        default=500, ge=2, description="texts of each side, drawn by the seed; ProFS: 500"
    )
    max_length: int = Field(default=128, ge=2, description="tokens of a text; ProFS: 128")
    sinks: Literal["leave-out", "keep"] = Field(
        default="leave-out",
        description="the first token, and those of more than 4 times the median norm, in the mean "
        "over a text's tokens; published: keep",
    )
    seed: int = Field(default=0, ge=0, description="of the sample of texts")
