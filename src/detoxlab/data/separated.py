"""Splits CSV and TSV texts into rows, each with its place; handles quoted cells."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from detoxlab.data.files import lines_of
from detoxlab.errors import DataError

MAX_CELL = 16 * 1024 * 1024
HIDDEN_RETURN = "\udc0d"  # half of a surrogate pair, which no UTF-8 file holds

Placed = tuple[str, Mapping[str, str]]
"""The place of a row, `file:line`, and its cells by column."""


def separator_of(text: str) -> str:
    """The sign between the cells of a CSV text, told by its header: a comma if there is one.

    >>> separator_of("id;text\\na;Well, well"), separator_of('"a;b",c'), separator_of("text")
    (';', ',', ',')
    """
    header = next((line for line in lines_of(text) if line), "")
    counts = {sign: re.sub('"[^"]*"', "", header).count(sign) for sign in ",;\t"}
    return "," if counts[","] else max(counts, key=lambda sign: counts[sign])


def quoted_rows(
    path: Path, text: str, separator: str, header: Sequence[str] | None = None
) -> list[Placed]:
    """The rows of a text whose cells may be quoted, and then span lines.

    `header` names the columns of a text without a header. Raises `DataError` with the line.
    """
    csv.field_size_limit(MAX_CELL)
    opened = io.StringIO(_with_hidden_returns(text), newline="")
    reader = csv.reader(opened, delimiter=separator, strict=True)
    rows: list[Placed] = []
    try:
        names = header or _header(path, next(cells for cells in reader if cells))
        start = reader.line_num + 1
        for cells in reader:
            if cells:
                cells = [cell.replace(HIDDEN_RETURN, "\r") for cell in cells]
                rows.append((f"{path}:{start}", _named(f"{path}:{start}", names, cells)))
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}:{reader.line_num}: not valid CSV ({error})",
            remedy='Quote cells that hold separators, and double each " inside them.',
        ) from None
    return rows


def _with_hidden_returns(text: str) -> str:
    """The text whose lines end at line feeds alone, as in `lines_of`, whatever `csv` thinks."""
    return re.sub(r"\r(?!\n)", HIDDEN_RETURN, text) if "\r" in text and "\n" in text else text


def tabbed_rows(
    path: Path, text: str, separator: str = "\t", header: Sequence[str] | None = None
) -> list[Placed]:
    """The rows of a TSV text, with quoting, as in CSV, or without.

    Where every line has as many cells as the header, no cell spans lines. Then only quotes around
    a whole cell are quoting; any other quote is text.
    """
    lines = [(n, line.split(separator)) for n, line in enumerate(lines_of(text), 1) if line]
    names = header or _header(path, [_unquoted(cell) for cell in lines.pop(0)[1]])
    if any(len(cells) != len(names) for _, cells in lines):
        rows = quoted_rows(path, text, separator, header)
        _check_nothing_swallowed(rows, separator, len(names))
        return rows
    return [
        (f"{path}:{number}", dict(zip(names, map(_unquoted, cells), strict=True)))
        for number, cells in lines
    ]


def _unquoted(cell: str) -> str:
    """The contents of a cell that is quoted as a whole; any other cell as it is.

    >>> _unquoted('"A ""big"" hat"'), _unquoted('"Well')
    ('A "big" hat', '"Well')
    """
    inside = cell[1:-1]
    is_quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return inside.replace('""', '"') if is_quoted and '"' not in inside.replace('""', "") else cell


def _check_nothing_swallowed(rows: Iterable[Placed], separator: str, columns: int) -> None:
    """Raise `DataError` where a cell holds a whole line of the file: its quote was text."""
    for place, values in rows:
        for name, cell in values.items():
            further = lines_of(cell)[1:] if columns > 1 else []
            if any(line.count(separator) == columns - 1 for line in further):
                raise DataError(
                    f"{place}: a quote in column {name!r} takes in whole rows after it",
                    remedy='Quote the cell and double each " inside it, or take the quote out.',
                )


def _header(path: Path, header: list[str]) -> list[str]:
    names = [name.strip() for name in header]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}:1: the header names column {twice[0]!r} twice")
    return names


def _named(place: str, header: Sequence[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise DataError(
            f"{place}: has {len(cells)} cells, the header has {len(header)}",
            remedy="Quote cells that hold separators or line breaks.",
        )
    return dict(zip(header, cells, strict=True))
