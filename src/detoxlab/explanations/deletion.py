"""Leave-one-out deletion: by how much a target falls when one token is taken out of the text.

The plain reference for other methods: exact, for every architecture and steering, at the price of
one forward pass per token. One pass without a token serves all steps after it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from detoxlab.explanations.reading import plain_logits
from detoxlab.explanations.results import Attributed, unpadded
from detoxlab.explanations.targets import Target
from detoxlab.explanations.texts import Batch, Exchange, batches
from detoxlab.subject import Subject

ROWS = 32


@dataclass(frozen=True)
class Deletion:
    """F(text) − F(text without the token), signed; positive where the token speaks for F.

    The only token of a prompt cannot be taken out: its score is 0.
    """

    subject: Subject

    def attribute(self, batch: Batch, target: Target) -> list[Attributed]:
        """The attributions of a batch, row by row; they have no completeness gap."""
        logits_NV = plain_logits(self.subject, batch)
        given_N = target.given(batch, logits_NV)
        whole_BS = batch.by_row(target.value(logits_NV, given_N))
        given_BS = batch.by_row(given_N)
        values_BST = whole_BS.new_zeros(*whole_BS.shape, batch.ids_BT.shape[1])
        cuts = [cut for row, one in enumerate(batch.exchanges) for cut in _cuts(row, one)]
        for chosen, part in batches(batch.lm, [cut.left for cut in cuts], ROWS):
            spans = [cuts[at].steps for at in chosen]
            rows = [cuts[at].row for at in chosen]
            given_N = torch.cat([given_BS[r, span] for r, span in zip(rows, spans, strict=True)])
            left_BS = part.by_row(target.value(plain_logits(self.subject, part), given_N))
            for at, left_S in zip(chosen, left_BS, strict=True):
                cut = cuts[at]
                fall_S = whole_BS[cut.row, cut.steps] - left_S[: cut.left.steps]
                values_BST[cut.row, cut.steps, cut.place] = fall_S
        return unpadded(batch, values_BST, whole_BS, torch.full_like(whole_BS, torch.nan))


@dataclass(frozen=True)
class _Cut:
    """One row without the token at `place`; `left` asks the steps after it, `steps` of the row."""

    row: int
    place: int
    steps: slice
    left: Exchange


def _cuts(row: int, one: Exchange) -> Iterator[_Cut]:
    every = slice(0, one.steps)
    for place in range(len(one.prompt_ids) if len(one.prompt_ids) > 1 else 0):
        yield _Cut(
            row,
            place,
            every,
            Exchange(_without(one.prompt_ids, place), one.response_ids, one.start),
        )
    for at in range(len(one.response_ids) - 1):
        start = max(one.start, at + 1)
        left = Exchange(one.prompt_ids, _without(one.response_ids, at), start - 1)
        yield _Cut(row, len(one.prompt_ids) + at, slice(start - one.start, one.steps), left)


def _without(ids: tuple[int, ...], at: int) -> tuple[int, ...]:
    return ids[:at] + ids[at + 1 :]
