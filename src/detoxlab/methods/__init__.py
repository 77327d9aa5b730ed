"""What turns one model into another. One file per method; `METHODS` holds them all.

A method is a config of hyperparameters and a `fit(lm, data, run)` that leaves an adapter in
the run folder. Other packages add theirs by the entry point group `detoxlab.methods`, whose
objects are `MethodSpec`s.

>>> load_method("sft", {"epochs": 1}).config.epochs
1.0
"""

from collections.abc import Mapping
from typing import Any

from detoxlab.methods.auxiliary import Auxiliary, AuxiliaryConfig
from detoxlab.methods.base import (
    DialogueSplit,
    Method,
    MethodConfig,
    MethodSpec,
    PairSplit,
    TextSplit,
)
from detoxlab.methods.dpo import DPO, DPOConfig
from detoxlab.methods.filtering import Filter, FilterConfig
from detoxlab.methods.grpo import GRPO, GRPOConfig
from detoxlab.methods.kto import KTO, KTOConfig
from detoxlab.methods.ppo import PPO, PPOConfig
from detoxlab.methods.regularised import Regularised, RegularisedConfig
from detoxlab.methods.rejection import Rejection, RejectionConfig
from detoxlab.methods.rloo import RLOO, RLOOConfig
from detoxlab.methods.sft import SFT, SFTConfig
from detoxlab.registry import look_up, with_entry_points
from detoxlab.settings import parse

METHODS: dict[str, MethodSpec] = with_entry_points(
    "detoxlab.methods",
    {
        "auxiliary": MethodSpec(AuxiliaryConfig, Auxiliary, ("prompts",)),
        "dpo": MethodSpec(DPOConfig, DPO, ("prompts", "pairs")),
        "filter": MethodSpec(FilterConfig, Filter, ("dialogues", "texts")),
        "grpo": MethodSpec(GRPOConfig, GRPO, ("prompts",)),
        "kto": MethodSpec(KTOConfig, KTO, ("prompts", "pairs")),
        "ppo": MethodSpec(PPOConfig, PPO, ("prompts",)),
        "regularised": MethodSpec(RegularisedConfig, Regularised, ("texts", "dialogues")),
        "rejection": MethodSpec(RejectionConfig, Rejection, ("prompts",)),
        "rloo": MethodSpec(RLOOConfig, RLOO, ("prompts",)),
        "sft": MethodSpec(SFTConfig, SFT, ("dialogues", "texts")),
    },
)

__all__ = [
    "DPO",
    "GRPO",
    "KTO",
    "METHODS",
    "PPO",
    "RLOO",
    "SFT",
    "Auxiliary",
    "AuxiliaryConfig",
    "DPOConfig",
    "DialogueSplit",
    "Filter",
    "FilterConfig",
    "GRPOConfig",
    "KTOConfig",
    "Method",
    "MethodConfig",
    "MethodSpec",
    "PPOConfig",
    "PairSplit",
    "RLOOConfig",
    "Regularised",
    "RegularisedConfig",
    "Rejection",
    "RejectionConfig",
    "SFTConfig",
    "TextSplit",
    "load_method",
]


def load_method(name: str, settings: Mapping[str, Any] | None = None) -> Method:
    """The method called `name` with these hyperparameters; its defaults for all others.

    Raises `UnknownNameError` for an unknown name and `ConfigError` for a hyperparameter that
    is unknown or out of range.
    """
    spec = look_up("method", name, METHODS)
    return spec.make(parse(spec.config, settings or {}, place=name))
