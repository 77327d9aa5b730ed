"""The header of a GGUF file: facts about its model, and the places of its weights.

The layout is that of ggml's specification (docs/gguf.md), versions 2 and 3, little-endian. The
package `gguf` reads it too, but makes an array for each token, which takes seconds.
"""

import mmap
import struct
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

from detoxlab.errors import DependencyError, ModelError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32  # bytes, where the header names no other
AGAIN = "Fetch the file again."
NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
"""The specification's codes for the types of values; `NUMBERS` gives the formats of `struct`."""


@dataclass(frozen=True)
class Tensor:
    """One tensor: its dimensions, ggml's code of its type, and its place among the weights."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class Header:
    """All fields by key, the tensors, and the byte at which the weights begin.

    For an array, `fields` holds only the length.
    """

    path: Path
    fields: dict[str, Any]
    tensors: tuple[Tensor, ...]
    weights_start: int

    @property
    def architecture(self) -> str:
        """ggml's name of the architecture, such as llama; empty where none is named."""
        return str(self.fields.get("general.architecture", ""))

    @property
    def file_type(self) -> str:
        """The type of the weights, such as Q4_1, as the header says; else the type of most of them.

        Raises `ModelError` for a type that the package `gguf` does not know.
        """
        from gguf.constants import LlamaFileType

        stated = self.fields.get("general.file_type")
        if stated in list(LlamaFileType) and stated != LlamaFileType.GUESSED:
            name = LlamaFileType(stated).name
            return name.removeprefix("MOSTLY_").removeprefix("ALL_")
        weights: Counter[str] = Counter()
        for tensor in self.tensors:
            weights[self._type_of(tensor).name] += prod(tensor.shape)
        return weights.most_common(1)[0][0] if weights else "none"

    @property
    def size(self) -> int:
        """The bytes of a whole file with this header; `ModelError` as `file_type`."""
        from gguf.constants import GGML_QUANT_SIZES

        ends = [self.weights_start]
        for tensor in self.tensors:
            block, width = GGML_QUANT_SIZES[self._type_of(tensor)]
            ends.append(self.weights_start + tensor.offset + prod(tensor.shape) // block * width)
        return max(ends)

    def _type_of(self, tensor: Tensor) -> Any:
        from gguf.constants import GGMLQuantizationType

        try:
            return GGMLQuantizationType(tensor.kind)
        except ValueError:
            raise ModelError(
                f"{self.path}: {tensor.name} is stored in a way that gguf does not know "
                f"(type {tensor.kind})",
                remedy="pip install --upgrade gguf.",
            ) from None


def check_package() -> None:
    """Raises `DependencyError` without the package `gguf`."""
    if find_spec("gguf") is None:
        raise DependencyError(
            "GGUF files can only be read by gguf, which is not installed",
            remedy="pip install gguf.",
        )


def read_header(path: Path) -> Header:
    """The header of the file at `path`.

    Raises `ModelError` for a file that is no GGUF, of another version, or cut off in its header.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ModelError(f"{path}: not a GGUF file (it does not begin with GGUF)", remedy=AGAIN)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _parsed(path, _Cursor(data, len(MAGIC)))
            except (struct.error, UnicodeDecodeError, KeyError, OverflowError):
                problem = f"{path}: its header is cut off or broken"
                raise ModelError(problem, remedy=AGAIN) from None


# --- inside ---


@dataclass
class _Cursor:
    """A place in the file that moves on with each value that is read."""

    data: mmap.mmap
    place: int

    def numbers(self, format_: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{format_}", self.data, self.place)
        self.place += struct.calcsize(f"<{format_}")
        return values

    def text(self) -> str:
        (length,) = self.numbers("Q")
        (raw,) = self.numbers(f"{length}s")
        return str(raw, "utf-8")

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            return self.skip_array()
        return self.numbers(NUMBERS[kind])[0]

    def skip_array(self) -> int:
        """Skip an array; returns its length."""
        kind, length = self.numbers("IQ")
        if kind in NUMBERS:
            self.place += length * struct.calcsize(NUMBERS[kind])
            return int(length)
        for _ in range(length):
            if kind == STRING:
                (width,) = self.numbers("Q")
                self.place += width
            else:
                self.value(kind)
        return int(length)


def _parsed(path: Path, cursor: _Cursor) -> Header:
    (version,) = cursor.numbers("I")
    if version not in VERSIONS:
        raise ModelError(
            f"{path}: is GGUF of version {version}, versions 2 and 3 are read",
            remedy="Convert the model again with a current llama.cpp.",
        )
    tensor_count, field_count = cursor.numbers("QQ")
    fields = {cursor.text(): cursor.value(*cursor.numbers("I")) for _ in range(field_count)}
    tensors = tuple(_tensor(cursor) for _ in range(tensor_count))
    alignment = int(fields.get("general.alignment") or ALIGNMENT)
    start = -(-cursor.place // alignment) * alignment
    return Header(path, fields, tensors, start)


def _tensor(cursor: _Cursor) -> Tensor:
    name = cursor.text()
    (dimensions,) = cursor.numbers("I")
    shape = cursor.numbers(f"{dimensions}Q")
    kind, offset = cursor.numbers("IQ")
    return Tensor(name, shape, kind, offset)
