"""Turns token ids into the text of a response: leading spaces, stop strings."""

from collections.abc import Callable, Sequence
from typing import Any

from detoxlab.generate.decode import Draft

CONTEXT = 4
"""Tokens of the text before that decide how a text goes on."""
SLACK = 4

Ids = Sequence[int]


def response_texts(tokenizer: Any, drafts: Sequence[Draft], stop: Sequence[str]) -> list[str]:
    """The text that each draft adds to its prompt's text, cut at the first stop string.

    Special tokens and the token that ended the text are left out.
    """
    contexts = [draft.prompt_ids for draft in drafts]
    texts = added_texts(tokenizer, contexts, [draft.body_ids for draft in drafts])
    return [cut(text, stop) for text in texts]


def added_texts(tokenizer: Any, contexts: Sequence[Ids], bodies: Sequence[Ids]) -> list[str]:
    """decode(context + body) without decode(context), for each pair.

    Decoding the body alone would lose the space before its first token with many
    tokenizers. The last tokens of the context are enough for that. Where the context ends
    within a character, the body is decoded alone.
    """
    starts = [list(context[-CONTEXT:]) for context in contexts]
    before = _decode(tokenizer, starts)
    wholes = _decode(tokenizer, [[*s, *body] for s, body in zip(starts, bodies, strict=True)])
    return [
        whole[len(start) :] if whole.startswith(start) else _decode(tokenizer, [body])[0]
        for start, whole, body in zip(before, wholes, bodies, strict=True)
    ]


def cut(text: str, stop: Sequence[str]) -> str:
    """The text before the first stop string.

    >>> cut("Well said. User: and you?", ["User:", "you"])
    'Well said. '
    """
    places = [place for string in stop if (place := text.find(string)) >= 0]
    return text[: min(places)] if places else text


def stop_check(
    tokenizer: Any, stop: Sequence[str]
) -> Callable[[Sequence[Draft]], list[bool]] | None:
    """A check whether the newest token of each draft completed a stop string; None without any.

    Only the last tokens are decoded: a stop string of n bytes spans at most n of them, and
    a few more are allowed for special tokens, which have no text.
    """
    if not stop:
        return None
    window = max(len(string.encode()) for string in stop) + SLACK

    def stopped(drafts: Sequence[Draft]) -> list[bool]:
        bodies = [draft.token_ids[-window:] for draft in drafts]
        contexts = [[*draft.prompt_ids[-CONTEXT:], *draft.token_ids[:-window]] for draft in drafts]
        texts = added_texts(tokenizer, contexts, bodies)
        return [any(string in text for string in stop) for text in texts]

    return stopped


def _decode(tokenizer: Any, rows: Sequence[Ids]) -> list[str]:
    return [
        str(
            tokenizer.decode(
                list(row), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )
        for row in rows
    ]
