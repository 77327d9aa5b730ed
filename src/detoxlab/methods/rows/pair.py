"""Preference pairs as token ids: a prompt and two responses to it.

The prompt has exactly the tokens that the model is given when it is measured. TRL tokenises
prompt and response together, and where a token spans their border it shortens the prompt; here
the prompt keeps the ids that it has alone (`RowBuilder` of `rows.dialogue`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detoxlab.methods.rows.dialogue import (
    IGNORED,
    RejectedDialogue,
    RowBuilder,
    TokenRow,
    row_builder,
)
from detoxlab.records import Dialogue, Preference, Turn

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel


@dataclass(frozen=True, slots=True)
class PairRow:
    """One pair for training; the responses are token ids up to their end token.

    A single response has none on the other side.
    """

    pair_id: str
    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens of the prompt with the longer response."""
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))


class RejectedPair(Exception):  # noqa: N818 (an outcome of one pair, not an error to the user)
    """The reason why a pair makes no row; it quotes no text."""


@dataclass(frozen=True)
class PairBuilder:
    """Builds pairs with a builder of rows. `opening_ids` begin a text that answers nothing.

    `takes_single` says whether a response may have no partner.
    """

    rows: RowBuilder
    opening_ids: tuple[int, ...]
    chat: bool
    takes_single: bool = False

    def build(self, pair: Preference) -> PairRow:
        """The row of `pair`, both responses at most `rows.max_length` tokens with the prompt.

        A prompt that is too long is cut from the left. Raises `RejectedPair` when a response does
        not fit, when both have the same tokens, or for whole texts in a chat.
        """
        texts = (pair.chosen, pair.rejected)
        if None in texts and not self.takes_single:
            raise RejectedPair("it is a single response, which kto learns from")
        parts = [None if text is None else self._parts(pair, text) for text in texts]
        prompt = min((part[0] for part in parts if part is not None), key=len)
        chosen, rejected = (() if part is None else part[1] for part in parts)
        row = PairRow(pair.id, prompt, chosen, rejected)
        if row.chosen_ids == row.rejected_ids:
            raise RejectedPair("both responses have the same tokens")
        return row

    def _parts(self, pair: Preference, response: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids of the prompt, cut as this response needs it, and of the response."""
        if not pair.turns:
            return self.opening_ids, self._whole_text(response)
        turns = (*pair.turns, Turn("assistant", response))
        try:
            return divided(self.rows.build(Dialogue(pair.id, turns, pair.source)))
        except RejectedDialogue as reason:
            raise RejectedPair(str(reason)) from None

    def _whole_text(self, text: str) -> tuple[int, ...]:
        if self.chat:
            raise RejectedPair("it is two whole texts and no answer: set chat=false")
        ids = tuple(self.rows.tokenize(text, True))
        if ids[: len(self.opening_ids)] == self.opening_ids:
            ids = ids[len(self.opening_ids) :]
        if len(self.opening_ids) + len(ids) + 1 > self.rows.max_length:
            raise RejectedPair(
                f"a text of {len(ids)} tokens does not fit max_length {self.rows.max_length}"
            )
        return (*ids, self.rows.end_id)


def divided(row: TokenRow) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens before the one target of a row, which are read, and the learnt tokens.

    >>> divided(TokenRow("d", (5, 6, 7, 0, 9), (-100, -100, 7, 0, -100)))
    ((5, 6), (7, 0))
    """
    learnt = [place for place, label in enumerate(row.labels) if label != IGNORED]
    return row.input_ids[: learnt[0]], row.input_ids[learnt[0] : learnt[-1] + 1]


def pair_builder(
    lm: "LanguageModel", *, chat: bool, max_length: int, takes_single: bool = False
) -> PairBuilder:
    """A builder whose prompts are token for token those that `lm` is measured with."""
    rows = row_builder(lm, chat=chat, targets="last", max_length=max_length)
    return PairBuilder(rows, tuple(lm.prompt_ids("", chat=False)), chat, takes_single)


def build_pairs(
    builder: PairBuilder, pairs: Sequence[Preference]
) -> tuple[list[PairRow], list[tuple[str, str]]]:
    """The rows of all pairs that make one, and (id, reason) of the other pairs."""
    rows, rejected = list[PairRow](), list[tuple[str, str]]()
    for pair in pairs:
        try:
            rows.append(builder.build(pair))
        except RejectedPair as reason:
            rejected.append((pair.id, str(reason)))
    return rows, rejected
