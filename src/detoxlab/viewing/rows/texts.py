"""Texts of chosen rows, read from the files of their runs: a page of them, or those that match."""

import contextlib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

import numpy as np

from detoxlab.errors import DetoxlabError
from detoxlab.measures.marks import guard_values
from detoxlab.measures.statistics import FloatArray
from detoxlab.records import Generation, Prompt
from detoxlab.runs.tables import Stored
from detoxlab.viewing.folders import Place
from detoxlab.viewing.rows.index import Index, IntArray, Tell
from detoxlab.viewing.rows.lines import json_object, row_at
from detoxlab.viewing.rows.pairing import Rows

R = TypeVar("R")
UNREAD = Prompt("", "", "")
CHUNK = 1_000  # responses in memory at once


@dataclass(frozen=True)
class Shown:
    """One row with its texts; a response is None where its run has none, or it cannot be read."""

    prompt: Prompt | None
    responses: tuple[Generation | None, ...]


class Reader:
    """Reads prompts and responses of one run at their places; a context manager."""

    def __init__(self, place: Place, index: Index) -> None:
        self.place, self.index = place, index
        self._open = contextlib.ExitStack()
        self._files: dict[str, BinaryIO] = {}
        self._tables: dict[str, Stored[Generation]] = {}
        self._asked: tuple[int, str] = (-1, "")

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_raised: object) -> None:
        self._open.close()

    def prompt(self, number: int) -> Prompt | None:
        """A prompt; None where its line cannot be read (any more)."""
        offset, length = self.index.prompts_P2[number].tolist()
        return self._row("prompts.jsonl", offset, length, Prompt)

    def response(self, row: int) -> Generation | None:
        """A response; None where there is none, or its line cannot be read (any more)."""
        if row < 0:
            return None
        file, offset, length = self.index.places_R3[row].tolist()
        name = f"generations/{self.index.files[file]}"
        if name.endswith(".parquet"):
            return self._of_table(name, offset)
        return self._row(name, offset, length, Generation)

    def texts(self, row: int) -> Iterator[str]:
        """The texts of a response and of its prompt, without all else; none that is unreadable."""
        prompt = int(self.index.rows_R2[row, 0])
        if prompt != self._asked[0]:  # samples of one prompt follow each other
            asked = self.prompt(prompt)
            self._asked = (prompt, asked.text if asked else "")
        yield self._asked[1]
        file, offset, length = self.index.places_R3[row].tolist()
        name = f"generations/{self.index.files[file]}"
        if name.endswith(".parquet"):
            found = self._of_table(name, offset)
            yield from [found.text] if found else []
            return
        with contextlib.suppress(DetoxlabError, OSError):
            handle = self._file(name)
            handle.seek(offset)
            yield str(json_object(handle.read(length)).get("text", ""))

    def _of_table(self, name: str, number: int) -> Generation | None:
        try:
            if name not in self._tables:
                self._tables[name] = Stored([self.place.file(name)], Generation)
            return self._tables[name][number]
        except (DetoxlabError, OSError, IndexError):
            return None

    def _row(self, name: str, offset: int, length: int, kind: type[R]) -> R | None:
        try:
            return row_at(self._file(name), offset, length, kind)
        except (DetoxlabError, OSError):
            return None

    def _file(self, name: str) -> BinaryIO:
        if name not in self._files:
            handle = self.place.file(name).open("rb")
            self._files[name] = self._open.enter_context(handle)
        return self._files[name]


def read_rows(places: Sequence[Place], rows: Rows, numbers: Sequence[int]) -> Iterator[Shown]:
    """The rows of these numbers, one after the other; `places` are those of the sides."""
    with _readers(places, rows) as readers:
        for number in numbers:
            sides = rows.rows_NS[number].tolist()
            yield Shown(
                prompt=readers[-1].prompt(int(rows.asked[number])),
                responses=tuple(r.response(row) for r, row in zip(readers, sides, strict=True)),
            )


def matching(
    places: Sequence[Place],
    rows: Rows,
    numbers: IntArray,
    text: str,
    tell: Tell = lambda _share: None,
) -> IntArray:
    """The rows whose prompt or responses hold the text, upper and lower case alike.

    `tell` is told the share of the rows that was looked at.
    """
    wanted, kept = folded(text), []
    with _readers(places, rows) as readers:
        for done, number in enumerate(numbers.tolist()):
            if done % CHUNK == 0:
                tell(done / len(numbers))
            sides = rows.rows_NS[number].tolist()
            pairs = [*zip(readers, sides, strict=True)]
            texts = [one for reader, row in pairs if row >= 0 for one in reader.texts(row)]
            if any(wanted in folded(one) for one in texts):
                kept.append(number)
    return np.array(kept, dtype=np.int64)


def folded(text: str) -> str:
    """The text without differences of case and of compatible forms.

    >>> folded("Fool \\uff38Y") == folded("fool xy")
    True
    """
    return unicodedata.normalize("NFKC", text).casefold()


def read_guard_values(place: Place, index: Index) -> Iterator[FloatArray]:
    """The guards' values of all responses (R, G), a chunk of rows after the other."""
    with Reader(place, index) as reader:
        for start in range(0, len(index), CHUNK):
            rows = range(start, min(start + CHUNK, len(index)))
            asked = [reader.prompt(int(index.rows_R2[row, 0])) for row in rows]
            yield guard_values(
                [one or UNREAD for one in asked],
                [
                    reader.response(row) if one else None
                    for row, one in zip(rows, asked, strict=True)
                ],
                index.stop,
            )


@contextlib.contextmanager
def _readers(places: Sequence[Place], rows: Rows) -> Iterator[list[Reader]]:
    with contextlib.ExitStack() as stack:
        sides = zip(places, rows.sides, strict=True)
        yield [stack.enter_context(Reader(place, index)) for place, index in sides]
