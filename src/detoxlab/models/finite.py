"""Raises errors for logits that are not finite."""

from collections.abc import Callable

import torch
from torch import Tensor

from detoxlab.errors import ModelError
from detoxlab.models.language_model import LanguageModel


def check_logits(logits_NV: Tensor, lm: LanguageModel, place: Callable[[int], str]) -> None:
    """Raise `ModelError` at the first row from which no token can be drawn.

    Such a row has a NaN, a +inf, or only -inf. A single -inf is a token that the model rules out,
    such as tokens that fill up the vocabulary: its probability is 0. `place` describes row n of
    (N, V) in the error.

    The maximum of each row is enough for the check: it is NaN where the row has a NaN.
    """
    check_finite(logits_NV.amax(dim=-1), lm, place)


def check_finite(values_N: Tensor, lm: LanguageModel, place: Callable[[int], str]) -> None:
    """Raise `ModelError` at the first of the numbers that is NaN or infinite.

    The numbers are maxima, sums of exponentials or log-probabilities of logits, which show that
    a logit is not finite.
    """
    finite_N = values_N.isfinite()
    if bool(finite_N.all()):
        return
    n = int((~finite_N).nonzero()[0, 0])
    raise ModelError(
        f"{lm.id}: its logits are not finite ({float(values_N[n])} {place(n)})",
        remedy=_remedy(lm),
    )


def _remedy(lm: LanguageModel) -> str:
    if lm.dtype is torch.float16:
        return "float16 overflows above 65,504: load it with dtype bfloat16 or float32."
    return "Its weights are broken, or training drove them too far: load those from before."
