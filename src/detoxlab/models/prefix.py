"""Next tokens after prompts that begin alike: their common beginning is read once."""

import copy
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detoxlab.internals.transformers import holds_keys_alone
from detoxlab.models.cache import forward_last, shared_among_samples
from detoxlab.models.finite import check_logits
from detoxlab.models.language_model import LanguageModel, evaluating
from detoxlab.models.likelihood import (
    ContinuationRow,
    Ids,
    left_padded,
    length_batches,
    next_token_log_probs,
    place_of,
)

WORTH_SHARING = 16
"""A shorter common beginning costs less to read again than to share."""


def shared_next_token_log_probs(
    lm: LanguageModel, prompts_ids: Sequence[Ids], tokens: Ids, *, batch_tokens: int = 4096
) -> NDArray[np.float32]:
    """As `next_token_log_probs`, up to rounding, for prompts that the model can read whole.

    Prompts of one template begin alike. The model reads that beginning once and goes on from its
    cache with the rest of each prompt, in batches of at most `batch_tokens` tokens, those of the
    beginning counted. Few common tokens, or a model that keeps states besides keys and values, are
    read in the ordinary way.
    """
    common = common_beginning(prompts_ids)
    if len(common) >= WORTH_SHARING and len(prompts_ids) > 1:
        with evaluating(lm):
            _, read = forward_last(lm, left_padded(lm, [common]))
            if holds_keys_alone(read):
                return _log_probs_after(lm, read, common, prompts_ids, tokens, batch_tokens)
    return next_token_log_probs(lm, prompts_ids, tokens, batch_tokens=batch_tokens)


def common_beginning(rows: Sequence[Ids]) -> tuple[int, ...]:
    """The tokens with which all rows begin; each row has at least one more.

    >>> common_beginning([[1, 2, 3, 4], [1, 2, 3], [1, 2, 3, 5]])
    (1, 2)
    """
    alike = takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False))
    shortest = min(map(len, rows), default=0)
    return tuple(column[0] for column in alike)[: max(0, shortest - 1)]


def _log_probs_after(
    lm: LanguageModel,
    read: Any,
    common: tuple[int, ...],
    prompts_ids: Sequence[Ids],
    tokens: Ids,
    batch_tokens: int,
) -> NDArray[np.float32]:
    """Log-probabilities (N, C) of the tokens after the prompts, whose beginning has been read."""
    rows = [
        ContinuationRow(n, common, tuple(ids[len(common) :])) for n, ids in enumerate(prompts_ids)
    ]
    log_probs_NC = np.empty((len(rows), len(tokens)), np.float32)
    for batch in length_batches(rows, batch_tokens):
        logits_BV = _logits_after(lm, read, len(common), [row.response for row in batch])
        check_logits(logits_BV, lm, place_of("after text", batch))
        chosen_BC = logits_BV.log_softmax(dim=-1)[:, list(tokens)]
        log_probs_NC[[row.index for row in batch]] = chosen_BC.cpu().numpy()
    return log_probs_NC


def _logits_after(lm: LanguageModel, read: Any, length: int, ends: Sequence[Ids]) -> Tensor:
    """Logits (B, V), float32, after the last token of each end of a prompt.

    `read` is the cache of the beginning, `length` its number of tokens. Ends are padded on the
    right, where padding changes nothing before it.
    """
    longest = max(map(len, ends))
    ids_BT = torch.tensor([[*ids, *[lm.pad_id] * (longest - len(ids))] for ids in ends])
    lengths_B = torch.tensor([len(ids) for ids in ends])
    mask_BT = torch.arange(longest) < lengths_B[:, None]
    inputs = {
        "input_ids": ids_BT,
        "attention_mask": torch.nn.functional.pad(mask_BT.long(), (length, 0), value=1),
    }
    if lm.takes_positions:
        inputs["position_ids"] = torch.arange(length, length + longest).expand(len(ends), -1)
    inputs = {name: value.to(lm.device) for name, value in inputs.items()}
    cache = _repeated(read, inputs["input_ids"])
    logits_BTV: Tensor = lm.model(**inputs, past_key_values=cache, use_cache=True).logits
    return logits_BTV[torch.arange(len(ends)), lengths_B - 1].float()


def _repeated(read: Any, ids_BT: Tensor) -> Any:
    """A copy of the cache of one row, for B rows that go on with T tokens."""
    rows, room = ids_BT.shape
    index_R = torch.zeros(rows, dtype=torch.long, device=ids_BT.device)
    return shared_among_samples(copy.deepcopy(read), index_R, room)
