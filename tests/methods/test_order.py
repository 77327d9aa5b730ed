"""Batches of rows of like length: each row once in a pass, little padding, order by the seed."""

import numpy as np
import pytest

from detoxlab.methods.loop.order import LengthGroups

LENGTHS = np.random.default_rng(0).integers(10, 500, 1003).tolist()


def passes(order: LengthGroups, count: int) -> list[list[int]]:
    made = []
    for epoch in range(count):
        order.set_epoch(epoch)
        made.append(list(order))
    return made


def padded(places: list[int], size: int) -> int:
    """The tokens of all batches with their padding."""
    batches = [places[i : i + size] for i in range(0, len(places), size)]
    return sum(len(batch) * max(LENGTHS[place] for place in batch) for batch in batches)


@pytest.mark.parametrize("size", [1, 8, 500, 2000])
def test_every_row_comes_once_in_every_pass(size: int) -> None:
    for places in passes(LengthGroups(LENGTHS, size, 0), 2):
        assert sorted(places) == list(range(1003))


def test_hardly_anything_is_padding() -> None:
    places = passes(LengthGroups(LENGTHS, 8, 0), 1)[0]
    assert padded(places, 8) < 1.05 * sum(LENGTHS)
    assert padded(list(range(1003)), 8) > 1.5 * sum(LENGTHS)


def test_long_batches_do_not_come_first() -> None:
    """Learning from long to short in every pass would be an order by length, not chance."""
    places = passes(LengthGroups(LENGTHS, 8, 0), 1)[0][:1000]
    means = np.array(LENGTHS)[places].reshape(-1, 8).mean(axis=1)
    assert abs(np.corrcoef(means, np.arange(125))[0, 1]) < 0.3


def test_the_order_follows_from_the_seed_and_the_pass_alone() -> None:
    first, second = passes(LengthGroups(LENGTHS, 8, 0), 2)
    assert first != second
    assert passes(LengthGroups(LENGTHS, 8, 0), 2) == [first, second]
    assert passes(LengthGroups(LENGTHS, 8, 1), 1) != [first]
