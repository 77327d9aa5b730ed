"""Methods that turn one model into another: one folder per family, `METHODS` holds them all.

A method is a config of hyperparameters and a function `fit(config, lm, data, run)` that leaves
an adapter, or another product, in the run folder; its file names both in a `MethodSpec`. Other
packages add theirs by the entry point group `detoxlab.methods`, whose objects are `MethodSpec`s.

>>> load_method("sft", {"epochs": 1}).config.epochs
1.0
"""

from collections.abc import Mapping
from typing import Any

from detoxlab.methods.base import Method, MethodConfig, MethodSpec
from detoxlab.registry import found_at, look_up, with_entry_points
from detoxlab.settings import parse

BUILT_IN = {
    "ablation": "detoxlab.methods.activation.config:ABLATION",
    "aura": "detoxlab.methods.activation.config:AURA",
    "auxiliary": "detoxlab.methods.auxiliary.config:METHOD",
    "caa": "detoxlab.methods.activation.config:CAA",
    "dpo": "detoxlab.methods.preference.dpo:METHOD",
    "eigenshift": "detoxlab.methods.edits.eigenshift:METHOD",
    "filter": "detoxlab.methods.imitation.filter:METHOD",
    "grpo": "detoxlab.methods.online.grpo:METHOD",
    "iti": "detoxlab.methods.activation.config:ITI",
    "kto": "detoxlab.methods.preference.kto:METHOD",
    "linear-act": "detoxlab.methods.activation.config:LINEAR_ACT",
    "lineas": "detoxlab.methods.activation.config:LINEAS",
    "mean-act": "detoxlab.methods.activation.config:MEAN_ACT",
    "ppo": "detoxlab.methods.ppo.config:METHOD",
    "profs": "detoxlab.methods.edits.profs:METHOD",
    "regularised": "detoxlab.methods.regularised.config:METHOD",
    "rejection": "detoxlab.methods.imitation.rejection:METHOD",
    "rloo": "detoxlab.methods.online.rloo:METHOD",
    "sft": "detoxlab.methods.imitation.sft:METHOD",
    "sasa": "detoxlab.methods.sasa.config:METHOD",
    "simpo": "detoxlab.methods.preference.simpo:METHOD",
    "task-negation": "detoxlab.methods.edits.task_negation:METHOD",
}
"""The methods of this package, each by the place of its `MethodSpec`, as in an entry point."""

METHODS: dict[str, MethodSpec] = with_entry_points(
    "detoxlab.methods", {name: found_at(place) for name, place in BUILT_IN.items()}
)

__all__ = [
    "METHODS",
    "Method",
    "MethodConfig",
    "MethodSpec",
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

    >>> method_of(load_method("sft").config).name
    'sft'
    """
    name, spec = next(item for item in METHODS.items() if item[1].config is type(config))
    return Method(name, config, spec)
