"""Edits: changes of a model's weights, added when it is loaded, that can be undone exactly."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from detoxlab.errors import ModelError
from detoxlab.models.swapping import swap, swapped


class Edit:
    """A change of some parameters. It keeps the values not in use, so that nothing is rounded."""

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], edited: Mapping[str, Tensor]
    ) -> None:
        self._parameters, self._others = dict(parameters), dict(edited)
        swap(self._parameters, self._others)

    def undone(self) -> AbstractContextManager[None]:
        """The original values, bit for bit, while the block lasts."""
        return swapped(self._parameters, self._others)


def apply_edit(model: Any, file: Path) -> Edit:
    """Add the tensors of a safetensors file to the parameters of these names.

    They are added in float32. An output matrix that is tied to the embeddings is untied first.

    Raises `ModelError` for a file that cannot be read, and for a tensor without a parameter of
    its name and shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        deltas = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{file}: cannot be read ({type(error).__name__})",
            remedy="Make the edit again.",
        ) from error
    parameters = {name: _parameter(model, name, delta, file) for name, delta in deltas.items()}
    edited = {name: _sum(parameters[name].data, delta) for name, delta in deltas.items()}
    return Edit(parameters, edited)


# --- inside ---


def _sum(weight: Tensor, delta: Tensor) -> Tensor:
    return (weight.float() + delta.to(weight.device).float()).to(weight.dtype)


def _parameter(model: Any, name: str, delta: Tensor, file: Path) -> nn.Parameter:
    try:
        _untie(model, name.rpartition(".")[0])
        found: nn.Parameter = model.get_parameter(name)
    except AttributeError:
        raise _misfit(file, name, "the model has no such weight") from None
    if not found.is_floating_point() or type(found) is not nn.Parameter:
        raise _misfit(file, name, "the weight is quantised")
    if found.shape != delta.shape:
        shapes = f"its shape is {tuple(delta.shape)}, the weight's {tuple(found.shape)}"
        raise _misfit(file, name, shapes)
    return found


def _untie(model: Any, layer: str) -> None:
    """Give the output layer its own weight where it shares that of the embeddings."""
    output, inner = model.get_output_embeddings(), model.get_input_embeddings()
    if model.get_submodule(layer) is output and output.weight is inner.weight:
        output.weight = nn.Parameter(inner.weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = False


def _misfit(file: Path, name: str, reason: str) -> ModelError:
    return ModelError(
        f"{file}: the edit of {name} does not fit ({reason})",
        remedy="Give the base model that it was made for, in full precision.",
    )
