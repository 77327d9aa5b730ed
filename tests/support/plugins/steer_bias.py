"""Steering `bias`: makes tokens rarer. `--steer bias:17,42@2.5` takes 2.5 from their logits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from detoxlab.models import LanguageModel, Session, Tokens


@dataclass(frozen=True)
class Bias(Session):
    where: str
    strength: float
    training_scorers = ()

    @property
    def id(self) -> str:
        return f"bias@{self.where}*{self.strength:g}"

    @contextmanager
    def on(self, lm: LanguageModel) -> Iterator[Session]:
        yield self

    def logits(self, tokens: Tokens, logits: Tensor) -> Tensor:
        made = logits.clone()
        made[..., [int(token) for token in self.where.split(",")]] -= self.strength
        return made
