"""Keeps scores on disk between runs, in one SQLite file, which holds hashes and no text.

The folder is that of the environment variable DETOXLAB_CACHE, else ~/.cache/detoxlab.
"""

import hashlib
import os
import sqlite3
import warnings
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from detoxlab.scorers.base import CostlyScorer, FloatArray, Scorer, cut_texts
from detoxlab.scorers.batching import map_distinct

FILE = "scores.sqlite"
LOCK_SECONDS = 30.0
LOOK_UP_AT_ONCE = 500
_TABLE = """
CREATE TABLE IF NOT EXISTS scores (
    scorer TEXT NOT NULL, text_sha256 BLOB NOT NULL, numbers BLOB NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (scorer, text_sha256)
) WITHOUT ROWID
"""


class CacheWarning(UserWarning):
    """The score cache cannot be used; scoring goes on without it."""


class CachedScorer:
    """A scorer that looks its scores up before it computes them.

    A reason that lies in the text (empty, unsupported script) is kept like a score; a failure
    is not, since the next attempt may succeed. Whether a text can be scored is asked of the
    scorer every time: what is kept counts only if it gives the same reason as then. Two processes
    may share the file. A file that cannot be used gives one `CacheWarning` and is not changed.
    """

    def __init__(self, scorer: Scorer, folder: Path | None = None) -> None:
        self.scorer = scorer
        self.path = (folder or default_folder()) / FILE
        self._key = f"{scorer.id} {','.join(scorer.attributes)}"
        self._usable = True

    @property
    def id(self) -> str:
        return self.scorer.id

    @property
    def attributes(self) -> tuple[str, ...]:
        return self.scorer.attributes

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """The scores of `texts` by the scorer itself, computed only where they are not known."""
        return map_distinct(self._score, texts, len(self.attributes))

    def missing_reason(self, text: str) -> str:
        return self.scorer.missing_reason(text)

    def cut(self, texts: Sequence[str]) -> list[bool]:
        """The answer of the scorer itself, which depends on the text alone."""
        return cut_texts(self.scorer, texts)

    def _score(self, texts: list[str]) -> FloatArray:
        digests = [_digest(text) for text in texts]
        known = self._look_up(texts, digests)
        scores_NA = np.full((len(texts), len(self.attributes)), np.nan)
        for row, digest in enumerate(digests):
            if digest in known:
                scores_NA[row] = known[digest]
        unknown = [row for row, digest in enumerate(digests) if digest not in known]
        for rows in parts_to_score(self.scorer, unknown):
            scores_NA[rows] = self.scorer([texts[row] for row in rows])
            self._store([(texts[row], digests[row], scores_NA[row]) for row in rows])
        return scores_NA

    def _look_up(self, texts: list[str], digests: list[bytes]) -> dict[bytes, FloatArray]:
        found: dict[bytes, FloatArray] = {}
        text_of = dict(zip(digests, texts, strict=True))
        if not self._usable:
            return found
        try:
            with closing(self._connect()) as connection:
                for start in range(0, len(digests), LOOK_UP_AT_ONCE):
                    part = digests[start : start + LOOK_UP_AT_ONCE]
                    for digest, numbers, reason in self._rows(connection, part):
                        is_whole = len(numbers) == 8 * len(self.attributes)
                        if is_whole and reason == self.missing_reason(text_of[digest]):
                            found[digest] = np.frombuffer(numbers, dtype="<f8")
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
        return found

    def _rows(
        self, connection: sqlite3.Connection, digests: list[bytes]
    ) -> list[tuple[bytes, bytes, str]]:
        marks = ",".join("?" * len(digests))
        query = (
            "SELECT text_sha256, numbers, reason FROM scores "
            f"WHERE scorer = ? AND text_sha256 IN ({marks})"
        )
        return connection.execute(query, [self._key, *digests]).fetchall()

    def _store(self, scored: list[tuple[str, bytes, FloatArray]]) -> None:
        if not self._usable:
            return
        rows = []
        for text, digest, row_A in scored:
            reason = self.scorer.missing_reason(text) if np.isnan(row_A).any() else ""
            if not reason.startswith("failed"):
                rows.append((self._key, digest, row_A.astype("<f8").tobytes(), reason))
        try:
            with closing(self._connect()) as connection, connection:
                connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)", rows)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=LOCK_SECONDS)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_TABLE)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _give_up(self, error: Exception) -> None:
        self._usable = False
        warnings.warn(
            f"score cache {self.path.name} cannot be used ({error}); scoring goes on without it. "
            "Delete it, or set DETOXLAB_CACHE to another folder.",
            CacheWarning,
            stacklevel=2,
        )


def cached(scorer: Scorer, folder: Path | None = None) -> CachedScorer:
    """The scorer with an on-disk cache in `folder` (by default the user's cache folder)."""
    return scorer if isinstance(scorer, CachedScorer) else CachedScorer(scorer, folder)


def parts_to_score(scorer: Scorer, rows: list[int]) -> list[list[int]]:
    """The rows in parts, each scored and then kept: one part unless the scorer asks for several."""
    size = scorer.texts_at_once if isinstance(scorer, CostlyScorer) else len(rows)
    return [rows[start : start + size] for start in range(0, len(rows), size or 1)]


def default_folder() -> Path:
    """The folder of the user's score cache."""
    return Path(os.environ.get("DETOXLAB_CACHE") or Path.home() / ".cache" / "detoxlab")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
