"""The parts of a model that ALTI-Logit takes apart, found by the table of layouts.

Each run checks that the parts sum to the logits (`detoxlab.explanations.alti`).
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from detoxlab.errors import ModelError
from detoxlab.models.language_model import LanguageModel
from detoxlab.models.layouts.sites import module_at
from detoxlab.models.layouts.table import LAYOUTS, Layout

REMEDY = "Use another method: input-x-gradient and deletion work with every architecture."


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
    bare, config = lm.bare, lm.bare.config
    layout = LAYOUTS.get(config.model_type)
    if layout is None or getattr(config, "alibi", False):
        kind = config.model_type + (" with ALiBi" if layout else "")
        raise ModelError(f"{lm.id}: ALTI-Logit does not know how {kind} is built", remedy=REMEDY)
    return Parts(
        bare=bare,
        layers=tuple(_layer(one, layout) for one in module_at(bare, layout.layers)),
        final_norm=module_at(bare, layout.final_norm),
        head=bare.get_output_embeddings(),
        is_parallel=_is_parallel(config, layout),
        residual_multiplier=float(getattr(config, "residual_multiplier", 1.0)),
        logit_scale=_logit_scale(config),
        logit_cap=getattr(config, "final_logit_softcapping", None),
    )


def _layer(layer: Any, layout: Layout) -> Layer:
    attention = getattr(layer, layout.attention)
    after = module_at(layer, layout.after) if layout.after else None
    return Layer(layer, attention, getattr(attention, layout.output), after)


def _is_parallel(config: Any, layout: Layout) -> bool:
    if isinstance(layout.parallel, bool):
        return layout.parallel
    return bool(getattr(config, layout.parallel) or getattr(config, "new_decoder_architecture", 0))


def _logit_scale(config: Any) -> float:
    """By what the product with the output layer is multiplied."""
    return float(getattr(config, "logit_scale", 1.0)) / float(
        getattr(config, "logits_scaling", 1.0)
    )
