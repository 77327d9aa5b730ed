"""Scores duplicates once, and texts of similar length together."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from detoxlab.scorers.base import FloatArray


def map_distinct(
    score: Callable[[list[str]], FloatArray], texts: Sequence[str], width: int
) -> FloatArray:
    """(N, A) rows of `score`, called once with the distinct texts; order kept.

    `width` is A, for the case of no text at all.

    >>> calls = []
    >>> def lengths(texts):
    ...     calls.append(texts)
    ...     return np.array([[float(len(text))] for text in texts])
    >>> map_distinct(lengths, ["abc", "a", "abc"], 1).ravel().tolist(), calls
    ([3.0, 1.0, 3.0], [['abc', 'a']])
    """
    places: dict[str, int] = {}
    inverse = [places.setdefault(text, len(places)) for text in texts]
    if not places:
        return np.empty((0, width))
    return score(list(places))[inverse]


def length_batches(
    lengths: Sequence[int], *, batch_size: int, batch_tokens: int
) -> Iterator[list[int]]:
    """Indices in batches of similar length, longest first.

    A batch holds at most `batch_size` texts and, padded to its longest, at most
    `batch_tokens` tokens, but always one text.

    >>> list(length_batches([3, 9, 4, 2], batch_size=3, batch_tokens=12))
    [[1], [2, 0, 3]]
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        longest = lengths[batch[0]] if batch else 0
        if batch and (len(batch) == batch_size or longest * (len(batch) + 1) > batch_tokens):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
