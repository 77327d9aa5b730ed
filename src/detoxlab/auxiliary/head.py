"""The auxiliary model of NADO: a head on a language model's hidden states.

At each position it gives, for every possible next token, the logit of R: the probability that a
response which goes on with that token ends up accepted. It never changes the language model,
whose hidden states come in without gradient.

Departure from Meng et al. 2022, who train a transformer of its own: the blocks here look at
one position at a time, since a hidden state has read all before it. So decoding needs no
second cache.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from detoxlab.auxiliary.config import SHAPE, WEIGHTS, HeadSettings
from detoxlab.errors import ModelError
from detoxlab.models import LanguageModel
from detoxlab.models.hidden import OutputLayer
from detoxlab.settings import Settings

EMBEDDINGS = "embeddings"


@dataclass(frozen=True)
class HeadShape:
    """The shape of a head. `tied` heads compare with the LM's own output embeddings."""

    width: int
    vocabulary: int
    blocks: int = 0
    tied: bool = True


class Block(nn.Module):
    """A residual layer of two linear maps, whose second begins at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        change: Tensor = self.down(nn.functional.gelu(self.up(self.norm(hidden))))
        return hidden + change


class AuxiliaryHead(nn.Module):
    """Hidden states (..., D) to logits r (..., V) of the acceptance after each next token.

    r = (A z + c) E^T + b with z the normalised hidden state after the blocks. With `tied`, E
    are the LM's output embeddings, frozen and not stored, so that similar tokens are learnt
    together; without it, E is the identity and A is V x D. At first A is zero and b the logit
    of the acceptance rate, so that R is the same for all tokens and q = p.
    """

    def __init__(
        self, shape: HeadShape, embeddings_VD: Tensor | None = None, *, acceptance: float = 0.5
    ) -> None:
        super().__init__()
        self.shape = shape
        self.norm = nn.LayerNorm(shape.width)
        self.blocks = nn.Sequential(*(Block(shape.width) for _ in range(shape.blocks)))
        self.out = nn.Linear(shape.width, shape.width if shape.tied else shape.vocabulary, False)
        nn.init.zeros_(self.out.weight)
        bias = torch.logit(torch.tensor(acceptance, dtype=torch.float64)).float()
        self.bias_V = nn.Parameter(bias.repeat(shape.vocabulary))
        if shape.tied:
            if embeddings_VD is None:
                raise ValueError("a tied head needs the embeddings it is tied to")
            scale = embeddings_VD.float().pow(2).mean().rsqrt() * shape.width**-0.5
            self.register_buffer("scale", scale, persistent=False)
            self.register_buffer(EMBEDDINGS, embeddings_VD.detach(), persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """r (..., V) in float32."""
        features = self.features(hidden)
        if not self.shape.tied:
            return features @ self.out.weight.T + self.bias_V
        table_VD = self.get_buffer(EMBEDDINGS)
        mapped = self._mapped(features).to(table_VD.dtype)
        return (mapped @ table_VD.T).float() + self.bias_V

    def at(self, hidden_ND: Tensor, ids_NK: Tensor) -> Tensor:
        """r (N, K) at the tokens `ids_NK` alone, without going over the vocabulary."""
        features_ND = self.features(hidden_ND)
        if self.shape.tied:
            features_ND, table_VD = self._mapped(features_ND), self.get_buffer(EMBEDDINGS)
        else:
            table_VD = self.out.weight
        rows_NKD = nn.functional.embedding(ids_NK, table_VD).float()
        r_NK = torch.bmm(rows_NKD, features_ND[:, :, None])[:, :, 0]
        return r_NK + self.bias_V[ids_NK]

    def features(self, hidden: Tensor) -> Tensor:
        """The input of the output map, (..., D), float32."""
        features: Tensor = self.blocks(self.norm(hidden.detach().float()))
        return features

    def _mapped(self, features: Tensor) -> Tensor:
        mapped: Tensor = self.out(features) * self.get_buffer("scale")
        return mapped


def new_head(
    settings: HeadSettings, output: OutputLayer, acceptance: float, *, seed: int
) -> AuxiliaryHead:
    """A head that knows nothing but the acceptance rate."""
    vocabulary, width = output.weight_VD.shape
    shape = HeadShape(width, vocabulary, settings.blocks, settings.tied)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = AuxiliaryHead(shape, output.weight_VD, acceptance=acceptance)
    return head.to(output.weight_VD.device)


def save_head(head: AuxiliaryHead, folder: Path, facts: dict[str, Any] | None = None) -> None:
    """Write weights and shape into `folder`; `facts` stand beside the shape."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous().cpu() for name, tensor in head.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    content = {"shape": asdict(head.shape), **(facts or {})}
    (folder / SHAPE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load_head(folder: Path, embeddings_VD: Tensor) -> AuxiliaryHead:
    """The head in `folder`, tied to the LM's output embeddings, in evaluation mode.

    Raises `ModelError` where there is none, or it was made for another model.
    """
    try:
        shape = HeadShape(**json.loads((folder / SHAPE).read_text(encoding="utf-8"))["shape"])
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder}: holds no auxiliary head ({type(error).__name__})",
            remedy="Give a finished run of the methods auxiliary or regularised.",
        ) from None
    vocabulary, width = embeddings_VD.shape
    if (shape.vocabulary, shape.width) != (vocabulary, width):
        raise ModelError(
            f"{folder}: the head was made for a vocabulary of {shape.vocabulary} and a width of "
            f"{shape.width}, the model has {vocabulary} and {width}",
            remedy="Give the model that the head was trained on.",
        )
    with torch.random.fork_rng(devices=[]):  # the initial weights are replaced
        head = AuxiliaryHead(shape, embeddings_VD)
    head.load_state_dict(weights)
    return head.to(embeddings_VD.device).eval()


def head_facts(
    lm: LanguageModel, conditions: Sequence[Settings], acceptance: float
) -> dict[str, Any]:
    """The facts saved with a head: its model, its conditions and its acceptance rate."""
    return {
        "model": lm.id,
        "conditions": [condition.model_dump() for condition in conditions],
        "acceptance": acceptance,
    }


def publish_head(head: AuxiliaryHead, folder: Path, content: dict[str, Any]) -> None:
    """Put the head into `folder` whole or not at all."""
    draft = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    save_head(head, draft, content)
    shutil.rmtree(folder, ignore_errors=True)
    draft.replace(folder)
