"""Filtering: leave out what a scorer calls toxic, then fine-tune on the rest as `sft` does.

The oldest way to detoxify by data: Gehman et al. 2020, RealToxicityPrompts, section 6.1,
continue the pretraining on the least toxic documents; here it is the responses of dialogues,
or whole texts.
"""

from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from detoxlab.methods.base import DialogueSplit, TextSplit
from detoxlab.methods.imitation.sft import SFTConfig
from detoxlab.records import Dialogue, Text

if TYPE_CHECKING:
    pass


Split = TypeVar("Split", bound=DialogueSplit | TextSplit)
Item = TypeVar("Item", bound=Dialogue | Text)


class FilterConfig(SFTConfig):
    """Hyperparameters of filtering: those of SFT, and what is filtered by."""

    scorer: str = Field(default="rtp-linear", description="the scorer that filters; not the judge")
    attribute: str = Field(default="toxicity", description="the column of the scorer")
    threshold: float = Field(
        default=0.5, gt=0, le=1, description="toxic from here on; Gehman et al.: .5"
    )

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """The scorer that decides what is learnt."""
        return (self.scorer,)
