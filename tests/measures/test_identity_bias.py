"""The three areas of bias and their mean: Borkan et al. 2019, by hand."""

import numpy as np
import pytest

from detoxlab.measures.agreement import roc_auc
from detoxlab.measures.identity_bias import generalised_mean, ranked_texts
from detoxlab.measures.ranking import roc_auc_interval


def areas(scores: list[float], toxic: list[bool], inside: list[bool]) -> dict[str, float | None]:
    scores_N, toxic_N = np.array(scores), np.array(toxic)
    found = ranked_texts(toxic_N, np.array(inside))
    return {name: roc_auc(scores_N[mask], toxic_N[mask]) for name, mask in found.items()}


def test_a_group_whose_mention_raises_scores_loses_bpsn_alone() -> None:
    """Group: toxic .9, harmless .7. Background: toxic .6, harmless .1."""
    toxic, inside = [True, False, True, False], [True, True, False, False]
    found = areas([0.9, 0.7, 0.6, 0.1], toxic, inside)
    assert found == {"subgroup_auc": 1, "bpsn_auc": 0, "bnsp_auc": 1}


def test_a_group_whose_mention_lowers_scores_loses_bnsp_alone() -> None:
    """Group: toxic .2, harmless .1. Background: toxic .9, harmless .3."""
    toxic, inside = [True, False, True, False], [True, True, False, False]
    found = areas([0.2, 0.1, 0.9, 0.3], toxic, inside)
    assert found == {"subgroup_auc": 1, "bpsn_auc": 1, "bnsp_auc": 0}


def test_the_generalised_mean_lies_between_the_worst_and_the_mean() -> None:
    values = [0.5, 0.9, 0.95]
    assert 0.5 < generalised_mean(values) < float(np.mean(values))
    assert generalised_mean(values, power=1) == pytest.approx(np.mean(values))
    assert generalised_mean(values, power=-200) == pytest.approx(0.5, abs=0.01)


def test_items_of_one_unit_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    scores_N, positive_N = rng.random(40), np.arange(40) % 2 == 0
    once = roc_auc_interval(scores_N, positive_N, resamples=300)
    copies = np.repeat(np.arange(40), 6)
    copied = roc_auc_interval(
        scores_N[copies], positive_N[copies], units_N=copies.astype(np.int64), resamples=300
    )
    assert once == copied
