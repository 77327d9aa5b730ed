"""Divides data into train and validation: no provocation and no text is on both sides."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from detoxlab.errors import ConfigError, DataError
from detoxlab.records import Dialogue, Preference, Prompt, Text, Turn

T = TypeVar("T")
KindName = Literal["dialogues", "pairs", "prompts", "texts"]
"""The kinds of data that a method can learn from; `detoxlab.data.kinds` holds their table."""


@dataclass(frozen=True)
class Split(Generic[T]):
    """The items to learn from and the items to validate on; no item is on both sides.

    `rejected` are the (id, reason) of items that were left out while reading: they go into the
    run's record.
    """

    train: Sequence[T]
    validation: Sequence[T] = ()
    rejected: Sequence[tuple[str, str]] = ()


class DialogueSplit(Split[Dialogue]):
    """The data of methods that imitate responses."""


class PairSplit(Split[Preference]):
    """The data of methods that prefer one response to another."""


class TextSplit(Split[Text]):
    """The data of methods that imitate whole texts, which have a domain."""


def split_dialogues(
    dialogues: Sequence[Dialogue], *, validation: float = 0.1, seed: int
) -> tuple[list[Dialogue], list[Dialogue]]:
    """Train and validation, both in the given order; the second has about a share `validation`.

    All dialogues that share a user turn (ignoring case, spaces and punctuation) go to one side:
    a model must not be validated on a provocation that it was trained to answer. Groups are
    taken in seeded order as long as they fit.

    Raises `ConfigError` for a share outside (0, 1), `DataError` when the dialogues cannot be
    divided.
    """
    texts = [_provocations(dialogue.turns) for dialogue in dialogues]
    return divide(dialogues, texts, validation, seed, "dialogues")


def split_pairs(
    pairs: Sequence[Preference], *, validation: float = 0.1, seed: int
) -> tuple[list[Preference], list[Preference]]:
    """Preference pairs as `split_dialogues` divides dialogues.

    Pairs without turns stay together when they share a text: all paraphrases of one original.
    """
    texts = [_provocations(pair.turns) or _sides(pair) for pair in pairs]
    return divide(pairs, texts, validation, seed, "pairs")


def split_prompts(
    prompts: Sequence[Prompt], *, validation: float = 0.1, seed: int
) -> tuple[list[Prompt], list[Prompt]]:
    """Prompts as `split_dialogues` divides dialogues: prompts of the same words stay together."""
    return divide(prompts, [[prompt.text] for prompt in prompts], validation, seed, "prompts")


def split_texts(
    texts: Sequence[Text], *, validation: float = 0.1, seed: int
) -> tuple[list[Text], list[Text]]:
    """Texts as `split_dialogues` divides dialogues: texts of the same words stay together."""
    return divide(texts, [[text.text] for text in texts], validation, seed, "texts")


def linked(texts: Sequence[Sequence[str]]) -> list[list[int]]:
    """The indices of the lists of texts in groups that share no text, by first appearance."""
    parent = list(range(len(texts)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first_with: dict[str, int] = {}
    for index, shared in enumerate(texts):
        for text in shared:
            earlier = first_with.setdefault(words_of(text), index)
            older, newer = sorted((root(earlier), root(index)))
            parent[newer] = older
    groups: dict[int, list[int]] = {}
    for index in range(len(texts)):
        groups.setdefault(root(index), []).append(index)
    return list(groups.values())


def words_of(text: str) -> str:
    """The words in lower case, without punctuation: equal for trivial variants of a text.

    >>> words_of("You  FOOL!")
    'you fool'
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(character if character.isalnum() else " " for character in folded)
    return " ".join(kept.split()) or folded


def _provocations(turns: Sequence[Turn]) -> list[str]:
    return [turn.text for turn in turns if turn.role == "user"]


def _sides(pair: Preference) -> list[str]:
    return [text for text in (pair.chosen, pair.rejected) if text is not None]


def divide(
    items: Sequence[T], texts: Sequence[Sequence[str]], validation: float, seed: int, kind: str
) -> tuple[list[T], list[T]]:
    """Train and validation of any items: those that share one of their texts stay together.

    `texts` holds the texts of each item, `kind` is the name of the items in errors, which are
    those of `split_dialogues`.
    """
    if not 0.0 < validation < 1.0:
        raise ConfigError(f"validation is {validation}", remedy="It must be above 0 and below 1.")
    groups = linked(texts)
    if len(groups) < 2:
        raise DataError(
            f"{len(items)} {kind} cannot be divided into train and validation: "
            "they all share user turns",
            remedy=f"Give more {kind}.",
        )
    chosen = _fill(groups, validation * len(items), seed)
    train = [item for index, item in enumerate(items) if index not in chosen]
    held_out = [item for index, item in enumerate(items) if index in chosen]
    return train, held_out


def _fill(groups: list[list[int]], wanted: float, seed: int) -> set[int]:
    """Members of groups, in seeded order, until `wanted` is met as nearly as whole groups allow."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(groups))
    chosen: set[int] = set()
    for position in order:
        group = groups[position]
        if len(chosen) + len(group) <= max(round(wanted), 1):
            chosen.update(group)
    if not chosen:
        chosen.update(groups[min(order, key=lambda position: len(groups[position]))])
    return chosen
