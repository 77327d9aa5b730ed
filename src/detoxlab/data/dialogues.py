"""Reads dialogues from rows in four layouts and checks each turn by turn.

A well-formed dialogue begins with the user, perhaps after a turn of the system, alternates, and
ends with the assistant. Any other dialogue is odd: it is set aside with its reason, never dropped
silently. A row that cannot be read at all is an error.
"""

import itertools
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from detoxlab.data.columns import MAX_NAME
from detoxlab.data.source import DialogueSet, sift, with_text
from detoxlab.data.tabular import (
    TableRow,
    check_named,
    file_of,
    options_of,
    text_columns,
    text_of,
    value_of,
    whole_number,
)
from detoxlab.data.where import truth
from detoxlab.errors import DataError
from detoxlab.records import SYSTEM, Dialogue, Turn, content_id

ROLES = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "hs": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "cn": "assistant",
    "system": SYSTEM,
}
TURN_COLUMNS = ("turns", "messages", "conversations")
PAIR_COLUMNS = ("prompt", "response")
COMPLETION_COLUMNS = ("prompt", "completion")
LONG_COLUMNS = ("dialogue", "turn", "role", "text")


def read(
    rows: Sequence[TableRow], columns: Mapping[str, str], source: str, skip_nulls: bool = False
) -> DialogueSet:
    """Dialogues in the layout that the columns show; `columns` maps our names to the file's.

    Layouts: `turns` (a list of objects with role and text or content) per row; `prompt` and
    `response` or `completion` per row, each a text or such a list; `dialogue`, `turn`, `role` and
    `text` of one turn per row. With `skip_nulls` rows without a text are left out.
    """
    if skip_nulls:
        rows = with_text(rows, _read_columns(rows, columns), source)
    if set(LONG_COLUMNS) <= set(columns):
        return from_long(rows, columns, source)
    if {"prompt"} < set(columns) & {*PAIR_COLUMNS, *COMPLETION_COLUMNS}:
        return from_pairs(rows, columns, source)
    present = {name for row in rows for name in row.values}
    if "turns" in columns or present & set(TURN_COLUMNS):
        return from_turns(rows, columns, source)
    layouts = (
        (PAIR_COLUMNS, from_pairs),
        (COMPLETION_COLUMNS, from_pairs),
        (LONG_COLUMNS, from_long),
    )
    for wanted, parse in layouts:
        if {columns.get(name, name) for name in wanted} <= present:
            return parse(rows, columns, source)
    raise DataError(
        f"{file_of(rows)}: no dialogues in columns {', '.join(sorted(present))}",
        remedy=f"{_guess(rows)}Columns are named for turns, or for prompt and response or "
        "completion, or for dialogue, turn, role and text.",
    )


def _read_columns(rows: Sequence[TableRow], columns: Mapping[str, str]) -> list[str]:
    """The columns of turns and texts that the rows have."""
    names = dict.fromkeys((*TURN_COLUMNS, *PAIR_COLUMNS, *COMPLETION_COLUMNS, "text"))
    mapped = [columns.get(name, name) for name in names]
    return [name for name in mapped if any(value_of(row, name) is not None for row in rows)]


def _guess(rows: Sequence[TableRow]) -> str:
    """The options that name the two columns with the longest texts, in the file's order."""
    longest = [name for name in text_columns(rows) if name.lower() != "id"][:2]
    names = [name for name in rows[0].values if name in longest and len(name) <= MAX_NAME]
    if len(names) < 2:
        return ""
    typed = options_of(dict(zip(PAIR_COLUMNS, names, strict=True)))
    return f"Type {' '.join(start + shlex.quote(name) for start, name in typed.items())}. "


def from_turns(rows: Sequence[TableRow], columns: Mapping[str, str], source: str) -> DialogueSet:
    """A dialogue per row, its turns in a list."""
    default = next((n for n in TURN_COLUMNS if value_of(rows[0], n) is not None), "turns")
    name = columns.get("turns", default)
    check_named(rows, options_of({"turns": name}))
    found = []
    for row in rows:
        found.append((row.place, _dialogue(row, columns, turns_of(row, name), source), ""))
    return checked(found)


def from_pairs(rows: Sequence[TableRow], columns: Mapping[str, str], source: str) -> DialogueSet:
    """A dialogue per row, with prompt and response in two columns: each a text, or turns.

    Where completions are labelled (TRL's unpaired preferences), the undesirable ones are odd.
    """
    present = {name for row in rows for name in row.values}
    names = {name: columns.get(name, name) for name in (*PAIR_COLUMNS, "completion", "label")}
    is_completion = "response" not in columns and names["response"] not in present
    answered = "completion" if is_completion else "response"
    prompt, answer = names["prompt"], names[answered]
    check_named(rows, options_of({"prompt": prompt, answered: answer}))
    labels = [truth(value_of(row, names["label"])) for row in rows]
    is_labelled = is_completion and None not in labels
    found = []
    for row, label in zip(rows, labels, strict=True):
        turns = (*_said(row, prompt, "user"), *_said(row, answer, "assistant"))
        reason = "its completion is labelled undesirable" if is_labelled and not label else ""
        found.append((row.place, _dialogue(row, columns, turns, source), reason))
    return checked(found)


def _said(row: TableRow, column: str, role: str) -> tuple[Turn, ...]:
    if isinstance(value_of(row, column), list):
        return turns_of(row, column)
    return (Turn(role, text_of(row, column, may_be_empty=True)),)


def from_long(rows: Sequence[TableRow], columns: Mapping[str, str], source: str) -> DialogueSet:
    """A dialogue per value of the dialogue column, its turns in the order of their numbers."""
    dialogue, turn, role, text = (columns.get(name, name) for name in LONG_COLUMNS)
    check_named(
        rows, options_of(dict(zip(LONG_COLUMNS, (dialogue, turn, role, text), strict=True)))
    )
    by_dialogue: dict[str, list[tuple[int, TableRow]]] = {}
    for row in rows:
        by_dialogue.setdefault(_name(row, dialogue), []).append(
            (whole_number(row, turn, "Number the turns."), row)
        )
    found = []
    for name, numbered in by_dialogue.items():
        ordered = sorted(numbered, key=lambda pair: pair[0])
        turns = tuple(
            Turn(_role(row, value_of(row, role)), text_of(row, text, may_be_empty=True).strip())
            for _number, row in ordered
        )
        first = ordered[0][1]
        made = Dialogue(name, turns, source, _target(first, columns))
        found.append((first.place, made, _order([number for number, _row in ordered])))
    return checked(found)


def checked(found: Sequence[tuple[str, Dialogue, str]]) -> DialogueSet:
    """The well-formed dialogues, and the odd ones with the reason.

    Each comes with its place and, from the layout, a reason already found or "". Raises
    `DataError` when two different dialogues have one id, or when nothing is left.
    """
    good, rejected = sift(
        found,
        lambda dialogue: oddity(dialogue.turns),
        kind="dialogue",
        remedy="A dialogue begins with the user, alternates and ends with the assistant.",
    )
    return DialogueSet(good, rejected)


def oddity(turns: Sequence[Turn]) -> str:
    """The reason why the turns are no dialogue to learn from; "" when they are one.

    >>> oddity([Turn("user", "Hello"), Turn("assistant", "Hello")])
    ''
    >>> oddity([Turn("user", "Hello"), Turn("user", "Well?")])
    'turn 2 is by the user again'
    >>> oddity([Turn("system", "Be kind."), Turn("user", "Hello"), Turn("assistant", "Hello")])
    ''
    """
    first = 1 if turns and turns[0].role == SYSTEM else 0
    if len(turns) < first + 2:
        return f"has {len(turns)} turns, needs {first + 2}"
    if turns[first].role != "user":
        return f"begins with the {turns[first].role}"
    for number in range(first + 1, len(turns)):
        if turns[number].role == SYSTEM:
            return f"turn {number + 1} is by the system, which speaks first or not at all"
        if turns[number].role == turns[number - 1].role:
            return f"turn {number + 1} is by the {turns[number].role} again"
    if turns[-1].role != "assistant":
        return "does not end with the assistant"
    empty = [number for number, turn in enumerate(turns, start=1) if not turn.text.strip()]
    return f"turn {empty[0]} is empty" if empty else ""


def turns_of(row: TableRow, column: str) -> tuple[Turn, ...]:
    """The turns of a column that lists them; `DataError` naming the place of a bad one."""
    turns = value_of(row, column)
    if isinstance(turns, list):
        return tuple(_turn(row, column, number, item) for number, item in enumerate(turns, 1))
    raise DataError(
        f"{row.place}: column {column!r} holds no list of turns",
        remedy="A turn is an object with role and text (or content).",
    )


def _order(numbers: Sequence[int]) -> str:
    for before, after in itertools.pairwise(numbers):
        if before == after:
            return f"turn id {after} is given twice"
        if after != before + 1:
            return f"turn id {before + 1} is missing"
    return ""


def _turn(row: TableRow, column: str, number: int, item: Any) -> Turn:
    place = TableRow(f"{row.place}, {column} {number}", item if isinstance(item, Mapping) else {})
    role = next((place.values[n] for n in ("role", "from") if n in place.values), None)
    names = [name for name in ("text", "content", "value") if name in place.values]
    if role is None or not names:
        raise DataError(
            f"{place.place}: not a turn", remedy="It needs a role and a text (or content)."
        )
    return Turn(_role(place, role), text_of(place, names[0], may_be_empty=True).strip())


def _role(row: TableRow, value: Any) -> str:
    role = ROLES.get(value.strip().lower()) if isinstance(value, str) else None
    if role is None:
        shown = repr(value) if isinstance(value, str) and len(value) < 20 else "given"
        raise DataError(
            f"{row.place}: the role {shown} is not known",
            remedy=f"Roles: {', '.join(ROLES)}.",
        )
    return role


def _dialogue(
    row: TableRow, columns: Mapping[str, str], turns: tuple[Turn, ...], source: str
) -> Dialogue:
    identifier = value_of(row, columns.get("id", "id"))
    said = "\n".join(f"{turn.role}: {turn.text}" for turn in turns)
    name = content_id(said) if identifier in (None, "") else str(identifier)
    return Dialogue(name, turns, source, _target(row, columns))


def _target(row: TableRow, columns: Mapping[str, str]) -> str | None:
    value = value_of(row, columns.get("target", "target"))
    return None if value in (None, "") else str(value)


def _name(row: TableRow, column: str) -> str:
    value = value_of(row, column)
    if value in (None, ""):
        raise DataError(f"{row.place}: column {column!r} is empty", remedy="Name the dialogue.")
    return str(value)
