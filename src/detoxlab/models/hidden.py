"""A language model's last hidden states, and the map from them to its logits."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from detoxlab.errors import ModelError
from detoxlab.models.language_model import LanguageModel, evaluating

_unwatched: ContextVar[bool] = ContextVar("_unwatched", default=False)


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """Forward passes in the block are nobody's who watches: those of a session's own."""
    token = _unwatched.set(True)
    try:
        yield
    finally:
        _unwatched.reset(token)


@dataclass
class Watched:
    """`hidden_BTD` are the hidden states of the newest forward pass, with their gradient.

    `cache` is the one that the pass gave back; None where it kept nothing.
    """

    hidden_BTD: Tensor | None = None
    cache: Any = None

    def take(self) -> Tensor:
        """The newest hidden states, (B, T, D), which are then dropped."""
        hidden_BTD, self.hidden_BTD = self.hidden_BTD, None
        if hidden_BTD is None:
            raise ModelError("no forward pass was made while its hidden states were watched")
        return hidden_BTD


@contextlib.contextmanager
def watching_hidden_states(lm: LanguageModel) -> Iterator[Watched]:
    """Keeps the last hidden states of each forward pass in the block.

    The hook is on the decoder itself, because some models call it past the module around it.
    """
    watched = Watched()

    def keep(_module: Any, _inputs: Any, outputs: Any) -> None:
        if not _unwatched.get():
            watched.hidden_BTD = outputs[0]
            watched.cache = getattr(outputs, lm.cache_name, None)

    handle = lm.bare.get_decoder().register_forward_hook(keep)
    try:
        yield watched
    finally:
        handle.remove()


@dataclass(frozen=True)
class OutputLayer:
    """Turns hidden states into logits: `weight_VD`, and `bias_V` where the model has one."""

    weight_VD: Tensor
    bias_V: Tensor | None = None

    def __call__(self, hidden: Tensor) -> Tensor:
        """Logits (..., V), float32."""
        return torch.nn.functional.linear(hidden, self.weight_VD, self.bias_V).float()

    def at(self, hidden_ND: Tensor, ids_NK: Tensor) -> Tensor:
        """Logits (N, K) of the tokens `ids_NK` alone, float32."""
        rows_NKD = torch.nn.functional.embedding(ids_NK, self.weight_VD)
        logits_NK = torch.bmm(rows_NKD, hidden_ND[:, :, None].to(rows_NKD.dtype))[:, :, 0].float()
        return logits_NK if self.bias_V is None else logits_NK + self.bias_V[ids_NK].float()


def output_layer(lm: LanguageModel) -> OutputLayer:
    """The model's output layer.

    Raises `ModelError` when its logits are not a linear map of its last hidden states, as in
    models that cap or scale them afterwards.
    """
    layer = lm.bare.get_output_embeddings()
    output = OutputLayer(layer.weight.detach(), getattr(layer, "bias", None))
    ids = torch.tensor([lm.prompt_ids("Hello", chat=False)], device=lm.device)
    with evaluating(lm), watching_hidden_states(lm) as watched:
        logits_TV = lm.model(input_ids=ids, use_cache=False).logits[0].float()
        made_TV = output(watched.take()[0])
    near = 1e-3 if output.weight_VD.dtype is torch.float32 else 1e-2
    if not torch.allclose(logits_TV, made_TV, rtol=near, atol=near):
        raise ModelError(
            f"{lm.id}: its logits are capped or scaled after its output layer, "
            "which an auxiliary model cannot follow",
            remedy="Use another method, or a model without it.",
        )
    return output
