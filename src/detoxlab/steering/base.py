"""The protocol of a change of decoding that leaves the weights alone."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel, Session


class Steering(Protocol):
    """A change of a model's activations or of its next-token distribution while it responds.

    A steering that makes forward passes of its own also has `passes_per_token`, the number of all
    passes per token, so that the automatic batch size leaves room for their caches; default 1.
    """

    @property
    def id(self) -> str:
        """Its name in results, with everything it depends on: hash of its data, strength."""

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """Names of the scorers from whose judgement it was made; they must not judge it."""

    def on(self, lm: "LanguageModel") -> "AbstractContextManager[Session]":
        """The session of one batch. Hooks on modules stand while the context lasts.

        Raises `ModelError` for a model that it cannot steer.
        """
