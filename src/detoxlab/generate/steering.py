"""The seam for methods that change how a model decodes and leave its weights alone."""

import contextlib
from contextlib import AbstractContextManager
from typing import Protocol

from detoxlab.models import LanguageModel
from detoxlab.models.likelihood import Reweight


class Steering(Protocol):
    """A change of the next-token distribution while responses are drawn."""

    @property
    def id(self) -> str:
        """Its name in results, with all that it depends on."""

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """Names of the scorers whose judgement it was made from; they must not judge it."""

    def steering(self, lm: LanguageModel) -> AbstractContextManager[Reweight]:
        """What to do with the logits of each forward pass that `lm` makes within."""


def steered(steering: Steering | None, lm: LanguageModel) -> AbstractContextManager[Reweight]:
    """The reweighting of `steering`; without any, logits stay as they are."""
    if steering is None:
        return contextlib.nullcontext(lambda logits_BV: logits_BV)
    return steering.steering(lm)
