"""The auxiliary model of NADO as a method of its own: it learns which beginnings end accepted.

It is fitted on labelled responses of the untouched model and changes no weight of it. The head
that it leaves steers decoding (`detoxlab measure MODEL --steer nado:RUN`, or
`detoxlab measure RUN`); constraint-regularised fine-tuning fits heads of the same kind.

Source: Meng et al. 2022, arXiv 2205.14219; formulas and departures in docs/regularised.md.
"""

from pydantic import Field, field_validator

from detoxlab.auxiliary.config import HeadSettings
from detoxlab.methods.base import MethodConfig, MethodSpec
from detoxlab.methods.feedback.conditions import Condition
from detoxlab.methods.feedback.drawing import DrawSettings
from detoxlab.methods.loop.trackers import TrackerName


class AuxiliaryConfig(MethodConfig):
    """Hyperparameters of the auxiliary model."""

    conditions: tuple[Condition, ...] = Field(
        default=(Condition(),), min_length=1, description="all that a response must meet together"
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
