"""The parts of transformers that we use beyond its documented interface. Imports torch.

Parts that take long to import are imported when they are used.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from detoxlab.internals.versions import check_version

check_version("transformers")

from transformers.cache_utils import (  # noqa: E402 (after the check)
    Cache,
    DynamicLayer,
    LinearAttentionCacheLayerMixin,
)

__all__ = ["Cache", "DynamicLayer", "holds_keys_alone"]
# DynamicLayer: one layer of a cache, made by models that give none of their own. `keys` and
# `values` are (B, heads, T, width), `is_initialized` says that they are there, `dtype` and
# `device` are theirs. `update(keys, values, ...)` appends along T and returns all of them;
# `reorder_cache(indices)` selects rows; `keys` determine everything else that a model asks.
# LinearAttentionCacheLayerMixin: a layer with states, which a model may reset when it goes on with
# several tokens at once (Jamba does).


def holds_keys_alone(cache: Any) -> bool:
    """Whether a cache consists of keys and values in each layer, without states."""
    return isinstance(cache, Cache) and all(
        isinstance(layer, DynamicLayer) and not isinstance(layer, LinearAttentionCacheLayerMixin)
        for layer in cache.layers
    )


def activation_classes() -> tuple[type, ...]:
    """The classes of the activation modules of transformers' models; all act elementwise."""
    from transformers.activations import ACT2CLS

    named = (one[0] if isinstance(one, tuple) else one for one in ACT2CLS.values())
    return tuple(dict.fromkeys(named))


class CheckpointHooks:
    """Mixed in before a trainer of transformers: hooks into its writing of checkpoints.

    `_save_checkpoint(model, trial)` writes weights, by `_save(folder, state_dict)`, and the
    states of optimizer, schedule, generators and trainer. Nothing else calls `_save` with a
    folder, and `_save_checkpoint` is called only when a checkpoint is due. Every process calls
    both; `args.should_save` says which one writes.
    """

    args: Any

    def write_weights(self, folder: str, state_dict: Any = None) -> None:
        """Write the trained weights into the folder of a checkpoint."""
        raise NotImplementedError

    @contextlib.contextmanager
    def writing_checkpoint(self) -> Iterator[None]:
        """A context around the writing of a whole checkpoint."""
        yield

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save:
            self.write_weights(output_dir or self.args.output_dir, state_dict)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with self.writing_checkpoint():
            super()._save_checkpoint(model, trial)  # type: ignore[misc]


class OwnOrder:
    """Mixed in before a trainer of transformers, which asks `_get_train_sampler` for its order.

    The data loader calls `set_epoch` of a sampler before each pass.
    """

    order: Any = None

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        return self.order or super()._get_train_sampler(*args, **kwargs)  # type: ignore[misc]


def use_one_gpu(arguments: Any) -> Any:
    """The arguments, changed to use one of several visible GPUs rather than DataParallel.

    `n_gpu` has no setter: it reads `_n_gpu`.
    """
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def checkpointing_layers(model: Any) -> list[Any]:
    """The layers whose activations gradient checkpointing drops and computes again."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [one for one in model.modules() if isinstance(one, GradientCheckpointingLayer)]


def checkpointed(layer: Any, compute: Any, *inputs: Any, **named: Any) -> Any:
    """`compute(layer, …)` with its activations dropped, as the layer does it in training mode.

    The layer has `_gradient_checkpointing_func(function, *inputs)` while its
    `gradient_checkpointing` is on; its own forward pass uses it only in training mode.
    """
    return layer._gradient_checkpointing_func(partial(compute, layer, **named), *inputs)


def compiled_template(jinja: str) -> Any:
    """A chat template as transformers compiles it; `render(messages=…, …)` gives the text.

    The public `apply_chat_template` always gives the template today's date.
    """
    from transformers.utils.chat_template_utils import _compile_jinja_template

    return _compile_jinja_template(jinja)


def causal_architectures() -> Mapping[str, str]:
    """The name of the class of causal language models, by model type."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    names: Mapping[str, str] = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return names


def layers_kept_whole(model: Any) -> list[str]:
    """The layers that transformers does not quantise, the head among them."""
    from transformers.quantizers.base import get_keys_to_not_convert

    return list(get_keys_to_not_convert(model))


def dequantised(layer: Any) -> Any:
    """The values of an 8- or 4-bit layer's weight, (out, in)."""
    from transformers.integrations.bitsandbytes import dequantize_bnb_weight

    return dequantize_bnb_weight(layer.weight, getattr(layer, "state", None))


def gguf_splits() -> Mapping[str, str]:
    """The pattern by which transformers splits texts, by a tokenizer's name in GGUF.

    It splits as GPT-2 does for all others.
    """
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    splits: Mapping[str, str] = GGUF_PRE_TOKENIZER_SPLITS
    return splits


@contextlib.contextmanager
def errors_alone() -> Iterator[None]:
    """Only errors of transformers reach the terminal; its level is put back."""
    from transformers import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


@contextlib.contextmanager
def without_gguf_bars() -> Iterator[None]:
    """Switches off the progress bar of GGUF weights, which no public option does."""
    from transformers import modeling_gguf_pytorch_utils as reader

    bar, reader.tqdm = reader.tqdm, lambda weights, **_kwargs: weights
    try:
        yield
    finally:
        reader.tqdm = bar


@contextlib.contextmanager
def captured_attention(model: Any, keep: Callable[[Any, Any, Any], None]) -> Iterator[bool]:
    """Calls `keep(module, weights_BHTT, values_BHTD)` in each layer of attention of the block.

    The weights are those of the model's own eager attention, after softmax, which stands in the
    module's file under the name `eager_attention_forward`. Yields False, and calls nothing, where
    the architecture does not look its attention up in transformers' interface.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    def capturing(module: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        eager = sys.modules[type(module).__module__].eager_attention_forward
        outputs = eager(module, query, key, value, *args, **kwargs)
        keep(module, outputs[1], value)
        return outputs

    AttentionInterface.register(CAPTURING, capturing)
    AttentionMaskInterface.register(CAPTURING, eager_mask)
    with _attention(model, CAPTURING) as is_set:
        yield is_set


CAPTURING = "detoxlab_capturing"


def split_values(attention: Any, fused: Any) -> Any:
    """The values (B, T, heads, width) in the output of Falcon's fused projection (B, T, width)."""
    *_, values_BTGE = attention._split_heads(fused)
    return values_BTGE


@contextlib.contextmanager
def eager_attention(model: Any) -> Iterator[None]:
    """Eager attention in the block, also in architectures that fix it when they are made.

    They read `config._attn_implementation_internal` in each forward pass.
    """
    config = model.config
    before, config._attn_implementation_internal = config._attn_implementation_internal, "eager"
    try:
        yield
    finally:
        config._attn_implementation_internal = before


@contextlib.contextmanager
def _attention(model: Any, name: str) -> Iterator[bool]:
    before = model.config._attn_implementation
    if not model._can_set_attn_implementation():
        yield False
        return
    model.set_attn_implementation(name)
    try:
        yield True
    finally:
        model.set_attn_implementation(before)
