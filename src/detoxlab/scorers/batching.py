"""Scores duplicates once, and texts of one padded length together."""

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
    """Indices in batches whose texts all have one length, longest first.

    A batch holds at most `batch_size` texts and `batch_tokens` tokens, but always one text.

    >>> list(length_batches([8, 16, 8, 8, 8], batch_size=3, batch_tokens=100))
    [[1], [0, 2, 3], [4]]
    """
    places: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        places.setdefault(length, []).append(index)
    for length, found in sorted(places.items(), reverse=True):
        size = max(1, min(batch_size, batch_tokens // max(1, length)))
        yield from (found[start : start + size] for start in range(0, len(found), size))
