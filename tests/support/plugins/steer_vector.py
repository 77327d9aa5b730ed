"""Steering `vector`: adds the vector in a file to what a layer of a Llama-like model hands on.

`--steer vector:FILE.safetensors@0.5` adds half of it, at the tokens of the response alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from detoxlab.models import LanguageModel, Session, Tokens
from detoxlab.provenance import file_sha256

LAYER = 1


@dataclass(frozen=True)
class Vector:
    where: str
    strength: float
    training_scorers = ()

    @property
    def id(self) -> str:
        return f"vector@{file_sha256(Path(self.where))[:8]}*{self.strength:g}"

    @contextmanager
    def on(self, lm: LanguageModel) -> Iterator[Session]:
        session = Adding(self.strength * load_file(self.where)["vector"].to(lm.device))
        layer = lm.model.get_decoder().layers[LAYER]
        with layer.register_forward_hook(session.add):
            yield session


@dataclass
class Adding(Session):
    vector_D: Tensor
    tokens: Tokens | None = None

    def reading(self, tokens: Tokens) -> None:
        self.tokens = tokens

    def add(self, _layer: Any, _inputs: Any, hidden_BTD: Tensor) -> Tensor:
        return hidden_BTD + self.tokens.is_response_BT[:, :, None] * self.vector_D
