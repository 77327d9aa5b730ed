"""Rows of JSON Lines, JSON, CSV, TSV, Parquet and text files, with the place of each.

A row is one record of the file, its place is `file:line` (`file, row N` in Parquet). Missing
cells are None. No error quotes the text of a cell.
"""

import datetime
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from detoxlab.data.columns import known_columns
from detoxlab.data.files import SUFFIXES, folder_instead, lines_of, read_bytes, read_text, suffix_of
from detoxlab.data.separated import quoted_rows, separator_of, tabbed_rows
from detoxlab.errors import DataError

FIELDS = 'Each row has named fields, such as {"text": …}.'
SAMPLED = 100  # rows that tell which columns hold texts


class TableRow(NamedTuple):
    """One record of a file and the place where it stands."""

    place: str
    values: Mapping[str, Any]


def read_rows(path: Path) -> list[TableRow]:
    """All rows of a file, in its order; the format is told by the suffix, `.gz` may follow it.

    Raises `DataError` with file and line on anything malformed, `MissingFileError` where
    there is no file.
    """
    if path.is_dir():
        raise folder_instead(path)
    suffix = suffix_of(path)
    if suffix not in READERS:
        raise DataError(
            f"{path}: files of type {suffix or 'without suffix'!r} cannot be read",
            remedy=f"Use {', '.join(SUFFIXES)}, each also with .gz.",
        )
    rows = READERS[suffix](path)
    if not rows:
        raise DataError(f"{path}: holds no rows", remedy="Check that it was written to its end.")
    return rows


def value_of(row: TableRow, column: str) -> Any:
    """The cell of a column, None where it is missing; `a.b` looks inside an object.

    >>> value_of(TableRow("f:1", {"prompt": {"text": "Hello"}}), "prompt.text")
    'Hello'
    """
    if column in row.values:
        return row.values[column]
    value: Any = row.values
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def text_of(row: TableRow, column: str, *, may_be_empty: bool = False) -> str:
    """The text in a column; `DataError` where it is null, no text, empty or not Unicode."""
    value = value_of(row, column)
    if value is None:
        raise _no_value(row, column, may_be_empty)
    if not isinstance(value, str):
        raise DataError(
            f"{row.place}: column {column!r} holds {_kind(value)}, not text",
            remedy=_inside(column, value),
        )
    if not may_be_empty and not value.strip():
        raise DataError(
            f"{row.place}: column {column!r} is empty",
            remedy="Fill it, remove the row, or leave such rows out by --skip-nulls.",
        )
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise DataError(
            f"{row.place}: column {column!r} holds half of a surrogate pair",
            remedy="The text was cut inside a character: remove or repair the row.",
        )
    return value


def whole_number(row: TableRow, column: str, remedy: str) -> int:
    """The whole number in a column, however it is written (2, 2.0, "2", "2.0").

    Raises `DataError` for anything else; a boolean is no number.
    """
    value = plain(value_of(row, column))
    if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        return int(value)
    raise DataError(f"{row.place}: column {column!r} holds no whole number", remedy=remedy)


def file_of(rows: Sequence[TableRow]) -> str:
    """The file (or hub id) that the first row stands in.

    >>> [file_of([TableRow(place, {})]) for place in ("p.jsonl:1", "p.parquet, row 1")]
    ['p.jsonl', 'p.parquet']
    """
    place = rows[0].place.partition(", ")[0]
    return place.rpartition(":")[0] or place


def check_columns(rows: Sequence[TableRow], columns: Iterable[str]) -> None:
    """Raise `DataError`, naming the known columns, unless each column is in some row."""
    for column in columns:
        if not _is_column(rows, column):
            known = known_columns(column, names_of(rows, column))
            raise DataError(f"{file_of(rows)}: no column {column!r}", remedy=known)


def check_named(rows: Sequence[TableRow], options: Mapping[str, str], *, said: str = "") -> None:
    """As `check_columns`, for the columns by the start of the option that names each.

    The error shows the option to type with a column of the file. `said` stands for "no column 'x'".
    """
    for option, column in options.items():
        if _is_column(rows, column):
            continue
        free = [name for name in text_columns(rows) if name not in options.values()]
        known = names_of(rows, column)
        remedy = known_columns(column, known, option=option, guess=free[0] if free else "")
        raise DataError(f"{file_of(rows)}: {said or f'no column {column!r}'}", remedy=remedy)


def _is_column(rows: Sequence[TableRow], column: str) -> bool:
    return any(column in row.values or value_of(row, column) is not None for row in rows)


def options_of(columns: Mapping[str, str]) -> dict[str, str]:
    """Columns by the start of the option that names each.

    >>> options_of({"text": "Utterance (raw)"})
    {'--column text=': 'Utterance (raw)'}
    """
    return {f"--column {name}=": column for name, column in columns.items()}


def text_columns(rows: Sequence[TableRow]) -> list[str]:
    """The columns that hold texts, the longest texts first.

    >>> text_columns([TableRow("f:1", {"n": "1", "id": "a", "said": "Good morning"})])
    ['said', 'id']
    """
    lengths: dict[str, int] = {}
    for row in rows[:SAMPLED]:
        for name, cell in row.values.items():
            if isinstance(plain(cell), str):
                lengths[name] = lengths.get(name, 0) + len(cell)
    return sorted(lengths, key=lambda name: -lengths[name])


def names_of(rows: Iterable[TableRow], column: str = "") -> list[str]:
    """The names of all columns, sorted; if `column` is a path into an object, its fields as well.

    >>> names_of([TableRow("f:1", {"prompt": {"text": "Hello"}, "id": 1})], "prompt.txt")
    ['id', 'prompt', 'prompt.text']
    """
    names: set[str] = set()
    outer = column.partition(".")[0] if "." in column else None
    for row in rows:
        names |= row.values.keys()
        inside = row.values.get(outer) if outer else None
        if isinstance(inside, Mapping):
            names |= {f"{outer}.{name}" for name in inside}
    return sorted(names)


def plain(value: Any) -> Any:
    """The value of a CSV cell: a number, a boolean, None when empty, otherwise its text.

    >>> [plain(cell) for cell in ("0.5", "3", "True", "", "nan", "a b")]
    [0.5, 3, True, None, None, 'a b']
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if not isinstance(value, str):
        return value
    cell = value.strip()
    if cell.lower() in ("true", "false"):
        return cell.lower() == "true"
    if cell.lower() in ("", "nan", "null", "none", "na"):
        return None
    return _number(cell, value)


def _number(cell: str, otherwise: str) -> Any:
    for kind in (int, float):
        try:
            number = kind(cell)
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return otherwise


def _read_json_lines(path: Path) -> list[TableRow]:
    return _json_lines(path, read_text(path))


def _json_lines(path: Path, text: str) -> list[TableRow]:
    rows = []
    for number, line in enumerate(lines_of(text), start=1):
        if line.strip():
            rows.append(_json_row(f"{path}:{number}", line))
    return rows


def _json_row(place: str, line: str) -> TableRow:
    value = _parse(place, line)
    if not isinstance(value, dict):
        raise DataError(f"{place}: {_kind(value)} instead of an object", remedy=FIELDS)
    return TableRow(place, value)


def _parse(place: str, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=lambda _name: None)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise DataError(
            f"{place}: not valid JSON ({error.msg}, {where}character {error.colno})",
            remedy="JSON Lines has one complete object per line.",
        ) from None
    except RecursionError:
        raise DataError(f"{place}: not valid JSON (nested too deeply)") from None


def _read_json(path: Path) -> list[TableRow]:
    """The rows of a JSON array of objects; a .json file of JSON Lines is read as JSON Lines."""
    text = read_text(path)
    if not text.lstrip().startswith("["):
        return _json_lines(path, text)
    items = _parse(str(path), text)
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise DataError(
                f"{path}, item {number}: {_kind(item)} instead of an object", remedy=FIELDS
            )
    return [TableRow(f"{path}, item {number}", item) for number, item in enumerate(items, start=1)]


def read_separated(
    path: Path, separator: str, header: Sequence[str] | None = None
) -> list[TableRow]:
    """The rows of a CSV or TSV file; `header` names the columns of a file without a header.

    A CSV file whose header has no comma may be separated by semicolons or tabs. Raises as
    `read_rows` does.
    """
    text = read_text(path)
    if separator == "," and header is None:
        separator = separator_of(text)
    read = quoted_rows if separator != "\t" or header else tabbed_rows
    return [TableRow(*one) for one in read(path, text, separator, header)]


def _read_parquet(path: Path) -> list[TableRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(read_bytes(path)))
    except (pyarrow.ArrowException, OSError):
        raise DataError(
            f"{path}: not a readable Parquet file (cut off, or of another format)",
            remedy="Download or write it again.",
        ) from None
    rows = table.to_pylist()
    return [
        TableRow(f"{path}, row {number}", cell_of(row)) for number, row in enumerate(rows, start=1)
    ]


def cell_of(value: Any) -> Any:
    """A typed cell, as Parquet and the hub have them, as JSON would hold it.

    Decimals become numbers, durations seconds, dates and times texts in ISO 8601, bytes the text
    that they encode; bytes that are not UTF-8 become a text that `text_of` refuses.

    >>> cell_of([Decimal("0.50"), datetime.date(2024, 5, 1), b"you fool"])
    [0.5, '2024-05-01', 'you fool']
    """
    if isinstance(value, Mapping):
        return {name: cell_of(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [cell_of(item) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="surrogateescape")
    return value


def _read_lines(path: Path) -> list[TableRow]:
    lines = enumerate(lines_of(read_text(path)), start=1)
    return [TableRow(f"{path}:{number}", {"text": line}) for number, line in lines if line.strip()]


def _no_value(row: TableRow, column: str, may_be_empty: bool) -> DataError:
    """The error for a cell without a value: it is null, or this row alone has no such column."""
    names = column.split(".")
    paths = [".".join(names[: count + 1]) for count in range(len(names))]
    null = next((path for path in paths if _is_null(row, path)), None)
    if null is None:
        remedy = known_columns(column, names_of([row], column))
        return DataError(f"{row.place}: column {column!r} is missing", remedy=remedy)
    empty = ' ("" where nothing was said)' if may_be_empty else ""
    return DataError(
        f"{row.place}: column {null!r} is null",
        remedy=f"Fill it{empty}, remove the row, or leave such rows out by --skip-nulls.",
    )


def _is_null(row: TableRow, path: str) -> bool:
    """Whether the cell is there and holds null."""
    outer, _, name = path.rpartition(".")
    holder = value_of(row, outer) if outer else row.values
    is_there = path in row.values or (isinstance(holder, Mapping) and name in holder)
    return is_there and value_of(row, path) is None


def _inside(column: str, value: Any) -> str:
    if isinstance(value, Mapping):
        names = ", ".join(f"{column}.{name}" for name in list(value)[:9])
        return f"Name one of its fields: {names}."
    return "Name a column that holds text."


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    if value is None:
        return "null"
    return names.get(type(value), "a number" if isinstance(value, int | float) else "a value")


READERS: dict[str, Callable[[Path], list[TableRow]]] = {
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json,
    ".csv": lambda path: read_separated(path, ","),
    ".tsv": lambda path: read_separated(path, "\t"),
    ".parquet": _read_parquet,
    ".txt": _read_lines,
}
