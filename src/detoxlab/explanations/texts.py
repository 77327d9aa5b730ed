"""Prompts with responses as token ids, in batches, and the steps of their responses.

Step s of a response is the prediction of its token s from all tokens before it: from P prompt
tokens and s response tokens. Rows are padded on the right: with causal attention the padding
changes nothing before it, and every token stands where it stood when the text was drawn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from detoxlab.errors import DataError
from detoxlab.models.language_model import LanguageModel
from detoxlab.models.session import Tokens
from detoxlab.models.tokens.vocabulary import check_held


@dataclass(frozen=True)
class Exchange:
    """A prompt and a response to it, as the model's token ids; neither is empty.

    The steps that are asked are those from `start` on.
    """

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    start: int = 0

    @property
    def read_ids(self) -> tuple[int, ...]:
        """The tokens that are read: all but the last, which is only predicted."""
        return self.prompt_ids + self.response_ids[:-1]

    @property
    def steps(self) -> int:
        """The number of steps that are asked."""
        return len(self.response_ids) - self.start

    @property
    def places(self) -> range:
        """The token after which each of the steps predicts."""
        return range(len(self.prompt_ids) - 1 + self.start, len(self.read_ids))


def check_exchanges(lm: LanguageModel, exchanges: Sequence[Exchange]) -> None:
    """Raises `DataError` where an exchange is empty or too long for the model.

    Raises `ModelError` for a token without a row in the embedding.
    """
    for at, one in enumerate(exchanges):
        if not (one.prompt_ids and one.response_ids):
            empty = "prompt" if one.response_ids else "response"
            raise DataError(f"exchange {at}: its {empty} has no token", remedy="Leave it out.")
        if len(one.read_ids) > lm.context_length:
            raise DataError(
                f"exchange {at}: {len(one.read_ids)} tokens are too many for the context of "
                f"{lm.id}, {lm.context_length}",
                remedy="Leave it out, or limit the steps.",
            )
        check_held(one.prompt_ids + one.response_ids, lm.embedding_rows, lm.tokenizer, lm.id)


@dataclass(frozen=True)
class Batch:
    """Exchanges as one tensor of ids: B rows, T tokens, at most S steps per row.

    `ids_BT` are the tokens that are read, padded on the right. Step s of row b predicts the token
    `next_BS` after the token at `places_BS`; both are 0 where `is_step_BS` says that the row has
    no such step.
    """

    lm: LanguageModel
    exchanges: Sequence[Exchange]
    ids_BT: Tensor
    places_BS: Tensor
    next_BS: Tensor
    is_step_BS: Tensor

    @classmethod
    def of(cls, lm: LanguageModel, exchanges: Sequence[Exchange]) -> "Batch":
        """The exchanges, padded."""
        return cls(
            lm,
            exchanges,
            _padded([one.read_ids for one in exchanges], lm.pad_id, lm),
            _padded([one.places for one in exchanges], 0, lm),
            _padded([one.response_ids[one.start :] for one in exchanges], 0, lm),
            _padded([[1] * one.steps for one in exchanges], 0, lm).bool(),
        )

    @property
    def first_place(self) -> int:
        """The first place after which any row predicts."""
        return min(one.places.start for one in self.exchanges)

    @property
    def tokens(self) -> Tokens:
        """The tokens as a session sees them."""
        place_T = torch.arange(self.ids_BT.shape[1], device=self.lm.device)
        lengths_B1, prompts_B1 = (
            torch.tensor(counts, device=self.lm.device)[:, None]
            for counts in (
                [len(one.read_ids) for one in self.exchanges],
                [len(one.prompt_ids) for one in self.exchanges],
            )
        )
        is_text_BT = place_T < lengths_B1
        is_response_BT = is_text_BT & (place_T >= prompts_B1)
        return Tokens(self.ids_BT, place_T.expand_as(self.ids_BT), is_text_BT, is_response_BT)

    def segment(self, start: int, stop: int) -> tuple[list[int], "Batch"]:
        """The rows that have any of these of their steps, by number and as a batch of them."""
        rows = [at for at, one in enumerate(self.exchanges) if one.steps > start]
        return rows, Batch.of(self.lm, [_part(self.exchanges[at], start, stop) for at in rows])

    def by_row(self, values_N: Tensor) -> Tensor:
        """Values of all steps (N, …) as (B, S, …), with 0 where a row has no such step."""
        shape = (*self.is_step_BS.shape, *values_N.shape[1:])
        values_BS = values_N.new_zeros(shape)
        values_BS[self.is_step_BS] = values_N
        return values_BS


def _padded(rows: Sequence[Sequence[int]], filler: int, lm: LanguageModel) -> Tensor:
    longest = max(map(len, rows))
    padded = [[*row, *[filler] * (longest - len(row))] for row in rows]
    return torch.tensor(padded, device=lm.device)


def _part(one: Exchange, start: int, stop: int) -> Exchange:
    """The exchange with the steps `start` to `stop` of its steps, and without what follows."""
    return Exchange(one.prompt_ids, one.response_ids[: one.start + stop], one.start + start)


def batches(
    lm: LanguageModel, exchanges: Sequence[Exchange], rows: int
) -> Iterator[tuple[list[int], Batch]]:
    """Batches of at most `rows` exchanges of similar length, longest first, with their indices."""
    order = sorted(range(len(exchanges)), key=lambda at: (-len(exchanges[at].read_ids), at))
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        yield chosen, Batch.of(lm, [exchanges[at] for at in chosen])
