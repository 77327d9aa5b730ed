"""Lines of JSON in files of runs: where each stands, and the row of one of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from detoxlab.errors import DataError
from detoxlab.records import from_json

R = TypeVar("R")


def placed_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number (from 1), offset in bytes and content of each whole line; a cut-off last one is none.

    One line is held at a time.
    """
    at = 0
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if line.endswith(b"\n"):
                yield number, at, line
            at += len(line)


def row_at(handle: BinaryIO, offset: int, length: int, kind: type[R]) -> R:
    """The record in the line at an offset; `DataError` where there is none (any more)."""
    handle.seek(offset)
    return from_json(kind, json_object(handle.read(length)))


def json_object(line: bytes) -> dict[str, Any]:
    """The JSON object in a line; `DataError` without its text where there is none.

    >>> json_object(b'{"a": 1}')
    {'a': 1}
    """
    try:
        row = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise DataError("not valid JSON") from None
    if not isinstance(row, dict):
        raise DataError("not a JSON object")
    return row
