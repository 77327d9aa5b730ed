"""Results about runs, worked out once in the background and kept while their files stay the same.

Indexes of large runs, guards and comparisons are also files in a folder of their own, outside of
the runs: by default `view` in the user's cache folder.
"""

import contextlib
import hashlib
import json
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWorking
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from detoxlab.errors import DetoxlabError, RunError
from detoxlab.measures.statistics import FloatArray
from detoxlab.records import Comparison, from_json
from detoxlab.runs import read_json
from detoxlab.scorers.cache import default_folder
from detoxlab.viewing.folders import Place
from detoxlab.viewing.rows.index import Index, IntArray, Tell, build_index, of_arrays, to_arrays
from detoxlab.viewing.rows.pairing import Rows, alone, paired

VERSION = 1  # of the kept files
PATIENCE = 0.4  # seconds that a page waits for a result
LARGE = 5_000  # responses from which an index is kept as a file
MOST_FILES, MOST_RESULTS = 200, 64
T = TypeVar("T")


@dataclass(frozen=True)
class Working:
    """A result that is being worked out; `share` of it is done, in [0, 1]."""

    share: float = 0.0


@dataclass(frozen=True)
class Failed:
    """A result that there is not, and the cause."""

    cause: str


class _Task(Generic[T]):
    """One result in the making."""

    def __init__(self, root: Path, pool: ThreadPoolExecutor, work: Callable[[Tell], T]):
        self.root, self.share = root, 0.0  # causes name files from `root`
        self.future: Future[T] = pool.submit(work, self._tell)

    def _tell(self, share: float) -> None:
        self.share = share

    def result(self, patience: float) -> T | Working | Failed:
        """The result, after at most `patience` seconds."""
        try:
            return self.future.result(timeout=patience)
        except StillWorking:
            return Working(self.share)
        except CancelledError:
            return Failed("the server stops")
        except (DetoxlabError, OSError, MemoryError) as error:
            return Failed(str(error).replace(f"{self.root}/", "") or type(error).__name__)


class Store:
    """Indexes, guards and comparisons of the runs under one folder; close it at the end."""

    def __init__(self, folder: Path | None = None, *, patience: float = PATIENCE) -> None:
        self.folder = folder or default_folder() / "view"
        self.patience = patience
        self._tasks: OrderedDict[str, _Task[Any]] = OrderedDict()
        self._latest: dict[Path, Index] = {}
        self._rows: OrderedDict[tuple[int, ...], Rows] = OrderedDict()
        self._indexing = ThreadPoolExecutor(1)
        self._long = ThreadPoolExecutor(1)
        self._process: subprocess.Popen[str] | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        self._forget_old_files()

    def close(self) -> None:
        """Stop what is being worked out."""
        for pool in (self._indexing, self._long):
            pool.shutdown(wait=False, cancel_futures=True)
        if self._process is not None:
            self._process.kill()

    def index(self, place: Place) -> Index | Working | Failed:
        """The index of a run; while a growing run is read anew, the one before."""
        path = self._file("index", (place,)).with_suffix(".npz")
        task = self._task(
            place, path.name, self._indexing, lambda tell: self._read(place, path, tell)
        )
        found = task.result(self.patience)
        if isinstance(found, Index):
            self._latest[place.path] = found
        elif isinstance(found, Working):
            return self._latest.get(place.path, found)
        return found

    def guards(self, place: Place) -> FloatArray | Working | Failed:
        """The guards' values of a run's responses (R, G)."""
        path = self._file("guards", (place,)).with_suffix(".npz")

        def read(tell: Tell) -> FloatArray:
            if not path.exists():
                self._run(path, tell, "guards", place)
            with np.load(path, allow_pickle=False) as arrays:
                return np.asarray(arrays["values_RG"], dtype=np.float64)

        return self._task(place, path.name, self._long, read).result(self.patience)

    def comparison(self, baseline: Place, treated: Place) -> Comparison | Working | Failed:
        """The comparison of two runs: their recipe's, or one with the usual limits."""
        known = stored_comparison(baseline, treated)
        if known is not None:
            return known
        path = self._file("comparison", (baseline, treated)).with_suffix(".json")

        def read(tell: Tell) -> Comparison:
            if not path.exists():
                self._run(path, tell, "comparison", baseline, treated)
            return from_json(Comparison, read_json(path))

        return self._task(treated, path.name, self._long, read).result(self.patience)

    def known_comparison(self, baseline: Place, treated: Place) -> Comparison | None:
        """The comparison of two runs if it was made before; nothing is worked out."""
        known = stored_comparison(baseline, treated)
        path = self._file("comparison", (baseline, treated)).with_suffix(".json")
        if known is not None or not path.exists():
            return known
        with contextlib.suppress(DetoxlabError, OSError):
            return from_json(Comparison, read_json(path))
        return None

    def search(
        self,
        asked: tuple[Sequence[Place], object, str],
        work: Callable[[Tell], IntArray],
    ) -> IntArray | Working | Failed:
        """The numbers of the rows that hold a text; `asked` is all that they depend on."""
        places, *rest = asked
        name = f"{self._file('search', tuple(places)).name} {rest!r}"
        return self._task(places[-1], name, self._indexing, work).result(self.patience)

    def rows(self, sides: tuple[Index, ...]) -> Rows:
        """The rows of one index, or of two paired; the last few are kept."""
        key = tuple(map(id, sides))
        rows = self._rows.get(key)
        if rows is None:
            rows = paired(*sides) if len(sides) > 1 else alone(*sides)
        self._rows[key] = rows
        while len(self._rows) > MOST_RESULTS // 4:
            self._rows.popitem(last=False)
        return rows

    # --- inside ---

    def _read(self, place: Place, path: Path, tell: Tell) -> Index:
        if (kept := _kept_index(path)) is not None:
            return kept
        index = build_index(place, tell)
        if len(index) >= LARGE:
            draft = path.with_name(f".{path.name}.tmp")
            arrays: dict[str, Any] = to_arrays(index)
            with draft.open("wb") as handle:
                np.savez(handle, **arrays)
            draft.replace(path)
        return index

    def _run(self, out: Path, tell: Tell, kind: str, *places: Place) -> None:
        """Work in another process, which leaves its result at `out`."""
        words = [str(out), kind, str(places[0].root), *(place.key for place in places)]
        command = [sys.executable, "-m", "detoxlab.viewing.work", *words]
        said = ""
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            self._process = process
            for line in process.stdout or ():
                try:
                    tell(float(line))
                except ValueError:
                    said = line.strip() or said
        self._process = None
        if process.returncode:
            raise RunError(said or f"ended with code {process.returncode}")

    def _task(
        self, place: Place, name: str, pool: ThreadPoolExecutor, work: Callable[[Tell], T]
    ) -> _Task[T]:
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = _Task(place.root, pool, work)
        self._tasks.move_to_end(name)
        while len(self._tasks) > MOST_RESULTS and next(iter(self._tasks.values())).future.done():
            self._tasks.popitem(last=False)
        return task

    def _file(self, kind: str, places: tuple[Place, ...]) -> Path:
        """The file of a result: its name changes whenever a file of the runs does."""
        facts = [(str(place.path), place.stamps()) for place in places]
        text = json.dumps([VERSION, kind, facts])
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        return self.folder / f"{kind}-{digest}"

    def _forget_old_files(self) -> None:
        kept = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept[MOST_FILES:]:
            path.unlink(missing_ok=True)


def _kept_index(path: Path) -> Index | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return of_arrays(dict(arrays))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def stored_comparison(baseline: Place, treated: Place) -> Comparison | None:
    """The comparison that a recipe wrote beside its runs, unless one of them changed since."""
    folder = Place(baseline.root, str(baseline.path.parent.relative_to(baseline.root)))
    if baseline.path.parent != treated.path.parent or baseline.key == ".":
        return None
    try:
        path = folder.file("comparisons.json")
        newest = max(time for place in (baseline, treated) for *_, time in place.stamps())
        if path.stat().st_mtime_ns < newest:
            return None
        rows = [from_json(Comparison, row) for row in read_json(path)]
    except (DetoxlabError, OSError, TypeError):
        return None
    names = (baseline.name, treated.name)
    return next((row for row in rows if (row.baseline, row.treated) == names), None)
