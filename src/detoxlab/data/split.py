"""Dialogues divided into train and validation, with no provocation on both sides."""

import unicodedata
from collections.abc import Sequence

import numpy as np

from detoxlab.errors import ConfigError, DataError
from detoxlab.records import Dialogue


def split_dialogues(
    dialogues: Sequence[Dialogue], *, validation: float = 0.1, seed: int
) -> tuple[list[Dialogue], list[Dialogue]]:
    """Train and validation, both in the given order; about `validation` of them in the second.

    Whole dialogues move, and all that share a user turn (but for case, spaces and punctuation)
    move together: a model must not be validated on a provocation it was trained to answer.
    Groups are taken in seeded order as long as they fit.

    Raises `ConfigError` for a share outside (0, 1), `DataError` when the dialogues cannot be
    divided.
    """
    if not 0.0 < validation < 1.0:
        raise ConfigError(f"validation is {validation}", remedy="It must be above 0 and below 1.")
    groups = linked(dialogues)
    if len(groups) < 2:
        raise DataError(
            f"{len(dialogues)} dialogues cannot be divided into train and validation: "
            "they all share user turns",
            remedy="Give more dialogues.",
        )
    chosen = _fill(groups, validation * len(dialogues), seed)
    train = [dialogue for index, dialogue in enumerate(dialogues) if index not in chosen]
    held_out = [dialogue for index, dialogue in enumerate(dialogues) if index in chosen]
    return train, held_out


def linked(dialogues: Sequence[Dialogue]) -> list[list[int]]:
    """The dialogues' indices in groups that share no user turn, by first appearance."""
    parent = list(range(len(dialogues)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first_with: dict[str, int] = {}
    for index, dialogue in enumerate(dialogues):
        for turn in dialogue.turns:
            if turn.role == "user":
                earlier = first_with.setdefault(words_of(turn.text), index)
                older, newer = sorted((root(earlier), root(index)))
                parent[newer] = older
    groups: dict[int, list[int]] = {}
    for index in range(len(dialogues)):
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


def _fill(groups: list[list[int]], wanted: float, seed: int) -> set[int]:
    """Members of groups, in seeded order, until `wanted` is met as nearly as whole groups allow."""
    order = np.random.default_rng(seed).permutation(len(groups))
    chosen: set[int] = set()
    for position in order:
        group = groups[position]
        if len(chosen) + len(group) <= max(round(wanted), 1):
            chosen.update(group)
    if not chosen:
        chosen.update(groups[min(order, key=lambda position: len(groups[position]))])
    return chosen
