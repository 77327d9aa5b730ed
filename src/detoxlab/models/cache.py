"""The cache of the texts so far: prompts are read once, their samples share the cache.

Keys and values are written in place. Other caches (sliding windows, states of convolutions and
recurrent layers) work in their own way; they only need rows that can be selected.
"""

from typing import Any

import torch
from torch import Tensor

from detoxlab.errors import ModelError
from detoxlab.internals.transformers import Cache, DynamicLayer
from detoxlab.models.language_model import LanguageModel


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A dynamic cache layer with room for the tokens to come, so that a step copies nothing.

    transformers' own layer concatenates, which copies the whole cache at every step.
    """

    def __init__(self, prefilled: Any, index_R: Tensor, room: int) -> None:
        super().__init__()
        self.dtype, self.device = prefilled.dtype, prefilled.device
        self.is_initialized = True
        self._keys = _with_room(prefilled.keys, index_R, room)
        self._values = _with_room(prefilled.values, index_R, room)
        self._show(len(index_R), prefilled.keys.shape[-2])

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write the new keys and values after the present ones; returns all of them."""
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        rows = len(key_states)
        if end > self._keys.shape[-2]:
            self._grow(end)
        self._keys[:rows, :, start:end] = key_states
        self._values[:rows, :, start:end] = value_states
        self._show(rows, end)
        return self.keys, self.values

    def _grow(self, length: int) -> None:
        """Make room for at least `length` tokens, and twice the room that there was."""
        more = max(length, 2 * self._keys.shape[-2]) - self._keys.shape[-2]
        self._keys = torch.nn.functional.pad(self._keys, (0, 0, 0, more))
        self._values = torch.nn.functional.pad(self._values, (0, 0, 0, more))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the rows in `indices`, which moves rows from the end into gaps (`compacted`)."""
        moved = (indices != torch.arange(len(indices), device=indices.device)).nonzero()[:, 0]
        self._keys[moved] = self._keys[indices[moved]]
        self._values[moved] = self._values[indices[moved]]
        self._show(len(indices), self.keys.shape[-2])

    def _show(self, rows: int, length: int) -> None:
        self.keys = self._keys[:rows, :, :length]
        self.values = self._values[:rows, :, :length]


class PassingLayer(DynamicLayer):  # type: ignore[misc]
    """A layer that shows the tokens of another one and the newest, and keeps none of these."""

    def __init__(self, kept: Any) -> None:
        super().__init__()
        self.keys, self.values = kept.keys, kept.values
        self.dtype, self.device = kept.dtype, kept.device
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """All keys and values, for this pass alone."""
        return (
            torch.cat([self.keys, key_states], dim=-2),
            torch.cat([self.values, value_states], dim=-2),
        )


def passing(cache: Any) -> Cache | None:
    """A cache that reads what `cache` holds and keeps nothing; None unless keys alone tell all."""
    layers = getattr(cache, "layers", None)
    if not layers or any(type(one) not in (DynamicLayer, RoomyLayer) for one in layers):
        return None
    return Cache(layers=[PassingLayer(one) for one in layers])


def forward_last(
    lm: LanguageModel, inputs: dict[str, Any], cache: Any = None
) -> tuple[Tensor, Any]:
    """Logits after the last token (B, V), float32, and the cache to go on with."""
    outputs = lm.model(**inputs, **lm.last_logits(1), **{lm.cache_name: cache}, use_cache=True)
    return outputs.logits[:, -1].float(), getattr(outputs, lm.cache_name, None)


def whole_inputs(
    lm: LanguageModel, ids_BT: Tensor, positions_BT: Tensor, mask_BT: Tensor | None
) -> dict[str, Any]:
    """The inputs of whole texts; `mask_BT` is 0 at padding, None where there is none."""
    inputs = {"input_ids": ids_BT}
    if lm.takes_positions:
        inputs["position_ids"] = positions_BT
    if mask_BT is not None:
        inputs["attention_mask"] = mask_BT
    return inputs


def step_inputs(
    lm: LanguageModel, tokens_R: Tensor, lengths_R: Tensor, mask_RT: Tensor | None
) -> dict[str, Any]:
    """The inputs for one more token per row, after the `lengths_R` tokens that it has so far.

    `mask_RT` is False at padding and covers these tokens too; None where there is no padding. A
    model whose cache consists of states needs no mask, because the padding is not in it.
    """
    inputs = {"input_ids": tokens_R[:, None]}
    if lm.takes_positions:
        inputs["position_ids"] = lengths_R[:, None]
    if mask_RT is not None and lm.cache_name == "past_key_values":
        inputs["attention_mask"] = mask_RT
    return inputs


def shared_among_samples(cache: Any, index_R: Tensor, room: int) -> Any:
    """Turns the cache of prompts into that of samples: row r continues prompt index_R[r].

    Raises `ModelError` for a cache whose rows cannot be selected.
    """
    if not isinstance(cache, Cache):
        kept = "no cache" if cache is None else f"{type(cache).__name__}, not a cache,"
        raise ModelError(
            f"it gives {kept} back to go on from",
            remedy="Serve it by another program and generate over HTTP.",
        )
    for i, layer in enumerate(cache.layers):
        if type(layer) in (DynamicLayer, RoomyLayer) and layer.is_initialized:
            cache.layers[i] = RoomyLayer(layer, index_R, room)
        else:
            layer.reorder_cache(index_R)
    return cache


def select_rows(cache: Cache, indices: Tensor) -> None:
    """Keep the rows in `indices` (`compacted`) of a cache that `shared_among_samples` made."""
    for layer in cache.layers:
        if isinstance(layer, RoomyLayer):
            layer.batch_select_indices(indices)
        else:
            layer.reorder_cache(indices)


def compacted(active_R: Tensor) -> Tensor:
    """Indices of the active rows, with rows from the end moved into the gaps of finished ones.

    At most as many rows are copied as have finished.

    >>> compacted(torch.tensor([True, False, True, False, True]))
    tensor([0, 4, 2])
    """
    count = int(active_R.sum())
    indices = torch.arange(count, device=active_R.device)
    gaps = (~active_R[:count]).nonzero()[:, 0]
    indices[gaps] = count + active_R[count:].nonzero()[:, 0]
    return indices


def _with_room(states: Tensor, index_R: Tensor, room: int) -> Tensor:
    _, heads, length, width = states.shape
    roomy = states.new_empty((len(index_R), heads, length + room, width))
    roomy[:, :, :length] = states[index_R]
    return roomy
