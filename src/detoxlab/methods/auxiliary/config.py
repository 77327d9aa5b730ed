"""The auxiliary model of NADO as a method of its own: it learns which beginnings end accepted.

It is fitted on labelled responses of the untouched model and changes no weight of it. What it
leaves decodes (`detoxlab measure MODEL --steer nado:RUN`, or `detoxlab measure RUN`) and is
what constraint-regularised fine-tuning is made of.

Source: Meng et al. 2022, arXiv 2205.14219; formulas and departures in docs/regularised.md.
"""

from pathlib import Path

from pydantic import Field, field_validator

from detoxlab.errors import ModelError
from detoxlab.methods.base import MethodConfig, MethodSpec
from detoxlab.methods.feedback.conditions import Condition
from detoxlab.methods.feedback.drawing import DrawSettings
from detoxlab.methods.loop.trackers import TrackerName
from detoxlab.settings import Settings

AUXILIARY = "auxiliary"
WEIGHTS, SHAPE = "head.safetensors", "head.json"
REMEDY = "Give a finished run of auxiliary or regularised, or the folder of one of its heads."


class HeadSettings(Settings):
    """The auxiliary head and how it is fitted.

    A head knows a thousand responses by heart within few steps; weight decay and consistency
    are what made it right about others on the embedded model (docs/nado.md).
    """

    blocks: int = Field(default=1, ge=0, le=4, description="residual layers before the output")
    tied: bool = Field(
        default=True,
        description="compare with the LM's output embeddings; false: a free row per token, as "
        "in Meng et al. 2022",
    )
    steps: int = Field(default=200, ge=1, description="optimizer steps per fit")
    batch_size: int = Field(default=64, ge=2, description="responses per step")
    learning_rate: float = Field(default=2e-3, gt=0, description="AdamW's, falling to 0")
    weight_decay: float = Field(default=0.3, ge=0, description="AdamW's")
    consistency: float = Field(
        default=1.0, ge=0, description="weight of the forward-consistency loss (NADO, eq. 5)"
    )
    balanced: bool = Field(
        default=True,
        description="draw accepted and other responses alike often; weights keep R calibrated",
    )


class AuxiliaryConfig(MethodConfig):
    """Hyperparameters of the auxiliary model."""

    conditions: tuple[Condition, ...] = Field(
        default=(Condition(),), min_length=1, description="what a response must meet, all at once"
    )
    draws: DrawSettings = Field(
        default=DrawSettings(), description="how responses are drawn; top_p must be 1"
    )
    head: HeadSettings = Field(default=HeadSettings(), description="the head and its fit")
    chat: bool = Field(
        default=True, description="prompts in the chat template; false: plain texts to continue"
    )
    validation: float = Field(
        default=0.1, gt=0, lt=1, description="share of prompts held out for the report"
    )
    report_to: tuple[TrackerName, ...] = Field(
        default=(), description="trackers, which get numbers only"
    )
    seed: int = Field(default=0, ge=0, description="of responses, order and initial weights")

    @field_validator("draws")
    @classmethod
    def _whole_distribution(cls, draws: DrawSettings) -> DrawSettings:
        if draws.top_p < 1:
            raise ValueError(
                f"draws.top_p is {draws.top_p}: responses must come from the whole distribution; "
                "set it to 1, and change temperature instead"
            )
        return draws

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """The scorers whose verdicts are learnt."""
        return tuple(dict.fromkeys(condition.scorer for condition in self.conditions))


METHOD = MethodSpec(
    AuxiliaryConfig, "detoxlab.methods.auxiliary.train:fit_auxiliary", ("prompts",), makes="head"
)


def find_head(where: Path) -> Path:
    """The folder of the head that `where` means: that folder, or a run that has one head."""
    folders = [where, where / AUXILIARY, *sorted((where / AUXILIARY).glob("*/"))]
    found = [folder for folder in folders if (folder / SHAPE).is_file()]
    if not found:
        raise ModelError(f"{where}: holds no auxiliary head", remedy=REMEDY)
    if len(found) > 1:
        names = ", ".join(str(folder) for folder in found)
        raise ModelError(f"{where}: holds {len(found)} heads", remedy=f"Name one: {names}.")
    return found[0]
