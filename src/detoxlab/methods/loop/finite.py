"""Ends a training at the first log-probability that is not finite, before it moves a weight."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from detoxlab.errors import TrainingError
from detoxlab.models import LanguageModel
from detoxlab.models.finite import check_finite


@contextlib.contextmanager
def watched_log_probs(
    lm: LanguageModel, learning_rate: float, updates: Callable[[], int]
) -> Iterator[None]:
    """Every forward pass within must give finite log-probabilities to the tokens that count.

    A loss can hide such values: that of DPO is 0 where a rejected response is impossible, and
    with float16 the scaler skips every step whose gradient is not finite.

    Raises `ModelError` while `updates()` is 0, since no weight was changed yet; `TrainingError`
    after that, when the learning rate may be the cause.
    """

    def check(_module: Any, _inputs: Any, outputs: Any) -> None:
        log_probs_BT = getattr(outputs, "log_probs", None)
        if log_probs_BT is not None:
            _check(log_probs_BT.detach(), lm, learning_rate, updates())

    handle = lm.model.register_forward_hook(check)
    try:
        yield
    finally:
        handle.remove()


def driven_too_far(what: str, value: float, step: int, learning_rate: float) -> TrainingError:
    """The error of a training in which `what` is no longer finite."""
    return TrainingError(
        f"{what} is {value} at step {step}; the last checkpoint before it is kept",
        remedy=f"Start again with a learning_rate below {learning_rate:g}.",
    )


def _check(log_probs_BT: Tensor, lm: LanguageModel, learning_rate: float, updates: int) -> None:
    lowest_B = log_probs_BT.amin(dim=-1)  # NaN where there is one
    if not updates:
        check_finite(lowest_B, lm, "in row {} of the first batch".format)
    elif not bool(lowest_B.isfinite().all()):
        place = f"{lm.id}: a log-probability"
        raise driven_too_far(place, float(lowest_B.min()), updates + 1, learning_rate)
