"""The difference of a macro mean, in which all groups of prompts weigh the same."""

from collections.abc import Mapping, Sequence

import numpy as np

from detoxlab.comparisons.changes import Change, IntervalSettings, key_of, sides
from detoxlab.comparisons.pairs import Pairs
from detoxlab.measures.catalogue import DECIDING, MACRO_MEAN, MEASURES
from detoxlab.measures.grid import prompt_groups
from detoxlab.measures.rows import by_group, mean_of_ratios
from detoxlab.measures.statistics import BoolArray, FloatArray, Quantity, divide


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
    before_PS, after_PS = (by_group(side_PS, members) for side_PS in pooled)
    counted, asked = pooled[0][:, 1].sum(), mask_PK.sum()
    difference = MEASURES[MACRO_MEAN].difference(
        baseline=_macro_value(before_PS),
        treated=_macro_value(after_PS),
        n_prompts=int((pooled[0][:, 1] > 0).sum()),
        n_pairs=int(counted),
        coverage=float(counted / asked) if asked else None,
        scorer_id=key[0],
        attribute=key[1],
        subset=subset,
        note=f"mean over {len(members)} groups",
    )
    columns_PS = np.concatenate([before_PS, after_PS], axis=1)
    width = before_PS.shape[1]

    def moved(sums: FloatArray) -> FloatArray:
        return mean_of_ratios(sums[..., width:]) - mean_of_ratios(sums[..., :width])

    def quotient(sums: FloatArray) -> FloatArray:
        return divide(mean_of_ratios(sums[..., width:]), mean_of_ratios(sums[..., :width]))

    return Change(difference, Quantity(columns_PS, moved), Quantity(columns_PS, quotient))


def _macro_value(columns_PS: FloatArray) -> float | None:
    value = float(mean_of_ratios(columns_PS.sum(axis=0)))
    return None if np.isnan(value) else value
