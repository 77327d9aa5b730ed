"""A section of an audit: where its texts are, how they are read, and its figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from detoxlab.audits.scored import Examine
from detoxlab.errors import MissingFileError
from detoxlab.records import Prompt

DEPTH = 2  # folders below the one that was named


@dataclass(frozen=True)
class AuditSection:
    """Texts to score, and a function from their scores to figures.

    `patterns` match the names of its files, one file each. `read` makes texts of these files; the
    seed is for sections that draw some. `about` is the attribute that the labels mean; `guide` is
    a sentence or two on how to read the figures.
    """

    key: str
    title: str
    patterns: tuple[str, ...]
    read: Callable[[Sequence[Path], int], list[Prompt]]
    examine: Examine
    about: str
    guide: str

    def files(self, data: Path) -> list[Path]:
        """Its files in a folder or at most two folders below.

        Raises `MissingFileError` with the first name that is not there, but without the folder,
        as cards are passed on.
        """
        return [_find(pattern, data) for pattern in self.patterns]


@dataclass(frozen=True)
class SectionOfSets(AuditSection):
    """A section of several sets, of which those count that are in the folder."""

    def files(self, data: Path) -> list[Path]:
        """Its files that are there; `MissingFileError` where none is."""
        found = [file for pattern in self.patterns for file in _found(pattern, data)[:1]]
        if not found:
            raise MissingFileError(f"none of {', '.join(self.patterns)} in the folder of the data")
        return found


def _find(pattern: str, data: Path) -> Path:
    if found := _found(pattern, data):
        return found[0]
    raise MissingFileError(f"no {pattern} in the folder of the data")


def _found(pattern: str, data: Path) -> list[Path]:
    """The files that match, those that lie least deep."""
    places = (sorted(data.glob("/".join(["*"] * n + [pattern]))) for n in range(DEPTH + 1))
    return next((found for found in places if found), [])
