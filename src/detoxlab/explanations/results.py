"""The attributions of one response to its context."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from detoxlab.explanations.texts import Batch

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Attributed:
    """Scores of the T tokens before each of S steps, in the unit of the target.

    `values_ST` is 0 at tokens that come after the step. `target_S` is the attributed quantity.
    `gap_S` is the share of it by which the scores, and what no token gets, miss it; NaN for
    methods whose scores have no sum.
    """

    values_ST: FloatArray
    target_S: FloatArray
    gap_S: FloatArray


def unpadded(
    batch: Batch, values_BST: Tensor, target_BS: Tensor, gap_BS: Tensor
) -> list[Attributed]:
    """One result per row of the batch."""
    return list(_unpadded(batch, values_BST, target_BS, gap_BS))


def _unpadded(
    batch: Batch, values_BST: Tensor, target_BS: Tensor, gap_BS: Tensor
) -> Iterator[Attributed]:
    for b, one in enumerate(batch.exchanges):
        values_ST = values_BST[b, : one.steps, : len(one.read_ids)]
        kept = (values_ST, target_BS[b, : one.steps], gap_BS[b, : one.steps])
        yield Attributed(*(part.detach().float().cpu().numpy().copy() for part in kept))
