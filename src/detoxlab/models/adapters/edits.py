"""Edits: changes of a model's weights, added when it is loaded, that can be undone exactly.

An edit is a safetensors file of tensors by name of the parameter. NAME is a tensor of the shape of
that parameter; NAME.left (rows, r) and NAME.right (r, columns) are the factors of one of rank r.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from detoxlab.errors import ModelError
from detoxlab.models.swapping import swap, swapped

LEFT, RIGHT = ".left", ".right"


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


def apply_edit(model: Any, file: Path, strength: float = 1.0) -> Edit:
    """Add the tensors of a safetensors file, times `strength`, to the parameters they name.

    They are added in float32. An output matrix that is tied to the embeddings is untied first.

    Raises `ModelError` for a file that cannot be read, and for a tensor without a parameter of
    its name and shape.
    """
    deltas = read_deltas(file)
    parameters = {name: _parameter(model, name, delta, file) for name, delta in deltas.items()}
    edited = {name: _sum(parameters[name].data, strength * deltas[name]) for name in deltas}
    return Edit(parameters, edited)


def read_deltas(file: Path) -> dict[str, Tensor]:
    """The change of each parameter, by its name, float32; factors are multiplied.

    Raises `ModelError` for a file that cannot be read, and for factors that do not fit together.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = {name: tensor.float() for name, tensor in load_file(file).items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{file}: cannot be read ({type(error).__name__})",
            remedy="Make the edit again.",
        ) from error
    whole = {name: one for name, one in tensors.items() if not name.endswith((LEFT, RIGHT))}
    names = {name.removesuffix(LEFT).removesuffix(RIGHT) for name in tensors} - set(whole)
    return whole | {name: _product(tensors, name, file) for name in sorted(names)}


# --- inside ---


def _product(tensors: Mapping[str, Tensor], name: str, file: Path) -> Tensor:
    left, right = tensors.get(name + LEFT), tensors.get(name + RIGHT)
    if left is None or right is None:
        missing = name + (LEFT if left is None else RIGHT)
        raise _misfit(file, name, f"its factor {missing} is missing")
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
        shapes = f"its factors are of shapes {tuple(left.shape)} and {tuple(right.shape)}"
        raise _misfit(file, name, shapes)
    return left @ right


def _sum(weight: Tensor, delta: Tensor) -> Tensor:
    return (weight.float() + delta.to(weight.device)).to(weight.dtype)


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
