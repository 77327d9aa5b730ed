"""Folds a steering of activations into the weights of its model: plain weights, no hooks.

A map that is affine by neuron, z → s z + t, folds exactly into a linear layer y = W x + b:

    of its output:  W ← diag(s) W,  b ← s b + t
    of its input:   b ← b + W t,    W ← W diag(s)

A LayerNorm with a bias takes the map of its own output. Other norms cannot take t, so that the
layers that read them take the map as one of their input. A shift of the residual stream after a
layer is one of the output of the MLP's last matrix, which is added to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from detoxlab.errors import ModelError
from detoxlab.models.language_model import LanguageModel, evaluating
from detoxlab.models.layouts.biases import give_biases
from detoxlab.models.layouts.sites import Site, layers_of, layout_of, part_of, readers_of
from detoxlab.models.likelihood import left_padded
from detoxlab.models.session import Tokens, unsteered
from detoxlab.steering.activations.files import SiteMap, check_foldable
from detoxlab.steering.activations.maps import MAPS
from detoxlab.steering.activations.session import ActivationSteering

TOLERANCE = 1e-4
ROUNDING = 1e-9
PROBE = "The weather was fine, so we went out to look for the lake that they had told us about."


@dataclass(frozen=True)
class Affine:
    """z → s z + t by neuron, float64."""

    scale_D: Tensor
    shift_D: Tensor

    @classmethod
    def of(cls, one: SiteMap, strength: float) -> "Affine":
        """A map that acts on each neuron alone, read off at 0 and at 1."""
        vectors = {name: vector.double() for name, vector in one.vectors.items()}
        zeros_D = torch.zeros_like(next(iter(vectors.values())))
        shift_D = MAPS[one.map](zeros_D, strength, vectors)
        return cls(MAPS[one.map](zeros_D + 1, strength, vectors) - shift_D, shift_D)


class Taker(NamedTuple):
    """A layer that takes up a map of its output, or with `reads` one of its input."""

    layer: nn.Module
    map: Affine
    reads: bool = False

    def take(self) -> None:
        """Change the layer's weight and bias."""
        weight = self.layer.get_parameter("weight").data
        matrix = weight.T if isinstance(self.layer, Conv1D) else weight
        scale, shift = self.map.scale_D, self.map.shift_D
        if (parameter := getattr(self.layer, "bias", None)) is not None:
            bias = parameter.data.double()
            moved = bias + matrix.double() @ shift if self.reads else scale * bias + shift
            parameter.data.copy_(moved)
        of_rows = matrix.ndim == 2 and not self.reads
        matrix.copy_(matrix.double() * (scale[:, None] if of_rows else scale))


class Folded(NamedTuple):
    """The config that the changed model needs, and how many maps went into how many layers."""

    config: Any
    maps: int
    layers: int

    @property
    def summary(self) -> str:
        """The fold in words, for people."""
        return (
            f"sites {self.maps}, layers changed {self.layers}, written as {self.config.model_type}"
        )


def fold(steering: ActivationSteering, lm: LanguageModel) -> Folded:
    """Change the weights of `lm` so that it computes what the steering makes of it.

    Raises `ModelError` with the reason where the fold would not be exact, before anything is
    changed, and where its logits on a text differ from the steered ones by more than 1e-4 of the
    greatest.
    """
    check_foldable(steering.folder)
    placed = steering.on_model(lm)
    if steering.strength == 0:
        return Folded(lm.bare.config, 0, 0)
    takers = [
        taker
        for site in placed.sites
        for taker in _takers(lm, site, Affine.of(placed.maps[site.key], steering.strength))
    ]
    config = give_biases(lm, [one.layer for one in takers if bool(one.map.shift_D.any())])
    steered = probe_logits(lm, steering)
    for taker in takers:
        taker.take()
    check_same(steered, probe_logits(lm), str(steering.folder))
    return Folded(config, len(placed.sites), len({id(one.layer) for one in takers}))


def probe_logits(lm: LanguageModel, steering: ActivationSteering | None = None) -> Tensor:
    """The logits (T, V) after each token of a fixed text."""
    inputs = left_padded(lm, [lm.prompt_ids(PROBE, chat=False)])
    opened = steering.on(lm) if steering else unsteered()
    with evaluating(lm), opened as session:
        session.reading(Tokens.of_texts(inputs, [0]))
        logits_BTV: Tensor = lm.model(**inputs, use_cache=False).logits
    return logits_BTV[0]


def check_same(wanted: Tensor, found: Tensor, place: str) -> None:
    """Raise `ModelError` where logits differ by more than `TOLERANCE` of the greatest."""
    gap = float((wanted.float() - found.float()).abs().max() / wanted.float().abs().max())
    if not gap <= TOLERANCE:
        raise ModelError(
            f"{place}: the folded model's logits differ by {gap:.1g} of the greatest",
            remedy="Use the run itself, with its hooks.",
        )


# --- inside ---


def _takers(lm: LanguageModel, site: Site, one: Affine) -> Sequence[Taker]:
    match site.name:
        case "gate" | "up" | "down":
            return [Taker(site.module, one)]
        case "heads":
            return [Taker(site.module, one, reads=True)]
        case "residual":
            return [_writer(lm, site, one)]
    if isinstance(site.module, nn.LayerNorm) and site.module.bias is not None:
        return [Taker(site.module, one)]
    if readers := readers_of(lm, site):
        return [Taker(reader, one, reads=True) for reader in readers]
    raise _refused(lm, site, "its readers are no linear layers")


def _writer(lm: LanguageModel, site: Site, one: Affine) -> Taker:
    """The MLP's last matrix with the shift of the residual stream after it."""
    layout, layer = layout_of(lm), layers_of(lm)[site.layer]
    down = part_of(layer, layout.down)
    if bool(((one.scale_D - 1).abs() > ROUNDING).any()):
        raise _refused(lm, site, "the stream also holds what earlier layers wrote")
    if down is None or layout.after_mlp:
        raise _refused(lm, site, "no linear layer writes last into the stream")
    multiplier = float(getattr(lm.bare.config, "residual_multiplier", 1.0))
    return Taker(down, Affine(one.scale_D, one.shift_D / multiplier))


def _refused(lm: LanguageModel, site: Site, reason: str) -> ModelError:
    return ModelError(
        f"{lm.id}: the map of {site.key} does not fold exactly: {reason}",
        remedy="Use the run itself, with its hooks; or fit other sites.",
    )
