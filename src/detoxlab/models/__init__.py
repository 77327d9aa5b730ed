"""Causal language models with their tokenizers: loading, chat templates, log-probabilities.

Nothing else in detoxlab calls `from_pretrained` on a language model. The names exported here import
torch when they are first used; `sources` and `adapters` find a model's files without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detoxlab.models.continuations import ContinuationScore, continuation_scores
    from detoxlab.models.language_model import LanguageModel, evaluating
    from detoxlab.models.likelihood import (
        log_probs_that_fit,
        next_token_log_probs,
        token_log_probs,
    )
    from detoxlab.models.load import load_model
    from detoxlab.models.prefix import shared_next_token_log_probs
    from detoxlab.models.quantisation import Quantisation
    from detoxlab.models.session import Session, Tokens
    from detoxlab.models.tokens.templates import FALLBACK_TEMPLATE, ChatTemplate, Rendering

_HOMES = {
    "continuations": ("ContinuationScore", "continuation_scores"),
    "language_model": ("LanguageModel", "evaluating"),
    "likelihood": ("log_probs_that_fit", "next_token_log_probs", "token_log_probs"),
    "load": ("load_model",),
    "prefix": ("shared_next_token_log_probs",),
    "quantisation": ("Quantisation",),
    "session": ("Session", "Tokens"),
    "tokens.templates": ("FALLBACK_TEMPLATE", "ChatTemplate", "Rendering"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "FALLBACK_TEMPLATE",
    "ChatTemplate",
    "ContinuationScore",
    "LanguageModel",
    "Quantisation",
    "Rendering",
    "Session",
    "Tokens",
    "continuation_scores",
    "evaluating",
    "load_model",
    "log_probs_that_fit",
    "next_token_log_probs",
    "shared_next_token_log_probs",
    "token_log_probs",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
