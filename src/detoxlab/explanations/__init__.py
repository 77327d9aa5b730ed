"""Attributions of a response's tokens to the tokens before them.

    exchanges = [Exchange(prompt_ids, response_ids)]
    (found,) = attribute(subject, exchanges, method="alti-logit", target=load_target("logit"))
    found.values_ST                     # steps × tokens

methods      the methods by name, and `attribute`
targets      what is attributed: logit, log-probability, contrast, divergence from another model
tokens       prompt, template, first token or response; words
alti         ALTI-Logit
gradients    saliency, input × gradient, integrated gradients
deletion     leave-one-out
shares       how scores divide between prompt, template and response
reliance     how much predictions change without the prompt
measured     responses of measured runs: rows, measurements, differences, the check of a method

All of it works on token ids; no text is tokenised again. Names are imported, with torch, when they
are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detoxlab.explanations.methods import METHODS, attribute, load_attribution
    from detoxlab.explanations.results import Attributed
    from detoxlab.explanations.targets import (
        TARGETS,
        Target,
        divergence_from,
        load_target,
        rather_than,
    )
    from detoxlab.explanations.texts import Exchange

_HOMES = {
    "methods": ("METHODS", "attribute", "load_attribution"),
    "results": ("Attributed",),
    "targets": ("TARGETS", "Target", "divergence_from", "load_target", "rather_than"),
    "texts": ("Exchange",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "METHODS",
    "TARGETS",
    "Attributed",
    "Exchange",
    "Target",
    "attribute",
    "divergence_from",
    "load_attribution",
    "load_target",
    "rather_than",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
