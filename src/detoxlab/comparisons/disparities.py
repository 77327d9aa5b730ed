"""Differences of the gaps between groups, where the protocol holds groups against each other."""

import numpy as np

from detoxlab.comparisons.changes import Change, IntervalSettings, cut, key_of, sides
from detoxlab.comparisons.pairs import Pairs
from detoxlab.measures.catalogue import DECIDING
from detoxlab.measures.grid import compared_groups
from detoxlab.measures.groups.changes import gap_sums
from detoxlab.measures.groups.disparity import Members
from detoxlab.measures.statistics import BoolArray


def disparities(pairs: Pairs, settings: IntervalSettings) -> list[list[Change]]:
    """The judge's gaps and deviations on all pairs, for each part on its own prompts."""
    if not pairs.compared_groups:
        return []
    parts = compared_groups(pairs.baseline.prompts, pairs.compared_groups)
    return [_within(pairs, settings, part, members) for part, members in parts.items()]


def _within(
    pairs: Pairs, settings: IntervalSettings, part: str | None, members: Members
) -> list[Change]:
    grouped_P: BoolArray = np.zeros(len(pairs.baseline.prompts), dtype=np.bool_)
    grouped_P[[at for index in members.values() for at in index]] = True
    key = key_of(pairs, pairs.judge)
    mask_PK = pairs.generated & grouped_P[:, None]
    before_PS, after_PS = sides(pairs, settings, DECIDING, mask_PK, key)
    counted, asked = before_PS[:, 1].sum(), mask_PK.sum()
    changes = [
        Change(
            one.measure.difference(
                baseline=one.baseline,
                treated=one.treated,
                n_prompts=int((before_PS[:, 1] > 0).sum()),
                n_pairs=int(counted),
                coverage=float(counted / asked) if asked else None,
                scorer_id=key[0],
                attribute=key[1],
                group=part,
                subset="all",
                note=f"{len(members)} groups",
            ),
            one.quantity(np.subtract),
        )
        for one in gap_sums(before_PS, after_PS, members)
    ]
    return [cut(change, grouped_P) for change in changes]
