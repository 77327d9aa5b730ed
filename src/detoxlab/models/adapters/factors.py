"""LoRA factors kept beside a model, which are added to its layers' outputs for a while.

The model itself stays as it is: several adapters share one base in memory, and the base's own
passes are not touched.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from detoxlab.errors import ModelError
from detoxlab.models.adapters.kinds import check_kind
from detoxlab.models.adapters.load import Adapter, check_base
from detoxlab.models.adapters.rows import WEIGHTS
from detoxlab.models.language_model import LanguageModel

PREFIX, DOWN, UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True)
class Factor:
    """The change of one layer: its output gets `scaling` · B A x, of rank r."""

    a_RI: Tensor
    b_OR: Tensor
    scaling: float

    def change(self, inputs: Tensor) -> Tensor:
        """The term to add, (..., O), in the type of the factors."""
        reduced = nn.functional.linear(inputs.to(self.a_RI.dtype), self.a_RI)
        return nn.functional.linear(reduced, self.b_OR) * self.scaling


@dataclass(frozen=True)
class Factors:
    """The changes of a model's layers, by the name of the layer."""

    layers: Mapping[str, Factor]

    @contextlib.contextmanager
    def added(self, lm: LanguageModel) -> Iterator[None]:
        """The base of `lm` with this adapter, and no other, while the block lasts."""
        with lm.as_base(), contextlib.ExitStack() as stack:
            for name, factor in self.layers.items():
                hook = partial(_add, factor)
                stack.enter_context(lm.bare.get_submodule(name).register_forward_hook(hook))
            yield


def read_factors(lm: LanguageModel, adapter: Adapter) -> Factors:
    """The factors of a LoRA adapter, on the device of `lm`.

    Raises `ModelError` for an adapter of another base, of another kind, or one that changes more
    than the outputs of linear layers (embeddings, biases, DoRA's magnitudes).
    """
    from safetensors.torch import load_file

    check_base(lm.base_id, adapter.folder, adapter.base_id)
    _check_plain(adapter)
    weights = load_file(adapter.folder / WEIGHTS, device=str(lm.device))
    names = {key.removeprefix(PREFIX).removesuffix(DOWN) for key in weights if key.endswith(DOWN)}
    if len(weights) != 2 * len(names) or not names:
        raise _unusable(adapter, "it has other weights than the factors of linear layers")
    return Factors({name: _factor(lm, adapter, weights, name) for name in sorted(names)})


# --- inside ---


def _add(factor: Factor, _layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output + factor.change(inputs[0]).to(output.dtype)


def _factor(
    lm: LanguageModel, adapter: Adapter, weights: Mapping[str, Tensor], name: str
) -> Factor:
    try:
        lm.bare.get_submodule(name)
        a_RI, b_OR = weights[f"{PREFIX}{name}{DOWN}"], weights[f"{PREFIX}{name}{UP}"]
    except (AttributeError, KeyError):
        raise _unusable(adapter, f"{name} is not a layer of {lm.base_id}") from None
    rank = len(a_RI)
    root = math.sqrt(rank) if adapter.config.get("use_rslora") else rank
    return Factor(a_RI, b_OR, adapter.config["lora_alpha"] / root)


def _check_plain(adapter: Adapter) -> None:
    if adapter.is_edit:
        raise _unusable(adapter, "it is an edit of weights")
    check_kind(adapter.folder, adapter.config)
    if adapter.config["peft_type"] != "LORA":
        raise _unusable(adapter, f"it is of the kind {adapter.config['peft_type']}")
    if adapter.config.get("alpha_pattern"):
        raise _unusable(adapter, "its alpha differs between layers")


def _unusable(adapter: Adapter, reason: str) -> ModelError:
    return ModelError(
        f"{adapter.folder}: cannot stand beside its base in memory ({reason})",
        remedy="Give a plain LoRA adapter, such as a run of `train sft`.",
    )
