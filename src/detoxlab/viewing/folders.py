"""Run folders under one folder, looked for anew each time, and never a file outside of it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from detoxlab.errors import MissingFileError
from detoxlab.runs.tables import files_of

DEEPEST = 8  # folders below the one that is shown
INNER = frozenset({"generations", "scores", "checkpoints", "adapter", "evaluation", "figures"})
SIGNS = ("run.json", "prompts.jsonl", "generations")  # a folder with one of them is listed

Stamp = tuple[str, int, int]
"""A file by its name, size in bytes, and time of change in nanoseconds."""


@dataclass(frozen=True)
class Place:
    """A run folder under `root`; `key` is its path from there, "." for `root` itself."""

    root: Path
    key: str

    @property
    def path(self) -> Path:
        """The folder."""
        return self.root / self.key

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @property
    def label(self) -> str:
        """The name to show: the key, or the folder's own name for `root` itself."""
        return self.root.name if self.key == "." else self.key

    def file(self, name: str) -> Path:
        """A file of the run.

        Raises `MissingFileError` where it is absent, or a link that leads out of `root`.
        """
        path = self.path / name
        if not path.is_file() or not path.resolve().is_relative_to(self.root):
            raise MissingFileError(f"{self.key}/{name}: no such file")
        return path

    def files(self, folder: str) -> list[Path]:
        """The files of rows in a folder of the run, in file-name order: lines, and large tables."""
        return [self.file(f"{folder}/{path.name}") for path in files_of(self.path / folder)]

    def stamps(self) -> tuple[Stamp, ...]:
        """The stamps of all files that hold responses and scores: equal while nothing changes."""
        named = ("run.json", "prompts.jsonl", "measurements.json")
        paths = [self.path / name for name in named]
        paths += [path for folder in ("generations", "scores") for path in self.files(folder)]
        return tuple(stamp for path in paths if (stamp := _stamp(path)))


def find_runs(root: Path) -> list[Place]:
    """Every run folder in `root` and below, in the order of their keys; links are not followed."""
    top = root.resolve()
    return sorted(_found(top, top, 0), key=lambda place: place.key)


def _found(root: Path, folder: Path, depth: int) -> Iterator[Place]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    if {entry.name for entry in entries} & set(SIGNS):
        yield Place(root, str(folder.relative_to(root)))
    for entry in entries:
        is_inner = entry.name in INNER or entry.name.startswith(".")
        if depth < DEEPEST and not is_inner and entry.is_dir(follow_symlinks=False):
            yield from _found(root, Path(entry.path), depth + 1)


def _stamp(path: Path) -> Stamp | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return path.name, facts.st_size, facts.st_mtime_ns
