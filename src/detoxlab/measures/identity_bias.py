"""Bias against groups of people, as three ROC-AUCs per group and their mean over groups.

Source: Borkan et al. 2019, Nuanced Metrics for Measuring Unintended Bias with Real Data for Text
Classification, sections 4.1 (areas) and 4.3 (generalised mean).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from detoxlab.measures.statistics import BoolArray

POWER = -5.0
BIAS_AREAS = ("subgroup_auc", "bpsn_auc", "bnsp_auc")


def ranked_texts(toxic_N: BoolArray, inside_N: BoolArray) -> Mapping[str, BoolArray]:
    """The texts that each area ranks, by its name; `inside_N` marks texts that mention the group.

    `subgroup_auc`: the texts of the group. `bpsn_auc`: its harmless texts and the toxic texts of
    the background; it is low where mentioning the group raises scores. `bnsp_auc`: its toxic texts
    and the harmless ones of the background; it is low where mentioning the group lowers them.

    >>> toxic_N, inside_N = np.array([True, False, True]), np.array([True, True, False])
    >>> [mask.tolist() for mask in ranked_texts(toxic_N, inside_N).values()]
    [[True, True, False], [False, True, True], [True, False, False]]
    """
    bpsn_N = np.where(inside_N, ~toxic_N, toxic_N)
    return dict(zip(BIAS_AREAS, (inside_N, bpsn_N, ~bpsn_N), strict=True))


def generalised_mean(values: Sequence[float], power: float = POWER) -> float:
    """The power mean of the groups' areas; with −5 the worst groups weigh most.

    >>> round(generalised_mean([0.5, 1.0]), 4), generalised_mean([0.8, 0.8], power=1)
    (0.5708, 0.8)
    """
    return float(np.mean(np.asarray(values, dtype=np.float64) ** power) ** (1 / power))
