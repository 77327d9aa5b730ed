"""What turns one model into another. One folder per family; `METHODS` holds all methods.

A method is a config of hyperparameters and a function `fit(config, lm, data, run)` that leaves
an adapter, or what else it makes, in the run folder. Other packages add theirs by the entry point
group `detoxlab.methods`, whose objects are `MethodSpec`s.

>>> load_method("sft", {"epochs": 1}).config.epochs
1.0
"""

from collections.abc import Mapping
from typing import Any

from detoxlab.methods.auxiliary.config import AuxiliaryConfig
from detoxlab.methods.base import (
    DialogueSplit,
    Method,
    MethodConfig,
    MethodSpec,
    PairSplit,
    Split,
    TextSplit,
)
from detoxlab.methods.imitation.filter import FilterConfig
from detoxlab.methods.imitation.rejection import RejectionConfig
from detoxlab.methods.imitation.sft import SFTConfig
from detoxlab.methods.online.grpo import GRPOConfig
from detoxlab.methods.online.rloo import RLOOConfig
from detoxlab.methods.ppo.config import PPOConfig
from detoxlab.methods.preference.dpo import DPOConfig
from detoxlab.methods.preference.kto import KTOConfig
from detoxlab.methods.regularised.config import RegularisedConfig
from detoxlab.registry import look_up, with_entry_points
from detoxlab.settings import parse

HERE = "detoxlab.methods"

METHODS: dict[str, MethodSpec] = with_entry_points(
    "detoxlab.methods",
    {
        "auxiliary": MethodSpec(
            AuxiliaryConfig, f"{HERE}.auxiliary.train:fit_auxiliary", ("prompts",), makes="head"
        ),
        "dpo": MethodSpec(DPOConfig, f"{HERE}.preference.train:fit_dpo", ("prompts", "pairs")),
        "filter": MethodSpec(
            FilterConfig, f"{HERE}.imitation.filter_train:fit_filtered", ("dialogues", "texts")
        ),
        "grpo": MethodSpec(GRPOConfig, f"{HERE}.online.train:fit_grpo", ("prompts",)),
        "kto": MethodSpec(KTOConfig, f"{HERE}.preference.train:fit_kto", ("prompts", "pairs")),
        "ppo": MethodSpec(PPOConfig, f"{HERE}.ppo.train:fit_adapter", ("prompts",)),
        "regularised": MethodSpec(
            RegularisedConfig, f"{HERE}.regularised.train:fit_regularised", ("texts", "dialogues")
        ),
        "rejection": MethodSpec(
            RejectionConfig, f"{HERE}.imitation.rejection_train:fit_accepted", ("prompts",)
        ),
        "rloo": MethodSpec(RLOOConfig, f"{HERE}.online.train:fit_rloo", ("prompts",)),
        "sft": MethodSpec(
            SFTConfig, f"{HERE}.imitation.sft_train:fit_adapter", ("dialogues", "texts")
        ),
    },
)

__all__ = [
    "METHODS",
    "AuxiliaryConfig",
    "DPOConfig",
    "DialogueSplit",
    "FilterConfig",
    "GRPOConfig",
    "KTOConfig",
    "Method",
    "MethodConfig",
    "MethodSpec",
    "PPOConfig",
    "PairSplit",
    "RLOOConfig",
    "RegularisedConfig",
    "RejectionConfig",
    "SFTConfig",
    "Split",
    "TextSplit",
    "load_method",
    "method_of",
]


def load_method(name: str, settings: Mapping[str, Any] | None = None) -> Method:
    """The method called `name` with these hyperparameters; its defaults for all others.

    Raises `UnknownNameError` for an unknown name and `ConfigError` for a hyperparameter that
    is unknown or out of range.
    """
    spec = look_up("method", name, METHODS)
    return Method(name, parse(spec.config, settings or {}, place=name), spec)


def method_of(config: MethodConfig) -> Method:
    """The built-in or registered method that has this class of config.

    >>> method_of(SFTConfig(epochs=1)).name
    'sft'
    """
    name, spec = next(item for item in METHODS.items() if item[1].config is type(config))
    return Method(name, config, spec)
