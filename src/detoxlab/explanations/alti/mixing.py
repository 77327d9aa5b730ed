"""Of which input tokens the states of each layer are made, as one forward pass goes on."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from detoxlab.explanations.alti.capture import LayerState, at_places, grouped
from detoxlab.explanations.alti.influence import influence
from detoxlab.explanations.alti.layouts import Layer, Parts
from detoxlab.explanations.alti.linear import LinearMap, Norm
from detoxlab.explanations.texts import Batch


@dataclass(frozen=True)
class LayerMaps:
    """How attention's output enters the residual stream: head by head, then by a norm, if any."""

    weight_HED: Tensor
    bias_D: Tensor
    after: Norm | None
    after_bias_D: Tensor


def maps_of(layer: Layer, parts: Parts, like_D: Tensor) -> LayerMaps:
    """The linear maps of one layer; the gain of a norm after attention is part of the weights."""
    config, width = parts.bare.config, len(like_D)
    heads = config.num_attention_heads
    inputs = heads * (getattr(layer.attention, "head_dim", None) or width // heads)
    out = LinearMap.of(layer.output, inputs, like_D)
    after = Norm.of(layer.after, width, like_D) if layer.after else None
    weight_ID, bias_D = out.weight_OI.T, out.bias_O
    if after:
        weight_ID, bias_D = after.linear(weight_ID), after.linear(bias_D)
    after_bias_D = after.bias_D if after else torch.zeros_like(bias_D)
    return LayerMaps(weight_ID.reshape(heads, -1, width), bias_D, after, after_bias_D)


@dataclass(frozen=True)
class KeptLayer:
    """The part of a layer that is kept until the logits are known: the rows of the steps.

    `sources_BTT` are the shares of the input tokens in the states that attention read,
    `mlp_sources_BST` those in the state that the MLP read. `weights_BHST` have the scale of the
    norm after attention, `scale_BS`, in them.
    """

    maps: LayerMaps
    weights_BHST: Tensor
    values_BGTE: Tensor
    scale_BS: Tensor
    sources_BTT: Tensor
    mlp_BSD: Tensor
    mlp_sources_BST: Tensor


class Mixing:
    """The shares of the input tokens in the states of each layer, as one forward pass goes on."""

    def __init__(self, batch: Batch, parts: Parts, maps: Sequence[LayerMaps]) -> None:
        self.batch, self.parts, self.maps = batch, parts, maps
        self.kept: list[KeptLayer] = []
        self.embedded_BSD: Tensor = torch.empty(0)
        self.shares_BTT: Tensor = torch.empty(0)

    def add(self, index: int, state: LayerState) -> None:
        """Goes on by one layer."""
        places_BS, maps = self.batch.places_BS, self.maps[index]
        if index == 0:
            self.embedded_BSD = at_places(state.before_BTD, places_BS)
            self.shares_BTT = _identity_like(state.weights_BHTT[:, 0])
        sources_BTT = self.shares_BTT
        added_BTD, scale_BT = self._added_by_attention(maps, state)
        mlp_BTD = state.after_BTD - state.before_BTD - added_BTD
        weights_BHTT = state.weights_BHTT * scale_BT[:, None, :, None]
        heads = weights_BHTT.shape[1]
        side_by_side = self.parts.is_parallel
        shares_BTT = influence(
            weights_BHTT,
            grouped(state.values_BGTE, heads),
            maps.weight_HED,
            state.before_BTD + mlp_BTD if side_by_side else state.before_BTD,
            state.after_BTD if side_by_side else state.before_BTD + added_BTD,
        )
        self.shares_BTT = torch.bmm(shares_BTT, sources_BTT)
        mlp_sources_BTT = sources_BTT if side_by_side else self.shares_BTT
        self.kept.append(
            KeptLayer(
                maps,
                at_places(weights_BHTT.transpose(1, 2), places_BS).transpose(1, 2),
                state.values_BGTE,
                at_places(scale_BT, places_BS),
                sources_BTT,
                at_places(mlp_BTD, places_BS),
                at_places(mlp_sources_BTT, places_BS),
            )
        )

    def _added_by_attention(self, maps: LayerMaps, state: LayerState) -> tuple[Tensor, Tensor]:
        """Attention's part in the residual stream, and the scale of its linear part (B, T)."""
        times = self.parts.residual_multiplier
        attended_BTD = state.attended_BTD
        if maps.after is None:
            return times * attended_BTD, torch.full_like(attended_BTD[..., 0], times)
        normed_BTD = maps.after.apply(attended_BTD)
        return times * normed_BTD, times / maps.after.scale(attended_BTD, normed_BTD)


def _identity_like(values_BTT: Tensor) -> Tensor:
    size = values_BTT.shape[-1]
    identity_TT = torch.eye(size, dtype=values_BTT.dtype, device=values_BTT.device)
    return identity_TT.expand_as(values_BTT)
