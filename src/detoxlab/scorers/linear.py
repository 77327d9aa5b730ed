"""`rtp-linear`: hashed character n-grams and a ridge, distilled from Perspective's scores of
RealToxicityPrompts. numpy only; thousands of texts per second on one core.

A text is lower-cased, its white space collapsed, and every window of 2 to 5 of its UTF-8
bytes hashed into one of 2^18 buckets: no word list is shipped. Bucket counts c get the weight
(1 + ln c) x idf, rows have length one, and the linear output goes through a calibration
curve per attribute.
"""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detoxlab.errors import MissingFileError, ScorerError
from detoxlab.scorers.base import (
    ENGLISH,
    PERSPECTIVE_ATTRIBUTES,
    FloatArray,
    unscored_reason,
)
from detoxlab.scorers.batching import map_distinct
from detoxlab.scorers.calibration import Calibration

IntArray = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]

SMALLEST, LARGEST = 2, 5
BUCKET_BITS = 18
BUCKETS = 1 << BUCKET_BITS
CHUNK_BYTES = 1 << 17
_BASE = np.uint64(0x100000001B3)
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Features(NamedTuple):
    """Sparse rows: `buckets_M` and `counts_M` of all texts in turn, `starts_N` where each begins.

    Every text has at least one entry.
    """

    buckets_M: IntArray
    counts_M: IntArray
    starts_N: IntArray


def ngram_counts(texts: Sequence[str]) -> Features:
    """Bucket counts of the character n-grams of each text.

    >>> one, two = ngram_counts(["you fool", "You  fool"]), ngram_counts(["you fool"] * 2)
    >>> all(np.array_equal(a, b) for a, b in zip(one, two))
    True
    """
    # A lone surrogate, as broken emoji leave it, has no UTF-8 form.
    encoded = [f" {' '.join(text.lower().split())} ".encode(errors="replace") for text in texts]
    bytes_L = np.frombuffer(b"".join(encoded), dtype=np.uint8).astype(np.uint64)
    owners_L = np.repeat(np.arange(len(encoded)), [len(part) for part in encoded])
    keys_M = np.concatenate(list(_keys(bytes_L, owners_L)))
    keys_M.sort()
    first_M = np.flatnonzero(np.diff(keys_M, prepend=-1))
    counts_M = np.diff(first_M, append=len(keys_M))
    keys_M = keys_M[first_M]
    starts_N = np.searchsorted(keys_M, np.arange(len(encoded)) << BUCKET_BITS)
    return Features(keys_M & (BUCKETS - 1), counts_M, starts_N)


def _keys(bytes_L: npt.NDArray[np.uint64], owners_L: IntArray) -> Iterator[IntArray]:
    """For each n: text number and bucket of every window of n bytes, in one integer."""
    rolling = bytes_L + np.uint64(1)
    for n in range(2, LARGEST + 1):
        rolling = rolling[:-1] * _BASE + bytes_L[n - 1 :] + np.uint64(1)
        if n < SMALLEST:
            continue
        inside = owners_L[: len(rolling)] == owners_L[n - 1 :]
        hashed = (rolling ^ (rolling >> np.uint64(29))) * _MIX >> np.uint64(64 - BUCKET_BITS)
        keys = (owners_L[: len(rolling)] << BUCKET_BITS) | hashed.astype(np.int64)
        yield keys[inside]


def unit_values(features: Features, idf_V: Float32Array) -> Float32Array:
    """(M,) tf-idf values whose squares sum to one within each text."""
    values_M = (1 + np.log(features.counts_M)).astype(np.float32) * idf_V[features.buckets_M]
    squares_N = np.add.reduceat(values_M * values_M, features.starts_N)
    lengths_N = np.diff(features.starts_N, append=len(values_M))
    norms_N: Float32Array = np.sqrt(np.maximum(squares_N, np.float32(1e-12)))
    values_M /= np.repeat(norms_N, lengths_N)
    return values_M


class LinearScorer:
    """The embedded linear scorer; `weights_VA` are int8 steps of `scale_A`."""

    attributes = PERSPECTIVE_ATTRIBUTES
    languages = ENGLISH

    def __init__(
        self,
        weights_VA: npt.NDArray[np.int8],
        scale_A: Float32Array,
        bias_A: Float32Array,
        idf_V: Float32Array,
        calibration: Calibration,
        *,
        version: str,
    ) -> None:
        self.id = f"rtp-linear@{version}"
        self._weights_VA, self._scale_A, self._bias_A = weights_VA, scale_A, bias_A
        self._idf_V, self._calibration = idf_V, calibration

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, 8) scores in [0, 1]; NaN rows where `missing_reason` is not "": see the card."""
        return map_distinct(self._score, texts, len(self.attributes))

    def missing_reason(self, text: str) -> str:
        return unscored_reason(text, any_script=False, languages=self.languages)

    def _score(self, texts: list[str]) -> FloatArray:
        scores_NA = np.full((len(texts), len(self.attributes)), np.nan)
        scorable = [i for i, text in enumerate(texts) if not self.missing_reason(text)]
        for chunk in _chunks(texts, scorable):
            scores_NA[chunk] = self._calibration(self.raw([texts[i] for i in chunk]))
        return scores_NA

    def raw(self, texts: Sequence[str]) -> FloatArray:
        """(N, 8) outputs before calibration."""
        features = ngram_counts(texts)
        values_M1 = unit_values(features, self._idf_V)[:, None]
        parts_MA = self._weights_VA[features.buckets_M] * values_M1
        sums_NA = np.add.reduceat(parts_MA, features.starts_N, axis=0)
        return (sums_NA * self._scale_A + self._bias_A).astype(np.float64)


def _chunks(texts: Sequence[str], indices: Sequence[int]) -> Iterator[list[int]]:
    """Indices in groups of about `CHUNK_BYTES` characters, so that arrays stay in cache."""
    chunk: list[int] = []
    size = 0
    for index in indices:
        chunk.append(index)
        size += len(texts[index])
        if size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def load_linear(path: Path) -> LinearScorer:
    """The linear scorer stored in an .npz file (no pickle)."""
    if not path.is_file():
        raise MissingFileError(
            f"{path.name} of the embedded scorer rtp-linear is not installed",
            remedy="Install detoxlab again, or build it with scripts/build_scorers.py.",
        )
    stored = _read(path)
    return LinearScorer(
        stored["weights"],
        stored["scale"],
        stored["bias"],
        stored["idf"].astype(np.float32),
        Calibration(
            stored["calibration_inputs"].astype(np.float64),
            stored["calibration_outputs"].astype(np.float64),
        ),
        version=str(stored["version"]),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (ValueError, zipfile.BadZipFile) as error:
        raise ScorerError(
            f"{path.name} of rtp-linear: not a readable .npz file ({error})",
            remedy="Install detoxlab again, or build it with scripts/build_scorers.py.",
        ) from None
