"""Rows in batches that are made when they are asked for, so that large runs stay on disk."""

from collections.abc import Sequence
from typing import TypeVar, overload

R = TypeVar("R")


class Batches(Sequence[Sequence[R]]):
    """The rows of some sequences, one after the other, in batches of `size`.

    >>> batches = Batches([[1, 2, 3], [4, 5]], 2)
    >>> list(batches), len(batches), list(batches[1:])
    ([[1, 2], [3, 4], [5]], 3, [[3, 4], [5]])
    """

    def __init__(
        self, parts: Sequence[Sequence[R]], size: int, numbers: range | None = None
    ) -> None:
        self.parts, self.size = parts, size
        self.rows = sum(map(len, parts))
        self.numbers = range(-(-self.rows // size)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, at: int) -> Sequence[R]: ...

    @overload
    def __getitem__(self, at: slice) -> "Batches[R]": ...

    def __getitem__(self, at: int | slice) -> "Sequence[R] | Batches[R]":
        """A batch, or some of the batches."""
        if isinstance(at, slice):
            return Batches(self.parts, self.size, self.numbers[at])
        start = self.numbers[at] * self.size
        stop = start + self.size
        batch: list[R] = []
        for part in self.parts:
            batch += part[max(0, start) : max(0, stop)]
            start, stop = start - len(part), stop - len(part)
        return batch
