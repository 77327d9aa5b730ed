"""Trains a model without the noise of training mode, whatever its architecture.

Some methods compare the policy with a reference, or with the policy that drew a response. The
policy must then be the model that is measured: without dropout, layer drop or router jitter. All
of these depend on `module.training`, so every module is in evaluation mode; only the outermost
says that it trains, because the trainers' bookkeeping asks it. Imports transformers.
"""

from typing import Any

import torch
from torch import nn

from detoxlab.internals.transformers import checkpointed, checkpointing_layers


def train_without_noise(model: nn.Module) -> None:
    """Make `model.train()` leave all parts of the model in evaluation mode."""

    def train(mode: bool = True) -> nn.Module:
        nn.Module.train(model, False)
        model.training = mode
        return model

    model.train = train  # type: ignore[method-assign]
    forget_activations(model)


def forget_activations(model: nn.Module) -> None:
    """Let gradient checkpointing work in evaluation mode as well.

    Layers of transformers do it only in training mode, in which some have dropout of their own.
    """
    for layer in checkpointing_layers(model):
        layer.forward = _Checkpointed(layer)


def keep_activations(model: nn.Module) -> None:
    """Undo `forget_activations`."""
    for layer in checkpointing_layers(model):
        if isinstance(vars(layer).get("forward"), _Checkpointed):
            del layer.forward


# --- inside ---


class _Checkpointed:
    """A layer's forward pass, computed again for the gradient where checkpointing is on."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        layer, compute = self.layer, type(self.layer).forward
        if layer.gradient_checkpointing and torch.is_grad_enabled():
            return checkpointed(layer, compute, *inputs, **named)
        return compute(layer, *inputs, **named)
