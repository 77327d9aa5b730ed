"""Exchanges of random tokens, a linear toy model, and a steering of logits, for attributions."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detoxlab.explanations import Exchange
from detoxlab.models import LanguageModel, Session, Tokens
from tests.support.tiny import tiny_tokenizer

SHAPES = ((5, 6), (12, 13), (3, 1), (1, 4))
"""Tokens of prompt and response: on both sides of a window of 8 and of a segment of 10 steps."""


def exchanges(shapes: Sequence[tuple[int, int]] = SHAPES, seed: int = 0) -> list[Exchange]:
    """Random tokens of the tiny vocabulary, without its special ones."""
    rng = np.random.default_rng(seed)
    draw = [[tuple(rng.integers(4, 260, n).tolist()) for n in shape] for shape in shapes]
    return [Exchange(prompt, response) for prompt, response in draw]


class LinearToy(nn.Module):
    """Logits after token t: the output rows times the sum of the embeddings up to t."""

    def __init__(self, embeddings_VD: Tensor, output_VD: Tensor) -> None:
        super().__init__()
        self.embeddings = nn.Embedding.from_pretrained(embeddings_VD)
        self.output_VD = output_VD
        self.config = SimpleNamespace(model_type="toy")

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings

    def forward(self, input_ids: Tensor, use_cache: bool = False) -> Any:
        del use_cache
        return SimpleNamespace(logits=self.embeddings(input_ids).cumsum(dim=1) @ self.output_VD.T)


def linear_lm() -> LanguageModel:
    """Three tokens: embeddings (1, 0), (0, 2), (3, 1); output rows (1, 1), (2, −1), (0, 0)."""
    embeddings_VD = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    output_VD = torch.tensor([[1.0, 1.0], [2.0, -1.0], [0.0, 0.0]])
    lm = LanguageModel("toy", "toy@0", LinearToy(embeddings_VD, output_VD), tiny_tokenizer())
    lm.__dict__["context_length"] = 100
    return lm


@dataclass(frozen=True)
class Favour:
    """A steering that adds to the logits of one token of a response, but not after its prompt."""

    token: int
    by: float
    id: str = "favour"
    training_scorers: tuple[str, ...] = ()
    seen: list[Tokens] = field(default_factory=list, compare=False)

    @contextlib.contextmanager
    def on(self, lm: LanguageModel) -> Iterator[Session]:
        del lm
        yield _FavourSession(self)


@dataclass(frozen=True)
class _FavourSession(Session):
    steering: Favour

    def logits(self, tokens: Tokens, logits: Tensor) -> Tensor:
        last = logits.shape[1]
        change = torch.zeros_like(logits)
        change[..., self.steering.token] = self.steering.by * tokens.is_response_BT[:, -last:].to(
            logits
        )
        return logits + change
