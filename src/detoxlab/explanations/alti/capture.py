"""The parts of one forward pass that ALTI-Logit needs, layer by layer.

A layer's attention weights and values come from its attention function; the residual stream before
and after it, and what attention adds, come from hooks. All of it is handed on when the layer ends,
and then dropped.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from detoxlab.errors import ModelError
from detoxlab.explanations.alti.layouts import REMEDY, Layer, Parts
from detoxlab.internals.transformers import captured_attention, eager_attention, split_values
from detoxlab.models.language_model import LanguageModel


@dataclass
class LayerState:
    """One layer of one forward pass, H heads of width E, G heads of values.

    `before_BTD` and `after_BTD` are the residual stream around the layer, `attended_BTD` the
    output of attention's projection.
    """

    weights_BHTT: Tensor
    values_BGTE: Tensor
    before_BTD: Tensor
    attended_BTD: Tensor
    after_BTD: Tensor


@dataclass
class FinalState:
    """Known after the pass: the states before and after the last norm (B, T, D), and `raw`.

    `raw` are the logits (B, L, V) of the last L tokens before they are scaled or capped.
    """

    around_norm: tuple[Tensor, Tensor] = ()  # type: ignore[assignment]
    raw: Tensor = None  # type: ignore[assignment]


@contextlib.contextmanager
def captured(
    lm: LanguageModel, parts: Parts, use: Callable[[int, LayerState], None]
) -> Iterator[FinalState]:
    """Calls `use(layer, state)` after each layer of the forward pass in the block.

    Raises `ModelError` where a layer's attention cannot be seen.
    """
    found: dict[str, Any] = {}
    final = FinalState()
    with contextlib.ExitStack() as stack:
        for index, layer in enumerate(parts.layers):
            for handle in _hooks(lm, index, layer, found, use):
                stack.callback(handle.remove)
        for handle in _final_hooks(parts, final):
            stack.callback(handle.remove)

        def keep(_module: Any, weights_BHTT: Tensor, values_BGTE: Tensor) -> None:
            found["weights"], found["values"] = weights_BHTT, values_BGTE

        if not stack.enter_context(captured_attention(parts.bare, keep)):
            for handle in _falcon_hooks(lm, parts, keep):
                stack.callback(handle.remove)
            stack.enter_context(eager_attention(parts.bare))
        yield final


def _hooks(
    lm: LanguageModel,
    index: int,
    layer: Layer,
    found: dict[str, Any],
    use: Callable[[int, LayerState], None],
) -> Iterator[Any]:
    def begin(_module: Any, args: Any, kwargs: Any) -> None:
        found.clear()
        found["before"] = args[0] if args else kwargs["hidden_states"]

    def attended(_module: Any, _args: Any, output: Tensor) -> None:
        found["attended"] = output

    def end(_module: Any, _args: Any, output: Any) -> None:
        if "weights" not in found:
            raise ModelError(
                f"{lm.id}: the attention weights of layer {index} cannot be seen", remedy=REMEDY
            )
        after_BTD = output[0] if isinstance(output, tuple) else output
        state = LayerState(
            found["weights"], found["values"], found["before"], found["attended"], after_BTD
        )
        found.clear()
        use(index, state)

    yield layer.whole.register_forward_pre_hook(begin, with_kwargs=True)
    yield layer.output.register_forward_hook(attended)
    yield layer.whole.register_forward_hook(end)


def _final_hooks(parts: Parts, final: FinalState) -> Iterator[Any]:
    def at_norm(_module: Any, args: Any, output: Tensor) -> None:
        final.around_norm = args[0], output

    def at_head(_module: Any, _args: Any, output: Tensor) -> None:
        final.raw = output

    yield parts.final_norm.register_forward_hook(at_norm)
    yield parts.head.register_forward_hook(at_head)


def _falcon_hooks(
    lm: LanguageModel, parts: Parts, keep: Callable[[Any, Tensor, Tensor], None]
) -> Iterator[Any]:
    """Falcon does not look its attention up: its layers give the weights, one projection the rest.

    Raises `ModelError` for other architectures.
    """
    if parts.bare.config.model_type != "falcon":
        raise ModelError(
            f"{lm.id}: its attention function cannot be replaced by one that shows its weights",
            remedy=REMEDY,
        )
    fused: dict[int, Tensor] = {}

    def project(module: nn.Module) -> Callable[[Any, Any, Tensor], None]:
        def hook(_module: Any, _args: Any, output: Tensor) -> None:
            fused[id(module)] = output

        return hook

    def attend(module: Any, _args: Any, output: tuple[Tensor, Tensor]) -> None:
        keep(module, output[1], split_values(module, fused.pop(id(module))).transpose(1, 2))

    for layer in parts.layers:
        projection = layer.attention.get_submodule("query_key_value")
        yield projection.register_forward_hook(project(layer.attention))
        yield layer.attention.register_forward_hook(attend)


def grouped(values_BGTE: Tensor, heads: int) -> Tensor:
    """The values that each of H heads reads (B, H, T, E): head h reads group h // (H / G)."""
    groups = values_BGTE.shape[1]
    return values_BGTE if groups == heads else values_BGTE.repeat_interleave(heads // groups, dim=1)


def at_places(values_BTX: Tensor, places_BS: Tensor) -> Tensor:
    """The rows of (B, T, …) at these places (B, S, …)."""
    rows_B1 = torch.arange(len(places_BS), device=places_BS.device)[:, None]
    return values_BTX[rows_B1, places_BS]
