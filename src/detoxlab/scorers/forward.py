"""Runs a torch encoder on batches of texts of one padded length; memory errors halve the batch.

The padding of a text depends on the text alone, never on the others of its batch. On a CPU its
logits are then the same bits in any batch (tests/scorers/test_contract.py).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from detoxlab.scorers.base import FloatArray, encodable
from detoxlab.scorers.batching import length_batches

BATCH_SIZE = 64
# On a CPU a batch of about 500 tokens fills the matrix units while its activations still
# fit into the cache: larger ones are up to a third slower (benchmarks/scoring.py).
BATCH_TOKENS = {"cpu": 512}
BATCH_TOKENS_ELSEWHERE = 16_384

Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def tokenize(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Token ids per text, special tokens included, cut after `max_tokens`; nothing padded."""
    if not texts:  # tokenizers fail on an empty list
        return []
    clean = [encodable(text) for text in texts]
    encoded = tokenizer(clean, truncation=True, max_length=max_tokens, padding=False)
    return list(encoded["input_ids"])


def are_cut(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[bool]:
    """Whether `tokenize` leaves out the end of each text."""
    return [len(ids) > max_tokens for ids in tokenize(tokenizer, texts, max_tokens + 1)]


def logits_of(
    forward: Forward,
    token_ids: Sequence[Sequence[int]],
    *,
    pad_id: int,
    max_tokens: int,
    device: torch.device,
    batch_size: int = BATCH_SIZE,
    batch_tokens: int | None = None,
) -> FloatArray:
    """(N, A) outputs of `forward(ids_BT, mask_BT)`, in the order of `token_ids`.

    No text has more than `max_tokens`, and none is padded beyond it. A batch holds at most
    `batch_size` texts and `batch_tokens` tokens (by default a number for the device). A batch that
    does not fit into memory is halved until single texts fit.
    """
    if batch_tokens is None:
        batch_tokens = BATCH_TOKENS.get(device.type, BATCH_TOKENS_ELSEWHERE)
    rows: list[FloatArray | None] = [None] * len(token_ids)
    lengths = [padded_length(len(ids), max_tokens) for ids in token_ids]
    pending = list(length_batches(lengths, batch_size=batch_size, batch_tokens=batch_tokens))
    pending.reverse()
    while pending:
        batch = pending.pop()
        try:
            rows_of_batch = [token_ids[i] for i in batch]
            logits_BA = _run(forward, rows_of_batch, pad_id, lengths[batch[0]], device)
        except RuntimeError as error:
            if len(batch) == 1 or not _is_out_of_memory(error):
                raise
            half = len(batch) // 2
            pending += [batch[half:], batch[:half]]
            continue
        for index, row_A in zip(batch, logits_BA, strict=True):
            rows[index] = row_A
    return np.stack([row for row in rows if row is not None])


@torch.inference_mode()
def _run(
    forward: Forward, ids: Sequence[Sequence[int]], pad_id: int, length: int, device: torch.device
) -> FloatArray:
    ids_BT, mask_BT = padded(ids, pad_id, length)
    logits_BA = forward(ids_BT.to(device), mask_BT.to(device))
    return np.asarray(logits_BA.double().cpu().numpy(), dtype=np.float64)


def padded_length(tokens: int, max_tokens: int) -> int:
    """The length to which a text of so many tokens is padded: a multiple of 4, of 16 beyond 64.

    >>> padded_length(3, 256), padded_length(65, 256), padded_length(250, 250)
    (4, 80, 250)
    """
    step = 4 if tokens <= 64 else 16
    return min(-(-tokens // step) * step, max_tokens)


def padded(
    ids: Sequence[Sequence[int]], pad_id: int, length: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of B texts and the mask of those that are no padding, both (B, T).

    T is `length`, by default that of the longest text.
    """
    longest = length or max(len(row) for row in ids)
    ids_BT = torch.full((len(ids), longest), pad_id, dtype=torch.long)
    mask_BT = torch.zeros((len(ids), longest), dtype=torch.long)
    for row, tokens in enumerate(ids):
        ids_BT[row, : len(tokens)] = torch.tensor(tokens)
        mask_BT[row, : len(tokens)] = 1
    return ids_BT, mask_BT


def _is_out_of_memory(error: RuntimeError) -> bool:
    # On CPU torch raises a plain RuntimeError ("can't allocate memory").
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def choose_device(device: str) -> torch.device:
    """ "auto" is the first CUDA device where there is one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)
