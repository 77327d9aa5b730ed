"""The difference of a macro mean, in which all groups of prompts weigh the same."""

from collections.abc import Mapping, Sequence

import numpy as np

from detoxlab.comparisons.changes import Change, IntervalSettings, key_of, sides
from detoxlab.comparisons.pairs import Pairs
from detoxlab.measures.catalogue import DECIDING, MACRO_MEAN, MEASURES
from detoxlab.measures.grid import prompt_groups
from detoxlab.measures.groups.disparity import by_group, mean_of_ratios
from detoxlab.measures.paired import PairedSums
from detoxlab.measures.statistics import BoolArray, divide


def macro_means(
    pairs: Pairs, settings: IntervalSettings, subsets: Mapping[str, BoolArray]
) -> list[Change]:
    """The mean over groups of their toxic fractions, where the protocol has it.

    Prompts are resampled, groups are not: they are all there are.
    """
    members = prompt_groups(pairs.baseline.prompts, pairs.group_keys)
    if not (pairs.macro_mean and members):
        return []
    grouped_P = np.isin(np.arange(len(pairs.baseline.prompts)), np.concatenate([*members.values()]))
    return [
        _macro_mean(
            pairs, settings, subset, mask_PK & grouped_P[:, None], key_of(pairs, scorer_id), members
        )
        for subset, mask_PK in subsets.items()
        for scorer_id in filter(None, (pairs.judge, pairs.second))
    ]


def _macro_mean(
    pairs: Pairs,
    settings: IntervalSettings,
    subset: str,
    mask_PK: BoolArray,
    key: tuple[str, str],
    members: Mapping[str, Sequence[int]],
) -> Change:
    pooled = sides(pairs, settings, DECIDING, mask_PK, key)
    grouped = (by_group(side_PS, members) for side_PS in pooled)
    both = PairedSums(MEASURES[MACRO_MEAN], mean_of_ratios, *grouped)
    counted, asked = pooled[0][:, 1].sum(), mask_PK.sum()
    difference = both.measure.difference(
        baseline=both.baseline,
        treated=both.treated,
        n_prompts=int((pooled[0][:, 1] > 0).sum()),
        n_pairs=int(counted),
        coverage=float(counted / asked) if asked else None,
        scorer_id=key[0],
        attribute=key[1],
        subset=subset,
        note=f"mean over {len(members)} groups",
    )
    return Change(difference, both.quantity(np.subtract), both.quantity(divide))
