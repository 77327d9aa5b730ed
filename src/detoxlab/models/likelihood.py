"""Log-probabilities that a model gives to responses, its own or another model's."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detoxlab.errors import DataError
from detoxlab.models.finite import check_finite, check_logits
from detoxlab.models.language_model import LanguageModel, evaluating
from detoxlab.models.packing import packed_language_model
from detoxlab.models.session import OpenSession, Tokens, unsteered
from detoxlab.models.tokens.vocabulary import check_held

Ids = Sequence[int]
WORTH_PACKING = 1024
"""How many tokens to read take longer than to pack the weights for them."""
NORM_ROWS = 32


@dataclass(frozen=True)
class ContinuationRow:
    """One prompt and response, and the place of its result.

    `continued` is the number of tokens at the end of the prompt that belong to a response already.
    """

    index: int
    prompt: tuple[int, ...]
    response: tuple[int, ...]
    continued: int = 0

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.response)


def token_log_probs(
    lm: LanguageModel,
    prompts_ids: Sequence[Ids],
    responses_ids: Sequence[Ids],
    *,
    batch_tokens: int = 4096,
    session: OpenSession = unsteered,
    continued: Sequence[int] | None = None,
) -> list[NDArray[np.float32]]:
    """Log-probability of each response token given all tokens before it, in nats, <= 0.

    One float32 array (T,) per response, in the order given; an empty response gives an
    empty array. Rows are batched by length, at most `batch_tokens` tokens with padding. A
    prompt too long for the model's context loses its beginning (`LanguageModel.shortened`).
    A token that the model rules out has -inf.

    With `session` they are those of the distribution that each batch's session makes. The
    session sees as response the responses and the last `continued` tokens of each prompt.

    Raises `DataError` when the lists differ in length, a prompt has no token, or a response
    alone fills the context; `ModelError` where logits are NaN or infinite (`check_logits`).
    """
    found = scored_tokens(
        lm,
        prompts_ids,
        responses_ids,
        batch_tokens=batch_tokens,
        session=session,
        continued=continued,
        likeliest=False,
    )
    return [log_probs for log_probs, _ in found]


Scored = tuple[NDArray[np.float32], NDArray[np.bool_]]


def scored_tokens(
    lm: LanguageModel,
    prompts_ids: Sequence[Ids],
    responses_ids: Sequence[Ids],
    *,
    batch_tokens: int = 4096,
    session: OpenSession = unsteered,
    continued: Sequence[int] | None = None,
    likeliest: bool = True,
) -> list[Scored]:
    """As `token_log_probs`, and with each array whether each token is the likeliest one (T,).

    Without `likeliest` the second array is empty.
    """
    if len(prompts_ids) != len(responses_ids):
        raise DataError(f"{len(prompts_ids)} prompts but {len(responses_ids)} responses")
    nothing = np.empty(0, np.float32), np.empty(0, np.bool_)
    results: list[Scored] = [nothing] * len(prompts_ids)
    counts = continued or [0] * len(prompts_ids)
    rows = [
        _fitted(lm, index, prompt, response, count)
        for index, (prompt, response, count) in enumerate(
            zip(prompts_ids, responses_ids, counts, strict=True)
        )
        if len(response)
    ]
    with evaluating(lm), packed_if_worth(lm, sum(row.length for row in rows)):
        for batch in length_batches(rows, batch_tokens):
            for row, scored in zip(
                batch, _batch_scored(lm, batch, session, likeliest), strict=True
            ):
                results[row.index] = scored
    return results


def packed_if_worth(lm: LanguageModel, tokens: int) -> contextlib.AbstractContextManager[None]:
    """The model with packed weights while the block lasts, where so many tokens are worth it."""
    return packed_language_model(lm.model) if tokens >= WORTH_PACKING else contextlib.nullcontext()


def next_token_log_probs(
    lm: LanguageModel,
    prompts_ids: Sequence[Ids],
    tokens: Ids,
    *,
    batch_tokens: int = 4096,
    session: OpenSession = unsteered,
) -> NDArray[np.float32]:
    """Log-probability of each of C tokens right after each of N prompts, in nats, (N, C).

    As `token_log_probs` with responses of one token, in one forward pass per prompt.
    """
    log_probs_NC = np.empty((len(prompts_ids), len(tokens)), np.float32)
    rows = [_fitted(lm, index, prompt, tokens[:1]) for index, prompt in enumerate(prompts_ids)]
    last = lm.last_logits(1)
    with evaluating(lm):
        for batch in length_batches(rows, batch_tokens):
            inputs = left_padded(lm, [row.prompt for row in batch])
            read = Tokens.of_texts(inputs, [0] * len(batch))
            with session() as steered:
                steered.reading(read)
                logits_BV = lm.model(**inputs, **last, use_cache=False).logits[:, -1].float()
                logits_BV = steered.logits(read, logits_BV)
            check_logits(logits_BV, lm, place_of("after text", batch))
            chosen_BC = logits_BV.log_softmax(dim=-1)[:, list(tokens)]
            log_probs_NC[[row.index for row in batch]] = chosen_BC.cpu().numpy()
    return log_probs_NC


def log_probs_that_fit(
    lm: LanguageModel,
    prompts_ids: Sequence[Ids],
    responses_ids: Sequence[Ids],
) -> list[NDArray[np.float32] | None]:
    """As `token_log_probs`, but no prompt is cut: None where prompt and response do not fit.

    So each log-probability is given the whole prompt.
    """
    fits = [
        at
        for at, (prompt, response) in enumerate(zip(prompts_ids, responses_ids, strict=True))
        if len(prompt) + len(response) <= lm.context_length
    ]
    values = token_log_probs(
        lm, [prompts_ids[at] for at in fits], [responses_ids[at] for at in fits]
    )
    known = dict(zip(fits, values, strict=True))
    return [known.get(at) for at in range(len(responses_ids))]


def _fitted(
    lm: LanguageModel, index: int, prompt: Ids, response: Ids, continued: int = 0
) -> ContinuationRow:
    if not len(prompt):
        raise DataError(
            f"prompt {index} has no token", remedy="Take ids from LanguageModel.prompt_ids."
        )
    room = lm.context_length - len(response)
    if room < 1:
        raise DataError(
            f"response {index} has {len(response)} tokens; the model's context is "
            f"{lm.context_length}"
        )
    return ContinuationRow(index, lm.shortened(prompt, room), tuple(response), continued)


def length_batches(
    rows: Sequence[ContinuationRow], batch_tokens: int
) -> Iterator[list[ContinuationRow]]:
    """Batches of similar lengths, longest first, so that memory runs out at once or never."""
    batch: list[ContinuationRow] = []
    for row in sorted(rows, key=lambda row: (-row.length, row.index)):
        if batch and (len(batch) + 1) * batch[0].length > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _batch_scored(
    lm: LanguageModel, batch: Sequence[ContinuationRow], session: OpenSession, likeliest: bool
) -> list[Scored]:
    """The scores of a batch, padded on the left so that early logits are left out."""
    inputs, kept = left_padded(lm, [row.prompt + row.response for row in batch]), _kept(batch)
    read = Tokens.of_texts(inputs, [row.continued + len(row.response) for row in batch])
    with session() as steered:
        steered.reading(read)
        logits_BTV = (
            lm.model(**inputs, **lm.last_logits(kept), use_cache=False).logits[:, -kept:].float()
        )
        logits_BTV = steered.logits(read, logits_BTV)[:, :-1]
    targets_BT = inputs["input_ids"][:, -kept + 1 :]
    log_norm_BT = torch.stack([_log_norm(logits_TV) for logits_TV in logits_BTV])
    extreme_B = torch.stack(
        [
            log_norm_T[-len(row.response) :].abs().max()
            for row, log_norm_T in zip(batch, log_norm_BT, strict=True)
        ]
    )
    check_finite(extreme_B, lm, place_of("in response", batch))
    chosen_BT = logits_BTV.gather(-1, targets_BT[:, :, None])[:, :, 0]
    values_BT = (chosen_BT - log_norm_BT).cpu().numpy()
    best_BT = np.empty((len(batch), 0), np.bool_)
    if likeliest:
        best_BT = (logits_BTV.argmax(dim=-1) == targets_BT).cpu().numpy()
    spans = [-len(row.response) for row in batch]
    return [(values_BT[i, span:], best_BT[i, span:]) for i, span in enumerate(spans)]


def _log_norm(logits_TV: Tensor) -> Tensor:
    """The log of the sum of exponentials (T,), a few rows at a time, which stay in the cache."""
    return torch.cat([part_NV.logsumexp(dim=-1) for part_NV in torch.split(logits_TV, NORM_ROWS)])


def place_of(where: str, batch: Sequence[ContinuationRow]) -> Callable[[int], str]:
    return lambda n: f"{where} {batch[n].index}"


def _kept(batch: Sequence[ContinuationRow]) -> int:
    return max(len(row.response) for row in batch) + 1


def left_padded(lm: LanguageModel, rows: Sequence[Ids]) -> dict[str, Any]:
    """The model's inputs for rows of token ids (B, T), padded on the left.

    There is a mask only where there is padding, and positions only where the model takes them:
    they count real tokens. Raises `ModelError` for a token without a row in the embedding.
    """
    length = max(len(row) for row in rows)
    ids_BT = torch.full((len(rows), length), lm.pad_id)
    mask_BT = torch.zeros((len(rows), length), dtype=torch.long)
    for i, row in enumerate(rows):
        check_held(row, lm.embedding_rows, lm.tokenizer, lm.id)
        ids_BT[i, length - len(row) :] = torch.tensor(row)
        mask_BT[i, length - len(row) :] = 1
    inputs = {"input_ids": ids_BT}
    if lm.takes_positions:
        inputs["position_ids"] = (mask_BT.cumsum(-1) - 1).clamp(min=0)
    if not bool(mask_BT.all()):
        inputs["attention_mask"] = mask_BT
    return {name: value.to(lm.device) for name, value in inputs.items()}
