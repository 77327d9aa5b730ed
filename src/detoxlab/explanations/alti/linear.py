"""Layers as linear maps, found by asking them; so adapters and quantised weights are in them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

FAR = 1e4  # so that the epsilon of a norm does not show


@dataclass(frozen=True)
class LinearMap:
    """x → weight x + bias, with `weight_OI` and `bias_O`."""

    weight_OI: Tensor
    bias_O: Tensor

    @classmethod
    def of(cls, module: nn.Module, inputs: int, like: Tensor) -> "LinearMap":
        """The map of a linear module with so many inputs; `like` has the type and device.

        `forward` is called rather than the module, so that no hook sees the questions.
        """
        asked = torch.cat([torch.zeros_like(like[:1]).expand(1, inputs), _unit(inputs, like)])
        answers = module.forward(asked)
        return cls((answers[1:] - answers[0]).T.contiguous(), answers[0])


@dataclass(frozen=True)
class Norm:
    """A layer or RMS norm, linear once its scale is known: y = γ (x − mean x) / s + β.

    `is_centred` says whether the mean is taken off: in layer norm, but not in RMS norm.
    """

    norm: Any
    gain_D: Tensor
    bias_D: Tensor
    is_centred: bool

    @classmethod
    def of(cls, module: nn.Module, width: int, like: Tensor) -> "Norm":
        """The gain as the norm applies it: Gemma's, for instance, is one more than its weight."""
        ones_D = torch.ones(width, dtype=like.dtype, device=like.device)
        bias_D, of_ones_D = module.forward(FAR * torch.stack([0 * ones_D, ones_D]))
        is_centred = bool((of_ones_D - bias_D).abs().max() < 1e-3 * of_ones_D.abs().max() + 1e-6)
        probe_D = _without_mean(width, like) if is_centred else ones_D
        up_D, down_D = module.forward(FAR * torch.stack([probe_D, -probe_D]))
        gain_D = (up_D - down_D) / 2 * probe_D.square().mean().sqrt() / probe_D
        return cls(module, gain_D, bias_D, is_centred)

    def linear(self, x: Tensor) -> Tensor:
        """γ (x − mean x) over the last axis: the norm without bias and without its scale."""
        return self.gain_D * (x - x.mean(dim=-1, keepdim=True) if self.is_centred else x)

    def apply(self, x: Tensor) -> Tensor:
        """The norm itself."""
        normed: Tensor = self.norm.forward(x)
        return normed

    def adjoint(self, u: Tensor) -> Tensor:
        """The u' for which u' · x = u · `linear(x)` for all x."""
        scaled = self.gain_D * u
        return scaled - scaled.mean(dim=-1, keepdim=True) if self.is_centred else scaled

    def scale(self, x: Tensor, y: Tensor) -> Tensor:
        """The s of real inputs and outputs of the norm, over the last axis."""
        linear = self.linear(x)
        return (linear * linear).sum(-1) / (linear * (y - self.bias_D)).sum(-1)


def _without_mean(width: int, like: Tensor) -> Tensor:
    """Numbers with mean 0, none of which is near 0."""
    ramp_D = torch.linspace(-1, 1, width, dtype=like.dtype, device=like.device)
    apart_D = torch.where(ramp_D >= 0, ramp_D + 2, ramp_D - 2)
    return apart_D - apart_D.mean()


def _unit(size: int, like: Tensor) -> Any:
    return torch.eye(size, dtype=like.dtype, device=like.device)
