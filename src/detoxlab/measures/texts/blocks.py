"""Blocks of responses, and the responses that are in memory as one block."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detoxlab.measures.statistics import BoolArray, FloatArray
from detoxlab.records import Generation

IntArray = NDArray[np.int64]
Index: TypeAlias = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """The responses of N prompts: `rows_N` are the prompts' places in the grid.

    `codes_NK` are places in `distinct`, −1 for an absent response. Of equal responses, by text and
    by how they ended, `distinct` may hold one alone, under any prompt and sample.
    """

    rows_N: IntArray
    codes_NK: NDArray[Any]
    distinct: Sequence[Generation]

    def each(self, value: Callable[[Generation], float | None]) -> FloatArray:
        """A number of each response (N, K); NaN where there is none, or no response to read."""
        values_U = [_number(None if one.error else value(one)) for one in self.distinct]
        return np.asarray(np.array([*values_U, np.nan])[self.codes_NK], dtype=np.float64)

    def each_of(
        self, kinds_N: Sequence[Hashable], value: Callable[[Any, Generation], float | None]
    ) -> FloatArray:
        """The same of each response and the kind of its prompt."""
        kinds = {kind: at for at, kind in enumerate(dict.fromkeys(kinds_N))}
        numbers_N = np.array([kinds[kind] for kind in kinds_N], dtype=np.int64)
        size = len(self.distinct) + 1
        pairs_NK = numbers_N[:, None] * size + self.codes_NK % size
        pairs, places = np.unique(pairs_NK, return_inverse=True)
        names = list(kinds)
        values = []
        for kind, code in zip(*(one.tolist() for one in np.divmod(pairs, size)), strict=True):
            one = self.distinct[code] if code < size - 1 else None
            known = one is not None and not one.error
            values.append(_number(value(names[kind], one) if known and one else None))
        return np.array(values, dtype=np.float64)[places].reshape(self.codes_NK.shape)


class Texts(Protocol):
    """The responses of a grid."""

    @property
    def generated(self) -> BoolArray:
        """True where a generation was asked for (P, K)."""
        ...

    @property
    def answered(self) -> BoolArray:
        """True where there is a response to read (P, K): not absent, and not withheld."""
        ...

    def blocks(self) -> Iterator[Block]:
        """The responses, some prompts at a time."""
        ...

    def rows(self, index: Index) -> "Texts":
        """The responses of some prompts, in the given order."""
        ...


@dataclass(frozen=True)
class HeldTexts:
    """Responses in memory: a row of `k` for each prompt."""

    held: tuple[tuple[Generation | None, ...], ...]
    k: int

    @cached_property
    def generated(self) -> BoolArray:
        """True where a generation was asked for (P, K)."""
        return self._flags([[one is not None for one in row] for row in self.held])

    @cached_property
    def answered(self) -> BoolArray:
        """True where there is a response to read (P, K)."""
        there = [[one is not None and not one.error for one in row] for row in self.held]
        return self._flags(there)

    def blocks(self) -> Iterator[Block]:
        """All responses."""
        distinct = [one for row in self.held for one in row if one is not None]
        codes_PK = np.full((len(self.held), self.k), -1)
        codes_PK[self.generated] = np.arange(len(distinct))
        yield Block(np.arange(len(self.held)), codes_PK, distinct)

    def rows(self, index: Index) -> "HeldTexts":
        """The responses of some prompts, in the given order."""
        return HeldTexts(tuple(self.held[at] for at in index), self.k)

    def _flags(self, rows: list[list[bool]]) -> BoolArray:
        return np.array(rows, dtype=np.bool_).reshape(len(self.held), self.k)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
