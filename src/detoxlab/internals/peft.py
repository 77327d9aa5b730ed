"""The parts of PEFT that we use beyond its documented interface. Imports peft (seconds)."""

from typing import Any

from detoxlab.internals.versions import check_version

check_version("peft")

from peft import LoraConfig  # noqa: E402 (an unchecked version may lack what follows)
from peft.tuners.lora import LoraLayer  # noqa: E402
from peft.tuners.tuners_utils import BaseTunerLayer  # noqa: E402
from peft.utils.transformers_weight_conversion import (  # noqa: E402
    convert_peft_config_for_transformers,
)

__all__ = ["BaseTunerLayer", "all_linear", "scale_lora"]
# BaseTunerLayer: the class of all layers that wrap one of the model's to adapt it;
# `get_base_layer()` gives the wrapped one.


def all_linear(model: Any) -> LoraConfig:
    """PEFT's settings of a LoRA adapter on "all-linear", as PEFT completes them for `model`.

    For a mixture of experts whose experts are parameters of one module, PEFT writes these into
    `target_parameters` in place, and the remaining layers' names into `target_modules`.
    """
    config = LoraConfig(target_modules="all-linear")
    convert_peft_config_for_transformers(config, model, None)
    return config


def scale_lora(model: Any, factor: float) -> None:
    """Multiply the change of every LoRA layer of `model` by `factor`."""
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.scale_layer(factor)
