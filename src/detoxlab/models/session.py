"""Sessions, which change how a model decodes: one sees each forward pass of one batch.

`detoxlab.generate` and `detoxlab.models.likelihood` make the passes and call the session;
`detoxlab.steering` makes the sessions.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """The tokens that one forward pass reads: B rows, T tokens each.

    `positions_BT` count the tokens of a row from 0, padding left out. `is_text_BT` is False at
    padding. `is_response_BT` is True at tokens of a response, False at the prompt and at padding.
    """

    ids_BT: Tensor
    positions_BT: Tensor
    is_text_BT: Tensor
    is_response_BT: Tensor

    @classmethod
    def of_texts(cls, inputs: Mapping[str, Any], response_lengths: Sequence[int]) -> "Tokens":
        """The tokens of whole texts, padded on the left (`left_padded`).

        The last `response_lengths[b]` tokens of row b are its response.
        """
        ids_BT = inputs["input_ids"]
        mask_BT = inputs.get("attention_mask")
        is_text_BT = torch.ones_like(ids_BT).bool() if mask_BT is None else mask_BT.bool()
        from_end_T = torch.arange(ids_BT.shape[1], 0, -1, device=ids_BT.device)
        lengths_B = torch.tensor(response_lengths, device=ids_BT.device)
        positions_BT = (is_text_BT.cumsum(-1) - 1).clamp(min=0)
        is_response_BT = is_text_BT & (from_end_T <= lengths_B[:, None])
        return cls(ids_BT, positions_BT, is_text_BT, is_response_BT)

    @classmethod
    def of_step(cls, tokens_R: Tensor, lengths_R: Tensor) -> "Tokens":
        """The newest token of each response, after the `lengths_R` tokens before it."""
        every_R1 = torch.ones_like(tokens_R[:, None]).bool()
        return cls(tokens_R[:, None], lengths_R[:, None], every_R1, every_R1)


class Session:
    """Hooks around the forward passes of one batch, from its first to its last.

    Each method does nothing unless it is overridden. The result of a row must not depend on other
    rows of the batch: then batches of any size give the same responses, and a killed run resumes
    to the same bytes.
    """

    def reading(self, tokens: Tokens) -> None:
        """Called before each forward pass with the tokens that it reads."""

    def logits(self, tokens: Tokens, logits: Tensor) -> Tensor:
        """The logits to draw from, before temperature, top-k and top-p.

        Logits (B, V) follow the last of the tokens; logits (B, L, V) follow each of the last L
        tokens.
        """
        del tokens
        return logits

    def nucleus(self) -> Tensor | None:
        """The newest logits (B, V) whose top-k and top-p say which tokens may be drawn.

        None where these are the logits that the session returned.
        """
        return None

    def trying(self, tokens: Tokens) -> None:
        """Called before another session's pass over tokens that do not stay in the text.

        It is told to hooks that must know which tokens are read, so it is `reading` unless that
        keeps something for later passes.
        """
        self.reading(tokens)

    def beside(self, others: Sequence["Session"]) -> None:
        """Called once, before the first pass, with the sessions of the batch's other steerings."""

    def select(self, rows_R: Tensor) -> None:
        """Called when the batch changes: the new row r is the old row `rows_R[r]`.

        A prompt becomes its samples; finished rows leave and other rows move into their place.
        """


OpenSession = Callable[[], AbstractContextManager[Session]]
"""Opens a session for one batch; it lasts as long as the context."""


def unsteered() -> AbstractContextManager[Session]:
    """A session that changes nothing."""
    return contextlib.nullcontext(Session())
