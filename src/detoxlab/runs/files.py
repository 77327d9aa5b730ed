"""Files of rows that only grow, and files that are replaced as a whole."""

import contextlib
import hashlib
import itertools
import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from detoxlab import processes
from detoxlab.errors import (
    DataError,
    MissingFileError,
)
from detoxlab.records import (
    from_json,
    to_line,
)

B = TypeVar("B")
R = TypeVar("R")


class TornLineWarning(UserWarning):
    """The last line of a file was cut off (the program was killed while writing it)."""


def file_name(identifier: str) -> str:
    """A file name for a scorer or encoder id, distinct for distinct ids.

    >>> file_name("rtp-linear@1")
    'rtp-linear@1'
    >>> file_name("org/model")
    'org-model-c87c0c64'
    """
    safe = re.sub(r"[^A-Za-z0-9._@+-]+", "-", identifier)
    if safe == identifier:
        return safe
    return f"{safe}-{hashlib.sha256(identifier.encode()).hexdigest()[:8]}"


def append_rows(path: Path, rows: Sequence[Any]) -> None:
    """Add records to a JSON Lines file in one write, and flush them to the disk.

    Like all functions that write, it does nothing in a process that is not the main one.
    """
    if not processes.is_main():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(row if isinstance(row, str) else to_line(row) for row in rows).encode()
    with _naming(path), path.open("ab") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def complete_lines(path: Path) -> list[bytes]:
    """The lines of a file that end in a newline; a cut-off last one is left out with a warning."""
    return list(lines_of(path))


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, one after the other; a cut-off last one is left out with a warning."""
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.endswith(b"\n"):
                warnings.warn(
                    f"{path}:{number}: the last line is cut off and was dropped",
                    TornLineWarning,
                    stacklevel=3,
                )
                return
            yield line[:-1]


def keep_lines(path: Path, count: int) -> None:
    """Cut a JSON Lines file back to its first `count` lines."""
    if not processes.is_main():
        return
    with path.open("rb") as handle:
        size = sum(map(len, itertools.islice(handle, count)))
    if size != path.stat().st_size:
        os.truncate(path, size)


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """The records of a JSON Lines file.

    Raises `DataError` with file and line for any line but a cut-off last one.
    """
    rows = []
    for number, line in enumerate(complete_lines(path), start=1):
        try:
            rows.append(from_json(kind, json.loads(line)))
        except (DataError, UnicodeDecodeError, json.JSONDecodeError) as error:
            cause = error.message if isinstance(error, DataError) else "not valid JSON"
            raise DataError(f"{path}:{number}: {cause}") from None
    return rows


def read_json(path: Path) -> Any:
    """The content of a JSON file; `DataError` with the place where it is malformed."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from None


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start})") from None


def write_atomically(path: Path, text: str) -> None:
    if not processes.is_main():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _naming(path), draft.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    draft.replace(path)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Adds the file's name to errors of writing; the system names files only on opening."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
