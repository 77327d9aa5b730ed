"""The order of rows in a training: batches of rows of like length, which need little padding."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

Places = NDArray[np.int64]
STRETCH = 50  # batches, as in transformers' LengthGroupedSampler


class LengthGroups(Sampler[int]):
    """The places of rows in batches of like length; each pass has an order of its own.

    The rows are shuffled, sorted by length within stretches of 50 batches, and the batches are
    shuffled; rows that fill no batch come last. `lengths` are in tokens. The order depends on the
    seed and the number of the pass alone, so that a resumed training goes on with it.

    >>> list(LengthGroups([3, 90, 2, 80, 4], batch_size=2, seed=0))
    [1, 3, 4, 0, 2]
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths_N = np.array(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Tell the number of the pass; the data loader does."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths_N)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        places_N = rng.permutation(len(self))
        stretches = _cut(places_N, STRETCH * self.batch_size)
        sorted_N = np.concatenate(
            [part[np.argsort(-self.lengths_N[part], kind="stable")] for part in stretches]
        )
        batches = _cut(sorted_N, self.batch_size)
        full = len(self) // self.batch_size
        for number in [*rng.permutation(full), *range(full, len(batches))]:
            yield from batches[number].tolist()


def _cut(places_N: Places, size: int) -> list[Places]:
    return [places_N[start : start + size] for start in range(0, len(places_N), size)]
