"""Biases that an architecture has only when its config says so."""

import copy
import itertools
from collections.abc import Iterable, Iterator, Set
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from detoxlab.errors import ModelError
from detoxlab.models.language_model import LanguageModel

SWITCHES = ("attention_bias", "mlp_bias", "bias", "use_bias", "use_qkv_bias")
LLAMA_KIN = ("mistral", "qwen2")
"""Architectures that compute what Llama computes, as long as they have no attention window."""


def give_biases(lm: LanguageModel, layers: Iterable[nn.Module]) -> Any:
    """The config under which transformers builds the model with a bias in each of these layers.

    It is the model's own where all have one. Else the layers get biases of 0 here, as do the
    further layers that the config cannot leave out.

    Raises `ModelError` where no config gives all of them one.
    """
    model = lm.bare
    names = {module: name for name, module in model.named_modules()}
    wanted = {f"{names[layer]}.bias" for layer in layers if layer.bias is None}
    if not wanted:
        return model.config
    present = set(model.state_dict())
    for config in _configs(model.config):
        built = _names(config)
        if built >= present | wanted:
            for name in built - present:
                _add(model.get_submodule(name.removesuffix(".bias")))
            return config
    raise ModelError(
        f"{lm.id}: {model.config.model_type} has no place for the bias {min(wanted)}, in which a "
        "constant shift would have to stand",
        remedy="Use the run itself, with its hooks; or fit a steering that only scales (aura).",
    )


def built(model: Any, config: Any) -> Any:
    """The model of this config with the same parameters, to be saved: it cannot compute."""
    with torch.device("meta"):
        made = AutoModelForCausalLM.from_config(config)
    made.load_state_dict(model.state_dict(), assign=True)
    made.tie_weights()
    made.generation_config = model.generation_config
    return made


# --- inside ---


def _configs(config: Any) -> Iterator[Any]:
    """Configs with more biases, those with the fewest switches first."""
    kinds = [config]
    if config.model_type in LLAMA_KIN and getattr(config, "sliding_window", None) is None:
        kinds.append(_as_llama(config))
    for kind in kinds:
        off = [name for name in SWITCHES if getattr(kind, name, None) is False]
        for count in range(1, len(off) + 1):
            for chosen in itertools.combinations(off, count):
                changed = copy.deepcopy(kind)
                for name in chosen:
                    setattr(changed, name, True)
                yield changed


def _as_llama(config: Any) -> LlamaConfig:
    fields = LlamaConfig().to_dict().keys() - {"model_type", "architectures"}
    return LlamaConfig(**{name: v for name, v in config.to_dict().items() if name in fields})


def _names(config: Any) -> Set[str]:
    with torch.device("meta"):
        return set(AutoModelForCausalLM.from_config(config).state_dict())


def _add(layer: nn.Module) -> None:
    weight = layer.get_parameter("weight")
    layer.bias = nn.Parameter(weight.new_zeros(weight.shape[0]), requires_grad=False)
