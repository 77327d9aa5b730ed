"""Prompts out of any rows, by a mapping from our names to the file's columns."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from detoxlab.data.dialogues import turns_of
from detoxlab.data.source import LeftOutWarning, Located, with_text, without_missing
from detoxlab.data.tabular import (
    TableRow,
    check_named,
    options_of,
    plain,
    text_of,
    value_of,
)
from detoxlab.errors import DataError
from detoxlab.records import Prompt, content_id

TEXT_COLUMNS = ("text", "prompt")
META_COLUMNS = ("group", "groups", "label", "kind", "type", "domain", "category", "language")


def read(
    rows: Sequence[TableRow], columns: Mapping[str, str], source: str, skip_nulls: bool = False
) -> Iterable[Located[Prompt]]:
    """A prompt per row; with `skip_nulls` rows without a text are left out.

    `columns` maps `text`, `id` and any meta name to a column. Without it the text is in `text`
    or `prompt` and the id in `id`; the text may be a list of one turn. Without an id it is a
    hash of the text, and rows that repeat a text are left out with a `LeftOutWarning`. Columns
    of numbers and booleans, and those called group, groups, label, kind, type, domain,
    category or language, become meta attributes.
    """
    text, identifier = columns.get("text") or text_column(rows), columns.get("id", "id")
    check_named(rows, options_of({"text": text, **columns}))
    if skip_nulls:
        rows = with_text(rows, [text], source)
    others = {name: column for name, column in columns.items() if name not in ("text", "id")}
    meta_columns = {**_meta_columns(rows, {text, identifier, *others.values()}), **others}
    located, hashed = [], 0
    seen: set[str] = set()
    for row in rows:
        given = value_of(row, identifier)
        prompt = _prompt(row, text, given, meta_columns, source)
        if given in (None, "") and prompt.id in seen:
            hashed += 1
            continue
        seen.add(prompt.id)
        located.append((row.place, prompt))
    if hashed:
        _warn_repeated(hashed, len(rows))
    return located


def _prompt(
    row: TableRow, column: str, identifier: Any, meta_columns: Mapping[str, str], source: str
) -> Prompt:
    text = _text(row, column)
    name = content_id(text) if identifier in (None, "") else str(identifier)
    meta = {key: _meta(key, value_of(row, column)) for key, column in meta_columns.items()}
    return Prompt(name, text, source, without_missing(meta))


def _text(row: TableRow, column: str) -> str:
    """The text of a cell; of a conversation (TRL's layout of prompts) its only turn's."""
    if not isinstance(value_of(row, column), list):
        return text_of(row, column)
    turns = turns_of(row, column)
    if len(turns) != 1 or turns[0].role != "user" or not turns[0].text:
        raise DataError(
            f"{row.place}: column {column!r} holds a conversation of {len(turns)} turns",
            remedy="A prompt is what one turn of the user says.",
        )
    return turns[0].text


def _meta(key: str, value: Any) -> Any:
    """A meta value; names of groups stay texts even where they look like numbers."""
    if key not in META_COLUMNS or value in (None, ""):
        return plain(value)
    return [str(item) for item in value] if isinstance(value, list) else str(value)


def text_column(rows: Sequence[TableRow]) -> str:
    """The column `text` or `prompt`; `DataError` where there is neither."""
    known = {name for row in rows for name in row.values}
    found = [name for name in TEXT_COLUMNS if name in known]
    if not found:
        check_named(rows, options_of({"text": "prompt"}), said="no column 'text' or 'prompt'")
    return found[0]


def _meta_columns(rows: Sequence[TableRow], taken: set[str]) -> dict[str, str]:
    """The columns whose first filled cell is a number or a boolean, and the well-known ones."""
    chosen: dict[str, str] = {}
    for name in dict.fromkeys(name for row in rows for name in row.values):
        if name in taken:
            continue
        values = (plain(row.values.get(name)) for row in rows)
        first = next((value for value in values if value is not None), None)
        if name in META_COLUMNS or isinstance(first, bool | int | float):
            chosen[name] = name
    return chosen


def _warn_repeated(repeated: int, of: int) -> None:
    warnings.warn(
        f"{repeated} of {of} rows repeat the text of an earlier one and were left out",
        LeftOutWarning,
        stacklevel=4,
    )
