"""Means over the tokens of texts of what modules of a model read or hand on. Imports torch."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from detoxlab.errors import TrainingError
from detoxlab.methods.edits.config import ContrastConfig
from detoxlab.methods.rows.contrast import Contrast
from detoxlab.models import LanguageModel, Tokens, evaluating
from detoxlab.models.layouts.hooks import hooked
from detoxlab.models.likelihood import ContinuationRow, left_padded, length_batches
from detoxlab.progress import progress

T = TypeVar("T")
BATCH_TOKENS = 2048
SINK = 4.0
"""A token is an attention sink where its norm is above so many medians of its text."""


@dataclass(frozen=True)
class Place:
    """A module whose output is pooled, or with `reads` its input."""

    module: nn.Module
    reads: bool = False


@dataclass(frozen=True)
class Pooled:
    """Of N texts at one place: means over tokens (N, D), and states of their first tokens (N, D).

    Both are float32 on the CPU.
    """

    means_ND: Tensor
    first_ND: Tensor


def contrasted(
    lm: LanguageModel, contrast: Contrast, places: Mapping[Any, Place], config: ContrastConfig
) -> dict[Any, tuple[Pooled, Pooled]]:
    """At each place the pooled states of the toxic texts and of the others, in their order."""
    toxic, other = (
        pooled_states(
            lm,
            texts,
            places,
            max_length=config.max_length,
            without_sinks=config.sinks == "leave-out",
        )
        for texts in (contrast.toxic, contrast.other)
    )
    return {name: (toxic[name], other[name]) for name in places}


def pooled_states(
    lm: LanguageModel,
    texts: Sequence[str],
    places: Mapping[Any, Place],
    *,
    max_length: int,
    without_sinks: bool,
) -> dict[Any, Pooled]:
    """The pooled states of plain texts at each place, in the order of the texts.

    A text keeps its first `max_length` tokens. Raises `TrainingError` for texts of one token
    where first tokens are left out.
    """
    ids = [lm.prompt_ids(text, chat=False)[:max_length] for text in texts]
    check_lengths(ids, without_sinks)
    rows = [ContinuationRow(index, (), tuple(one)) for index, one in enumerate(ids)]
    found: dict[Any, dict[int, tuple[Tensor, Tensor]]] = {name: {} for name in places}
    with evaluating(lm), progress("reading", len(rows)) as advance:
        for batch in length_batches(rows, BATCH_TOKENS):
            inputs = left_padded(lm, [row.response for row in batch])
            tokens = Tokens.of_texts(inputs, [0] * len(batch))
            with visiting(places, partial(pool, tokens=tokens, without_sinks=without_sinks)) as got:
                lm.model(**inputs, use_cache=False)
            for name, pooled in got.items():
                indices = (row.index for row in batch)
                found[name].update(zip(indices, zip(*pooled, strict=True), strict=True))
            advance(len(batch))
    return {name: _stacked([each[index] for index in sorted(each)]) for name, each in found.items()}


def pool(state_BTD: Tensor, tokens: Tokens, without_sinks: bool) -> tuple[Tensor, Tensor]:
    """Means over the tokens of each text (B, D), and the states of the first tokens (B, D).

    Padding never enters a mean. Without sinks, neither does the first token, nor one whose norm is
    above `SINK` times the median of its text's other tokens. A text depends on itself alone.
    """
    state_BTD = state_BTD.float()
    is_first_BT = tokens.is_text_BT & (tokens.positions_BT == 0)
    is_kept_BT = tokens.is_text_BT
    if without_sinks:
        is_kept_BT = tokens.is_text_BT & ~is_first_BT
        norms_BT = state_BTD.norm(dim=-1)
        median_B1 = norms_BT.masked_fill(~is_kept_BT, torch.nan).nanmedian(1, keepdim=True).values
        is_kept_BT = is_kept_BT & (norms_BT <= SINK * median_B1)
    sums_BD = state_BTD.masked_fill(~is_kept_BT[:, :, None], 0).sum(dim=1)
    first_BD = state_BTD.masked_fill(~is_first_BT[:, :, None], 0).sum(dim=1)
    return (sums_BD / is_kept_BT.sum(dim=1, keepdim=True)).cpu(), first_BD.cpu()


@contextlib.contextmanager
def visiting(places: Mapping[Any, Place], visit: Callable[[Tensor], T]) -> Iterator[dict[Any, T]]:
    """The results of `visit` at each place, from the state (B, T, D) of the newest forward pass.

    It is called at once, since some models go on to change a state in place.
    """
    made: dict[Any, T] = {}

    def keep(name: Any, state_BTD: Tensor) -> None:
        made[name] = visit(state_BTD)

    with contextlib.ExitStack() as stack:
        for name, place in places.items():
            handle = hooked(place.module, partial(keep, name), reads=place.reads)
            stack.callback(handle.remove)
        yield made


def check_lengths(ids: Sequence[Sequence[int]], without_sinks: bool) -> None:
    """Raises `TrainingError` for texts without a token that could be pooled."""
    if without_sinks and (short := sum(len(one) < 2 for one in ids)):
        raise TrainingError(
            f"{short} texts have one token alone, and first tokens are left out",
            remedy="Give longer texts, or set sinks=keep.",
        )


def _stacked(pooled: Sequence[tuple[Tensor, Tensor]]) -> Pooled:
    means, first = zip(*pooled, strict=True)
    return Pooled(torch.stack(means), torch.stack(first))
