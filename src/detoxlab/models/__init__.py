"""Causal language models with their tokenizers: loading, chat templates, log-probabilities.

Nothing else in detoxlab calls `from_pretrained` on a language model. Importing this package
imports torch.
"""

from detoxlab.models.language_model import LanguageModel, evaluating
from detoxlab.models.likelihood import (
    log_probs_that_fit,
    next_token_log_probs,
    token_log_probs,
)
from detoxlab.models.load import load_model
from detoxlab.models.quantisation import Quantisation
from detoxlab.models.templates import FALLBACK_TEMPLATE, ChatTemplate, Rendering

__all__ = [
    "FALLBACK_TEMPLATE",
    "ChatTemplate",
    "LanguageModel",
    "Quantisation",
    "Rendering",
    "evaluating",
    "load_model",
    "log_probs_that_fit",
    "next_token_log_probs",
    "token_log_probs",
]
