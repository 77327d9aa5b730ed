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
        for at, session in enumerate(sessions):
            session.beside([*sessions[:at], *sessions[at + 1 :]])

    def reading(self, tokens: Tokens) -> None:
        for session in self.sessions:
            session.reading(tokens)

    def logits(self, tokens: Tokens, logits: Tensor) -> Tensor:
        for session in self.sessions:
            logits = session.logits(tokens, logits)
        return logits

    def nucleus(self) -> Tensor | None:
        found = [session.nucleus() for session in self.sessions]
        return next((logits for logits in reversed(found) if logits is not None), None)

    def trying(self, tokens: Tokens) -> None:
        for session in self.sessions:
            session.trying(tokens)

    def select(self, rows_R: Tensor) -> None:
        for session in self.sessions:
            session.select(rows_R)


@contextlib.contextmanager
def stacked(steerings: Sequence[Steering], lm: LanguageModel) -> Iterator[Session]:
    """The session of all steerings; hooks on one module run in the order of the steerings."""
    with contextlib.ExitStack() as stack:
        yield Stack([stack.enter_context(steering.on(lm)) for steering in steerings])
