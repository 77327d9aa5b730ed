"""Checks that a model computes the same for a text alone, in a batch, at once or in steps.

Some architectures do not: padding of the shorter texts of a batch changes their states, or their
cache has no rows that can be selected. Their numbers would be wrong without a warning.
"""

from typing import Any

import torch
from torch import Tensor

from detoxlab.errors import ModelError
from detoxlab.models.cache import forward_last, select_rows, shared_among_samples, step_inputs
from detoxlab.models.finite import check_logits
from detoxlab.models.language_model import LanguageModel, evaluating
from detoxlab.models.likelihood import left_padded
from detoxlab.models.sources import first_line

SHORT, LONG = (
    "Good morning to you.",
    "The weather is fine today, and they say that it will stay so.",
)
TOKENS = (6, 16)
STEPS = 2
EXACT, ROUNDED = 1e-3, 0.1
"""The largest share of the probability that may move to other tokens.

In float32 architectures that are right stay below 1e-5. Half precision and quantised weights
round, and a mixture may choose another expert.
"""

FAILURES = (TypeError, AttributeError, ValueError, LookupError, RuntimeError, AssertionError)
"""What the code of an architecture raises at inputs that it was not made for."""


def check_reading(lm: LanguageModel) -> None:
    """Raise `ModelError` if padding or the cache changes the model's logits.

    A short text is read at once and alone, then in a batch with a longer one, and then its end
    token by token, in rows that are selected like those of samples.
    """
    try:
        with evaluating(lm):
            _check(lm, *map(_ids, (lm, lm), (SHORT, LONG), TOKENS))
    except (ModelError, torch.OutOfMemoryError):
        raise
    except FAILURES as error:
        raise _refused(lm, f"it cannot be read token by token ({first_line(error)})") from error


# --- inside ---


def _check(lm: LanguageModel, short: list[int], long: list[int]) -> None:
    alone_TV = _logits_at_once(lm, short)
    inputs = left_padded(lm, [short[:-STEPS], long])
    logits_BV, cache = forward_last(lm, inputs)
    _compare(lm, logits_BV[:1], alone_TV[0], "a text beside a longer one unlike the text alone")
    cache = _cache_of_samples(lm, cache)
    mask_RT = inputs["attention_mask"][[0, 0]]
    for step in range(STEPS):
        place = len(short) - STEPS + step
        tokens_R = torch.tensor([short[place]] * 2, device=lm.device)
        mask_RT = torch.nn.functional.pad(mask_RT, (0, 1), value=1)
        lengths_R = torch.full_like(tokens_R, place)
        logits_RV, cache = forward_last(lm, step_inputs(lm, tokens_R, lengths_R, mask_RT), cache)
        _compare(lm, logits_RV, alone_TV[step + 1], "a text token by token unlike the text at once")


def _cache_of_samples(lm: LanguageModel, cache: Any) -> Any:
    """The cache of both texts, turned into that of two samples of the first, one of them moved."""
    try:
        shared = shared_among_samples(cache, torch.tensor([1, 0, 0], device=lm.device), STEPS)
    except ModelError as error:
        raise _refused(lm, error.message) from error
    select_rows(shared, torch.tensor([2, 1], device=lm.device))
    return shared


def _ids(lm: LanguageModel, text: str, count: int) -> list[int]:
    """`count` tokens of the text, which is repeated where it has fewer."""
    return (lm.prompt_ids(text, chat=False) * count)[:count]


def _logits_at_once(lm: LanguageModel, ids: list[int]) -> Tensor:
    """Logits after each of the last tokens of a text that is read at once and alone, (T, V)."""
    logits_TV: Tensor = lm.model(**left_padded(lm, [ids]), use_cache=False).logits[0].float()
    check_logits(logits_TV, lm, "after token {} of a plain text".format)
    return logits_TV[-STEPS - 1 :]


def _compare(lm: LanguageModel, logits_BV: Tensor, expected_V: Tensor, fault: str) -> None:
    moved_B = (logits_BV.softmax(dim=-1) - expected_V.softmax(dim=-1)).abs().sum(dim=-1) / 2
    exact = lm.dtype is torch.float32 and not lm.facts.get("quantisation")
    if not bool((moved_B < (EXACT if exact else ROUNDED)).all()):
        raise _refused(lm, f"it reads {fault}")


def _refused(lm: LanguageModel, reason: str) -> ModelError:
    config: Any = lm.model.config
    return ModelError(
        f"{lm.id}: {type(lm.model).__name__} ({config.model_type}) is not supported: {reason}",
        remedy="Serve it by another program and measure it over HTTP.",
    )
