"""A text and a question about it as token ids, cut so that the question always fits."""

from typing import NamedTuple

from detoxlab.errors import DataError
from detoxlab.models.language_model import LanguageModel


class AskedText(NamedTuple):
    """Ids of a text and of the question after it; `cut` says whether the text lost its end."""

    text: tuple[int, ...]
    question: tuple[int, ...]
    cut: bool

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids that the model reads before it answers."""
        return self.text + self.question


def asked_text(
    lm: LanguageModel, text: str, question: str, *, answer_tokens: int, max_length: int
) -> AskedText:
    """`text` and `question` as ids, which leave room for `answer_tokens` within `max_length`.

    Text, question and answer are tokenised apart, so that training and evaluation read the
    same ids whatever the text ends with. Only the text is ever cut, at its end.

    Raises `DataError` when no token of the text would be left.
    """
    ids, asked = lm.prompt_ids(text, chat=False), lm.piece_ids(question)
    room = max_length - len(asked) - answer_tokens
    if room < 1:
        raise DataError(
            f"max_length {max_length} has no room for a text: the question takes {len(asked)} "
            f"tokens, the answer {answer_tokens}",
            remedy="Raise max_length, or ask a shorter question.",
        )
    return AskedText(tuple(ids[:room]), tuple(asked), cut=len(ids) > room)
