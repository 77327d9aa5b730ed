"""Preference pairs: two responses to the same turns, of which the first is preferred.

A pair is odd if it teaches nothing, or something wrong: both responses are equal, one is empty,
they answer different turns, the turns do not alternate. It is set aside with its reason, never
dropped silently. A row that cannot be read at all is an error.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from detoxlab.data.dialogues import ROLES, oddity, turns_of
from detoxlab.data.source import PreferenceSet, PreferenceSource, sift, with_text
from detoxlab.data.tabular import (
    TableRow,
    check_columns,
    check_named,
    options_of,
    text_of,
    value_of,
)
from detoxlab.data.where import truth
from detoxlab.errors import DataError
from detoxlab.records import Preference, Turn, content_id

SPEAKER = re.compile(r"(?:^|\n\n)(Human|Assistant):")
NEUTRAL_COLUMNS = ("neutral1", "neutral2", "neutral3")

Found = tuple[str, Preference, str]
"""A pair with its place and a reason, already found, why it is odd ("" if there is none)."""


class Said(NamedTuple):
    """The contents of a cell: the turns before the response, and the response."""

    before: tuple[Turn, ...]
    response: str


def read(
    rows: Sequence[TableRow], columns: Mapping[str, str], source: str, skip_nulls: bool = False
) -> PreferenceSet:
    """A pair per row; `columns` maps `prompt`, `chosen`, `rejected` and `id` to the file's.

    Each of the three is a text or a list of turns (TRL's conversational layout). A prompt that
    is a text is a turn of the user. Without a prompt column, the turns before the last one of
    `chosen` and `rejected` are the prompt; texts in the layout of hh-rlhf ("\\n\\nHuman: ...")
    are divided into turns; other texts are whole texts, a pair without turns. Without `chosen`
    and `rejected`, `completion` and `label` are read: single responses, see `read_unpaired`.
    With `skip_nulls` rows without a response are left out.
    """
    present = {name for row in rows for name in row.values} | set(columns)
    if {"completion", "label"} <= present and not {"chosen", "rejected"} & present:
        return read_unpaired(rows, columns, source, skip_nulls)
    names = ("prompt", "chosen", "rejected", "id")
    prompt, chosen, rejected, identifier = (columns.get(name, name) for name in names)
    check_named(rows, options_of({"chosen": chosen, "rejected": rejected, **columns}))
    if skip_nulls:
        rows = with_text(rows, [chosen, rejected], source)
    found = []
    for row in rows:
        asked = _prompt(row, prompt)
        preferred, other = _said(row, chosen, asked), _said(row, rejected, asked)
        reason = "" if preferred.before == other.before else "its responses answer different turns"
        said = (asked + preferred.before, preferred.response, other.response)
        found.append((row.place, _pair(value_of(row, identifier), *said, source), reason))
    return checked(found)


def read_unpaired(
    rows: Sequence[TableRow], columns: Mapping[str, str], source: str, skip_nulls: bool = False
) -> PreferenceSet:
    """A single response per row, desirable or not (TRL's unpaired layout): one side is None.

    `prompt` (which may be missing) and `completion` are texts or lists of turns as in `read`,
    `label` says whether the completion is desirable.
    """
    names = ("prompt", "completion", "label", "id")
    prompt, completion, label, identifier = (columns.get(name, name) for name in names)
    check_named(rows, options_of({"completion": completion, "label": label, **columns}))
    if skip_nulls:
        rows = with_text(rows, [completion, label], source)
    found = []
    for row in rows:
        asked = _prompt(row, prompt)
        said = _said(row, completion, asked)
        good = is_desirable(row, label)
        chosen, rejected = (said.response, None) if good else (None, said.response)
        turns, given = asked + said.before, value_of(row, identifier)
        found.append((row.place, _pair(given, turns, chosen, rejected, source), ""))
    return checked(found)


def is_desirable(row: TableRow, column: str) -> bool:
    """Whether the label calls a single response desirable; `DataError` if it is no yes or no."""
    said = truth(value_of(row, column))
    if said is None:
        raise DataError(
            f"{row.place}: column {column!r} is neither true nor false",
            remedy="Label a desirable response true and an undesirable one false.",
        )
    return said


def read_hh_rlhf(rows: Sequence[TableRow]) -> PreferenceSet:
    """hh-rlhf: whole conversations that differ in their last response."""
    return read(rows, {"chosen": "chosen", "rejected": "rejected"}, "hh-rlhf")


def read_paradetox(rows: Sequence[TableRow]) -> PreferenceSet:
    """ParaDetox: whole texts; each neutral paraphrase is preferred to its toxic original."""
    check_columns(rows, ["toxic", NEUTRAL_COLUMNS[0]])
    return checked(_paraphrases(rows))


def checked(found: Sequence[Found]) -> PreferenceSet:
    """The well-formed pairs, and the odd ones with the reason.

    Raises `DataError` when two different pairs have one id, or when nothing is left.
    """
    pairs, rejected = sift(
        found,
        pair_oddity,
        kind="pair",
        remedy="A pair needs two different responses to the same turns.",
    )
    return PreferenceSet(pairs, rejected)


def pair_oddity(pair: Preference) -> str:
    """The reason why the pair teaches nothing; "" when it is well-formed.

    >>> pair_oddity(Preference("a", (Turn("user", "Well?"),), "Yes.", "Yes.", "mine"))
    'both responses are equal'
    """
    given = {"chosen": pair.chosen, "rejected": pair.rejected}
    texts = {name: text.strip() for name, text in given.items() if text is not None}
    for name, text in texts.items():
        if not text:
            return f"the {name} response is empty"
    if len(texts) == 2 and texts["chosen"] == texts["rejected"]:
        return "both responses are equal"
    return (
        oddity((*pair.turns, Turn("assistant", next(iter(texts.values()))))) if pair.turns else ""
    )


def conversation(text: str) -> tuple[Turn, ...]:
    """The turns of a text in hh-rlhf's layout; none for other texts.

    >>> conversation("\\n\\nHuman: Hello\\n\\nAssistant: Good day")
    (Turn(role='user', text='Hello'), Turn(role='assistant', text='Good day'))
    """
    before, *parts = SPEAKER.split(text)
    if before.strip() or not parts:
        return ()
    said = zip(parts[::2], parts[1::2], strict=True)
    return tuple(Turn(ROLES[speaker.lower()], words.strip()) for speaker, words in said)


def _prompt(row: TableRow, column: str) -> tuple[Turn, ...]:
    value = value_of(row, column)
    if isinstance(value, list):
        return turns_of(row, column)
    if value is None:
        return ()
    text = text_of(row, column, may_be_empty=True)
    return conversation(text) or (Turn("user", text),)


def _said(row: TableRow, column: str, asked: Sequence[Turn]) -> Said:
    """The response in a cell; it may repeat the prompt, as in TRL's implicit layout."""
    if isinstance(value_of(row, column), list):
        turns = turns_of(row, column)
    else:
        text = text_of(row, column, may_be_empty=True)
        turns = conversation(text)
        if not turns:
            return Said((), text)
    if not turns or turns[-1].role != "assistant":
        return Said(turns, "")
    before = turns[:-1]
    repeats = asked and before[: len(asked)] == tuple(asked)
    return Said(before[len(asked) :] if repeats else before, turns[-1].text)


def _pair(
    identifier: Any,
    turns: tuple[Turn, ...],
    chosen: str | None,
    rejected: str | None,
    source: str,
) -> Preference:
    sides = (chosen or "", rejected or "")
    said = "\n".join([*(f"{turn.role}: {turn.text}" for turn in turns), *sides])
    name = content_id(said) if identifier in (None, "") else str(identifier)
    return Preference(name, turns, chosen, rejected, source)


def _paraphrases(rows: Sequence[TableRow]) -> list[Found]:
    return [
        (row.place, _pair(None, (), neutral, text_of(row, "toxic"), "paradetox"), "")
        for row in rows
        for column in NEUTRAL_COLUMNS
        if isinstance(neutral := value_of(row, column), str) and neutral.strip()
    ]


HH_RLHF = PreferenceSource(
    parse=read_hh_rlhf,
    patterns=("hh_rlhf*.jsonl*", "train.jsonl*", "test.jsonl*"),
    hub="Anthropic/hh-rlhf",
)
PARADETOX = PreferenceSource(
    parse=read_paradetox,
    patterns=("paradetox*.tsv*",),
    where="Download it from github.com/s-nlp/paradetox and name the file or its folder as path.",
)
