"""NADO decoding: the next token is drawn from p times R to a power, and no weight changes.

    q(v | x, y_<i)  ~  p(v | x, y_<i) * R(x, y_<i v) ** strength

With R of the model itself, strength 1 samples from p given that the response is accepted (Meng
et al. 2022, arXiv 2205.14219, eq. 3). The head reads the hidden states that the model computes
anyway, so a step costs one more product with the vocabulary. With another adapter than in the
fit, q is an approximation, because R belongs to the model on which the head was fitted.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor
from torch.nn.functional import logsigmoid

from detoxlab.auxiliary.config import SHAPE, WEIGHTS, find_head
from detoxlab.auxiliary.head import AuxiliaryHead, load_head
from detoxlab.models import LanguageModel, Session, Tokens
from detoxlab.models.hidden import Watched, output_layer, watching_hidden_states
from detoxlab.provenance import file_sha256
from detoxlab.steering.names import check_strength


@dataclass(frozen=True)
class Nado:
    """The head in `folder`, as a `Steering` of any model with its vocabulary and width."""

    folder: Path
    strength: float = 1.0
    _heads: WeakKeyDictionary[Any, AuxiliaryHead] = field(
        default_factory=WeakKeyDictionary, compare=False, repr=False
    )

    @classmethod
    def load(cls, where: str | Path, *, strength: float = 1.0) -> "Nado":
        """The head that a run left.

        Raises `ModelError` when there is none, or several and none is named; `ConfigError` for
        a strength below 0.
        """
        check_strength(strength)
        return cls(find_head(Path(where)), strength)

    @property
    def id(self) -> str:
        """nado@HASH*STRENGTH, with the hash of the head's weights."""
        return f"nado@{file_sha256(self.folder / WEIGHTS)[:8]}*{self.strength:g}"

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """The scorers of the conditions that the head was fitted on."""
        content = json.loads((self.folder / SHAPE).read_text(encoding="utf-8"))
        conditions = content.get("conditions", [])
        return tuple(dict.fromkeys(condition["scorer"] for condition in conditions))

    @contextlib.contextmanager
    def on(self, lm: LanguageModel) -> Iterator[Session]:
        """Adds strength * log R to the logits. Raises `ModelError` for a model of other shape."""
        head = self._head(lm)
        with watching_hidden_states(lm) as watched:
            yield NadoSession(head, watched, self.strength)

    def _head(self, lm: LanguageModel) -> AuxiliaryHead:
        """The head tied to the model's embeddings, read once per model."""
        if lm.model not in self._heads:
            self._heads[lm.model] = load_head(self.folder, output_layer(lm).weight_VD)
        return self._heads[lm.model]


@dataclass(frozen=True)
class NadoSession(Session):
    """Adds strength * log R, read from the hidden states of each forward pass."""

    head: AuxiliaryHead
    watched: Watched
    strength: float

    def logits(self, tokens: Tokens, logits: Tensor) -> Tensor:
        """log p + strength * log R, not normalised."""
        del tokens
        hidden_BTD = self.watched.take()
        last = hidden_BTD[:, -1] if logits.ndim == 2 else hidden_BTD[:, -logits.shape[1] :]
        return logits + self.strength * logsigmoid(self.head(last))
