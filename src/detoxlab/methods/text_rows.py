"""Whole texts as token ids and labels: every token is learnt, and the end token after them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from detoxlab.methods.rows import Row
from detoxlab.records import Text

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

TOO_SHORT = "it has fewer than two tokens"


def text_row(lm: "LanguageModel", text: Text, max_length: int) -> Row:
    """The row of a text, at most `max_length` tokens long; what does not fit leaves at the end.

    It opens as a prompt does that `lm` is asked to continue.
    """
    ids = [*lm.prompt_ids(text.text, chat=False), int(lm.tokenizer.eos_token_id)]
    kept = tuple(ids[:max_length])
    return Row(text.id, kept, kept, cut=len(kept) < len(ids))


def build_text_rows(
    lm: "LanguageModel", texts: Sequence[Text], max_length: int
) -> tuple[list[Row], list[tuple[str, str]]]:
    """The rows of all texts that make one, and (id, reason) of those that do not."""
    rows = [text_row(lm, text, max_length) for text in texts]
    kept = [row for row in rows if len(row.input_ids) > 1]
    rejected = [(row.dialogue_id, TOO_SHORT) for row in rows if len(row.input_ids) <= 1]
    return kept, rejected
