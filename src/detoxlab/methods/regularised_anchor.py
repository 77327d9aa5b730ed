"""What is projected onto the constraint: the policy of a moment ago, the base, or as it is."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

SNAPSHOT = "snapshot.safetensors"


class Snapshot:
    """The adapter's weights at one moment, put in place of the present ones for a while.

    Nothing is copied but at `take`: the two sets change places.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.weights: dict[str, Tensor] = {}
        self.take()

    def take(self) -> None:
        """Remember the weights as they are now."""
        self.weights = {name: p.detach().clone() for name, p in self.parameters.items()}

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """The remembered weights while the block lasts."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def save(self, folder: Path) -> None:
        """Write the remembered weights into `folder`."""
        save_file({n: w.contiguous() for n, w in self.weights.items()}, folder / SNAPSHOT)

    def load(self, folder: Path) -> None:
        """Remember the weights that `save` wrote."""
        loaded = load_file(folder / SNAPSHOT)
        self.weights = {n: loaded[n].to(w.device) for n, w in self.weights.items()}

    def _exchange(self) -> None:
        for name, parameter in self.parameters.items():
            self.weights[name], parameter.data = parameter.data, self.weights[name]


@contextlib.contextmanager
def untouched(model: torch.nn.Module) -> Iterator[None]:
    """No gradient and no dropout within; the model's modes are put back at the end."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def hidden_states(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    """The last hidden states (B, T, D) of a bare model, without its output layer."""
    hidden_BTD: Tensor = model.base_model(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
    ).last_hidden_state
    return hidden_BTD
