"""Whole texts as token ids and labels: every token is learnt, and the end token after them.

A text to classify is followed by a question and its answer; then either all of it is learnt
(a loss over the text) or the answer alone (a loss over the label).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from detoxlab.methods.rows.dialogue import IGNORED, TokenRow
from detoxlab.records import Text

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

TOO_SHORT = "it has fewer than two tokens"


def text_row(lm: "LanguageModel", text: Text, max_length: int, *, whole: bool = True) -> TokenRow:
    """The row of a text, at most `max_length` tokens long; longer texts are cut at the end.

    It begins like a prompt that `lm` is asked to continue. A question about the text and its
    answer always stay: only the text before them is cut. Where there is an answer and `whole` is
    false, only the answer and the end token are learnt.

    Raises `DataError` when question and answer leave no room for the text.
    """
    if text.answer:
        return _asked_row(lm, text, max_length, whole)
    ids = [*lm.prompt_ids(text.text, chat=False), int(lm.tokenizer.eos_token_id)]
    kept = tuple(ids[:max_length])
    return TokenRow(text.id, kept, kept, cut=len(kept) < len(ids))


def build_text_rows(
    lm: "LanguageModel", texts: Sequence[Text], max_length: int, *, whole: bool = True
) -> tuple[list[TokenRow], list[tuple[str, str]]]:
    """The rows of all texts that make one, and (id, reason) of the other texts."""
    rows = [text_row(lm, text, max_length, whole=whole) for text in texts]
    kept = [row for row in rows if len(row.input_ids) > 1]
    rejected = [(row.dialogue_id, TOO_SHORT) for row in rows if len(row.input_ids) <= 1]
    return kept, rejected


def _asked_row(lm: "LanguageModel", text: Text, max_length: int, whole: bool) -> TokenRow:
    from detoxlab.models.questions import asked_text  # torch comes with it

    answer = (*lm.piece_ids(text.answer), int(lm.tokenizer.eos_token_id))
    asked = asked_text(
        lm, text.text, text.question, answer_tokens=len(answer), max_length=max_length
    )
    ids = asked.ids + answer
    labels = ids if whole else (IGNORED,) * len(asked.ids) + answer
    return TokenRow(text.id, ids, labels, asked.cut, closing=len(ids) - len(asked.text))
