"""Several steerings of one model, applied in order."""

import contextlib
from collections.abc import Iterator, Sequence

from torch import Tensor

from detoxlab.models.language_model import LanguageModel
from detoxlab.models.session import Session, Tokens
from detoxlab.steering.base import Steering


class Stack(Session):
    """The sessions of one batch, applied in order: each gets the logits of the one before it."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.sessions = sessions

    def reading(self, tokens: Tokens) -> None:
        for session in self.sessions:
            session.reading(tokens)

    def logits(self, tokens: Tokens, logits: Tensor) -> Tensor:
        for session in self.sessions:
            logits = session.logits(tokens, logits)
        return logits

    def select(self, rows_R: Tensor) -> None:
        for session in self.sessions:
            session.select(rows_R)


@contextlib.contextmanager
def stacked(steerings: Sequence[Steering], lm: LanguageModel) -> Iterator[Session]:
    """The session of all steerings; hooks on one module run in the order of the steerings."""
    with contextlib.ExitStack() as stack:
        yield Stack([stack.enter_context(steering.on(lm)) for steering in steerings])
