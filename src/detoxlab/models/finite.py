"""Logits that are no numbers are an error, wherever they are first met."""

from collections.abc import Callable

import torch
from torch import Tensor

from detoxlab.errors import ModelError
from detoxlab.models.language_model import LanguageModel


def check_logits(logits_NV: Tensor, lm: LanguageModel, place: Callable[[int], str]) -> None:
    """Raise `ModelError` at the first row from which no token can be drawn.

    Such a row holds a NaN or +inf, or -inf alone. A single -inf is a token that the model rules
    out, as some do with those that fill up their vocabulary: its probability is 0. `place` says
    where row n of (N, V) stands.

    One maximum per row tells it all: it is NaN where there is one.
    """
    check_finite(logits_NV.amax(dim=-1), lm, place)


def check_finite(values_N: Tensor, lm: LanguageModel, place: Callable[[int], str]) -> None:
    """Raise `ModelError` at the first of the numbers that is NaN or infinite.

    They are maxima, sums of exponentials or log-probabilities of logits: whatever shows that
    one of these is not finite.
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
