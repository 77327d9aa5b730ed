"""One forward pass over a batch, and the logits of its steps."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from detoxlab.errors import ModelError
from detoxlab.explanations.texts import Batch
from detoxlab.models.finite import check_logits
from detoxlab.models.language_model import LanguageModel, evaluation_mode
from detoxlab.models.session import Session
from detoxlab.subject import Subject


def step_logits(subject: Subject, batch: Batch) -> Tensor:
    """Logits of all steps (N, V), float32, row after row, with the subject's steerings.

    Gradients go through where they are on. Raises `ModelError` where a logit is not finite.
    """
    with subject.session() as session:
        return steered_logits(batch, session, read(batch, session))


def read(batch: Batch, session: Session) -> Tensor:
    """The model's own logits (B, L, V) after the last L tokens, which have all steps."""
    lm = batch.lm
    session.reading(batch.tokens)
    kept = batch.ids_BT.shape[1] - batch.first_place
    last = lm.last_logits(kept)
    logits_BLV: Tensor = lm.model(input_ids=batch.ids_BT, **last, use_cache=False).logits
    return _at_least_float32(logits_BLV[:, -kept:])


def steered_logits(batch: Batch, session: Session, logits_BLV: Tensor) -> Tensor:
    """The logits of the steps (N, V), as the session changes them."""
    logits_NV = at_steps(batch, session.logits(batch.tokens, logits_BLV))
    check_logits(logits_NV.detach(), batch.lm, "at step {} of a batch".format)
    return logits_NV


def at_steps(batch: Batch, values_BLD: Tensor) -> Tensor:
    """The values after the tokens of the steps (N, D), of values after the last L tokens."""
    offset = batch.ids_BT.shape[1] - values_BLD.shape[1]
    rows_N, _ = batch.is_step_BS.nonzero(as_tuple=True)
    return values_BLD[rows_N, batch.places_BS[batch.is_step_BS] - offset]


def plain_logits(subject: Subject, batch: Batch) -> Tensor:
    """As `step_logits`, without gradients."""
    with reading_alone(subject.lm):
        return step_logits(subject, batch)


@contextlib.contextmanager
def reading_alone(lm: LanguageModel) -> Iterator[None]:
    """Evaluation mode without gradients; its tensors may be saved for later gradients."""
    with evaluation_mode(lm.model), torch.no_grad():
        yield


def check_precise(lm: LanguageModel) -> None:
    """Raises `ModelError` for a model in half precision, in which attributions are off by 2 %."""
    if lm.dtype not in (torch.float32, torch.float64):
        raise ModelError(
            f"{lm.id}: is in {str(lm.dtype).removeprefix('torch.')}, too coarse for attributions",
            remedy="Load it with dtype float32.",
        )


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype is torch.float64 else values.float()
