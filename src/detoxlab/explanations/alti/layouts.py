"""Where each architecture keeps the parts that ALTI-Logit takes apart.

Names deceive: `post_attention_layernorm` is a norm of attention's output in Gemma 2 and the norm
before the MLP in Llama. So every layout is stated here, and each run checks that the parts sum
to the logits (`detoxlab.explanations.alti`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Any

from torch import nn

from detoxlab.errors import ModelError
from detoxlab.models.language_model import LanguageModel

REMEDY = "Use another method: input-x-gradient and deletion work with every architecture."


@dataclass(frozen=True)
class Layout:
    """Names of modules: those of the model, then those inside each layer.

    `after` is a norm of attention's output, where there is one. `parallel` says how attention
    and MLP are placed: always side by side, in sequence (False), or as a field of the config says.
    """

    layers: str = "model.layers"
    final_norm: str = "model.norm"
    attention: str = "self_attn"
    output: str = "o_proj"
    after: str | None = None
    parallel: bool | str = False


LLAMA = Layout()
AFTER = Layout(after="post_attention_layernorm")
GPT2 = Layout("transformer.h", "transformer.ln_f", "attn", "c_proj")

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "cohere": Layout(parallel=True),
        "falcon": Layout(
            "transformer.h", "transformer.ln_f", "self_attention", "dense", parallel="parallel_attn"
        ),
        "gemma": LLAMA,
        "gemma2": AFTER,
        "gemma3_text": AFTER,
        "gpt2": GPT2,
        "gpt_neox": Layout(
            "gpt_neox.layers",
            "gpt_neox.final_layer_norm",
            "attention",
            "dense",
            parallel="use_parallel_residual",
        ),
        "granite": LLAMA,
        "llama": LLAMA,
        "mistral": LLAMA,
        "mixtral": LLAMA,
        "olmo": LLAMA,
        "olmo2": AFTER,
        "olmoe": LLAMA,
        "phi": Layout(final_norm="model.final_layernorm", output="dense", parallel=True),
        "phi3": LLAMA,
        "qwen2": LLAMA,
        "qwen3": LLAMA,
        "qwen3_moe": LLAMA,
        "smollm3": LLAMA,
        "stablelm": Layout(parallel="use_parallel_residual"),
        "starcoder2": LLAMA,
    }
)
"""By the model type of transformers."""


@dataclass(frozen=True)
class Layer:
    """The modules of one layer that are taken apart."""

    whole: nn.Module
    attention: nn.Module
    output: nn.Module
    after: nn.Module | None


@dataclass(frozen=True)
class Parts:
    """The modules of a model, and the numbers of its config that enter the decomposition."""

    bare: Any
    layers: tuple[Layer, ...]
    final_norm: nn.Module
    head: nn.Module
    is_parallel: bool
    residual_multiplier: float
    logit_scale: float
    logit_cap: float | None


def parts_of(lm: LanguageModel) -> Parts:
    """The parts of a model.

    Raises `ModelError` for an architecture that is not in `LAYOUTS`, and for Falcon with ALiBi,
    whose eager attention in transformers adds the bias twice.
    """
    bare = lm.model.get_base_model() if lm.has_adapter else lm.model
    config = bare.config
    layout = LAYOUTS.get(config.model_type)
    if layout is None or getattr(config, "alibi", False):
        kind = config.model_type + (" with ALiBi" if layout else "")
        raise ModelError(f"{lm.id}: ALTI-Logit does not know how {kind} is built", remedy=REMEDY)
    return Parts(
        bare=bare,
        layers=tuple(_layer(one, layout) for one in _at(bare, layout.layers)),
        final_norm=_at(bare, layout.final_norm),
        head=bare.get_output_embeddings(),
        is_parallel=_is_parallel(config, layout),
        residual_multiplier=float(getattr(config, "residual_multiplier", 1.0)),
        logit_scale=_logit_scale(config),
        logit_cap=getattr(config, "final_logit_softcapping", None),
    )


def _layer(layer: Any, layout: Layout) -> Layer:
    attention = getattr(layer, layout.attention)
    after = getattr(layer, layout.after) if layout.after else None
    return Layer(layer, attention, getattr(attention, layout.output), after)


def _at(module: Any, path: str) -> Any:
    return reduce(getattr, path.split("."), module)


def _is_parallel(config: Any, layout: Layout) -> bool:
    if isinstance(layout.parallel, bool):
        return layout.parallel
    return bool(getattr(config, layout.parallel) or getattr(config, "new_decoder_architecture", 0))


def _logit_scale(config: Any) -> float:
    """By what the product with the output layer is multiplied."""
    return float(getattr(config, "logit_scale", 1.0)) / float(
        getattr(config, "logits_scaling", 1.0)
    )
