"""The class of each token of a text, and the words that tokens make.

C    the prompt's own text
S    the first token, whatever it is: attention rests on it, so its score says little
T    the chat template and the system's text
G    the response so far

A token of both template and text counts as text.
"""

from collections.abc import Iterator, Sequence

from detoxlab.errors import DataError
from detoxlab.explanations.names import CONTENT, SINK, TEMPLATE
from detoxlab.generate.text import CONTEXT, added_texts
from detoxlab.models.language_model import LanguageModel

PROBES = ("Apples", "42?")  # they begin and end with different tokens


def prompt_classes(lm: LanguageModel, text: str, chat: bool, prompt_ids: Sequence[int]) -> str:
    """One letter per token of a prompt as the model was given it; see the top of this file.

    `prompt_ids` may lack the beginning of the prompt (`LanguageModel.shortened`).

    Raises `DataError` when they are not the tokens of this text.
    """
    whole_ids = lm.prompt_ids(text, chat)
    content = content_span(lm, whole_ids, chat)
    classes = [CONTENT if at in content else TEMPLATE for at in range(len(whole_ids))]
    kept = _kept(whole_ids, prompt_ids)
    return SINK + "".join(classes[at] for at in kept[1:])


def content_span(lm: LanguageModel, whole_ids: Sequence[int], chat: bool) -> range:
    """The tokens of a prompt that hold its text: those that other prompts do not share.

    The same prompt with each of two other texts shows which tokens are the template's.
    """
    others = [lm.prompt_ids(probe, chat) for probe in PROBES]
    before = min(_shared(whole_ids, other) for other in others)
    after = min(_shared(whole_ids[::-1], other[::-1]) for other in others)
    return range(before, max(before, len(whole_ids) - after))


def template_ids(lm: LanguageModel, prompt_ids: Sequence[int], classes: str) -> tuple[int, ...]:
    """The prompt without its text: what is left of a chat template, or the opening of a text.

    The first token is left out where the prompt is nothing but text.
    """
    opening = lm.prompt_ids("", chat=False)[:1]
    kept = [token for token, kind in zip(prompt_ids, classes, strict=True) if kind == TEMPLATE]
    if kept or list(prompt_ids[:1]) == opening:
        return (prompt_ids[0], *kept)
    return tuple(opening)


def pieces(lm: LanguageModel, ids: Sequence[int]) -> list[str]:
    """The text of each token, after those before it; special tokens by their names."""
    special = set(lm.tokenizer.all_special_ids)
    contexts = [ids[max(0, at - CONTEXT) : at] for at in range(len(ids))]
    texts = added_texts(lm.tokenizer, contexts, [[token] for token in ids])
    return [
        str(lm.tokenizer.convert_ids_to_tokens(token)) if token in special else text
        for token, text in zip(ids, texts, strict=True)
    ]


def words(texts: Sequence[str], classes: str) -> list[int]:
    """The number of the word that each token belongs to, from 0.

    A word begins after white space, and where the class changes; tokens of the template are
    words of their own. Languages without spaces have long words.

    >>> words(["Good", " m", "orn", "ing", "!", "\\n", "So"], "SCCCCCC")
    [0, 1, 1, 1, 1, 2, 3]
    """
    return list(_words(texts, classes))


# --- inside ---


def _words(texts: Sequence[str], classes: str) -> Iterator[int]:
    number = -1
    for at, (text, kind) in enumerate(zip(texts, classes, strict=True)):
        before = texts[at - 1] if at else " "
        begins = text[:1].isspace() or before[-1:].isspace()
        if begins or kind == TEMPLATE or classes[at - 1 : at] != kind:
            number += 1
        yield number


def _shared(ids: Sequence[int], other: Sequence[int]) -> int:
    """The number of tokens with which both begin."""
    pairs = enumerate(zip(ids, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(ids), len(other)))


def _kept(whole_ids: Sequence[int], prompt_ids: Sequence[int]) -> list[int]:
    """The places in the whole prompt of the tokens that the model was given."""
    count = len(prompt_ids)
    last = list(range(len(whole_ids) - count, len(whole_ids)))
    for kept in (last, [0, *last[1:]]):
        if [whole_ids[at] for at in kept if at >= 0] == list(prompt_ids):
            return kept
    raise DataError(
        f"a prompt of {count} tokens is not what the tokenizer makes of its text now "
        f"({len(whole_ids)} tokens)",
        remedy="Take the tokenizer and chat template with which the run was made.",
    )
