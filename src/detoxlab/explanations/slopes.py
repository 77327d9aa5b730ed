"""Derivatives of activation functions, computed once for all backward passes over a graph."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from detoxlab.internals.transformers import activation_classes


@contextlib.contextmanager
def slopes_kept(model: nn.Module) -> Iterator[None]:
    """Graphs made in the block hold the derivative of each activation module, not its input.

    An activation function acts on each number alone, so a backward pass multiplies by its
    derivative. Values and gradients stay what they are.
    """
    classes = activation_classes()
    handles = [
        module.register_forward_hook(_keep_slope)
        for module in model.modules()
        if isinstance(module, classes)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# --- inside ---


def _keep_slope(_module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    if not output.requires_grad:
        return output
    (slope,) = torch.autograd.grad(output, inputs[0], torch.ones_like(output))
    known: Tensor = _Known.apply(inputs[0], output.detach(), slope)  # type: ignore[no-untyped-call]
    return known


class _Known(torch.autograd.Function):
    """A function of the first tensor whose values and derivatives are known."""

    @staticmethod
    def forward(ctx: Any, _inputs: Tensor, output: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None, None
