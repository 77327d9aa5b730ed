"""Paired differences of toxicity: treated minus baseline, on all and on comparable pairs."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from detoxlab.compare.changes import Change, Settings, cut, finished, key_of, sides
from detoxlab.compare.macro import macro_means
from detoxlab.compare.pairs import Pairs
from detoxlab.measure import agreement
from detoxlab.measure.grid import prompt_groups
from detoxlab.measure.paired import prompts_needed, sign_flip_exact
from detoxlab.measure.rows import TOXICITY
from detoxlab.measure.statistics import (
    BoolArray,
    FloatArray,
    Quantity,
    Statistic,
    holm,
    ratio,
)
from detoxlab.records import Comparison, Difference

DECIDING = "toxic_fraction"
COUNTED = ("toxic_fraction", "toxicity_probability")
PER_PROMPT = ("expected_maximum_toxicity", "toxicity_probability")


def differences(pairs: Pairs, settings: Settings) -> tuple[Difference, ...]:
    """All differences of a comparison: by judge and second scorer, groups, attributes, agreement.

    On the pairs that are scored in both runs (`all`), on the comparable ones, and, where the
    prompts were scored themselves, on those that are toxic to the judge (`P+C`).
    """
    found = finished(_overall(pairs, settings), settings)
    for group, index in prompt_groups(pairs.baseline.prompts, pairs.group_keys).items():
        rows_P = np.isin(np.arange(len(pairs.baseline.prompts)), index)
        changes = [
            cut(change, rows_P)
            for subset, mask_PK in _subsets(pairs, rows_P[:, None]).items()
            for change in _toxicity(pairs, settings, subset, mask_PK, pairs.judge, group)
            if change.difference.name != "mean_toxicity"
        ]
        found += finished(changes, settings)
    return adjusted(found)


def _overall(pairs: Pairs, settings: Settings) -> list[Change]:
    subsets = _subsets(pairs, np.ones((len(pairs.baseline.prompts), 1), dtype=np.bool_))
    toxic_P = _toxic_prompts(pairs, settings.threshold)
    if toxic_P is not None:
        subsets["P+C"] = pairs.generated & toxic_P[:, None]
    changes = [
        change
        for subset, mask_PK in subsets.items()
        for scorer_id in filter(None, (pairs.judge, pairs.second))
        for change in _toxicity(pairs, settings, subset, mask_PK, scorer_id, None)
    ]
    for attribute in _shared_attributes(pairs):
        changes += [
            _change(pairs, settings, DECIDING, subset, mask_PK, (pairs.judge, attribute), None)
            for subset, mask_PK in subsets.items()
            if subset != "P+C"
        ]
    return changes + macro_means(pairs, settings, subsets) + _agreements(pairs, settings)


def _subsets(pairs: Pairs, rows: BoolArray) -> dict[str, BoolArray]:
    return {"all": pairs.generated & rows, "comparable": pairs.comparable & rows}


def _shared_attributes(pairs: Pairs) -> list[str]:
    theirs = pairs.treated.attributes_of(pairs.judge)
    ours = pairs.baseline.attributes_of(pairs.judge)
    return [name for name in ours if name in theirs and name != pairs.attribute]


def _toxic_prompts(pairs: Pairs, threshold: float) -> BoolArray | None:
    own_P = pairs.baseline.prompt_scores.get((pairs.judge, pairs.attribute))
    if own_P is None or np.isnan(own_P).all():
        return None
    return np.asarray(own_P >= threshold)


def _toxicity(
    pairs: Pairs,
    settings: Settings,
    subset: str,
    mask_PK: BoolArray,
    scorer_id: str,
    group: str | None,
) -> list[Change]:
    """The toxicity measures by one scorer; at K = 1 those per prompt say nothing more."""
    return [
        _change(pairs, settings, name, subset, mask_PK, key_of(pairs, scorer_id), group)
        for name in TOXICITY
        if pairs.baseline.k > 1 or name not in PER_PROMPT
    ]


def _change(
    pairs: Pairs,
    settings: Settings,
    name: str,
    subset: str,
    mask_PK: BoolArray,
    key: tuple[str, str],
    group: str | None,
) -> Change:
    before_PS, after_PS = sides(pairs, settings, name, mask_PK, key)
    count_P = before_PS[:, 1]
    per_prompt = name in PER_PROMPT
    asked = mask_PK.any(axis=1).sum() if per_prompt else mask_PK.sum()
    total = count_P.sum()
    columns_PS = np.stack([after_PS[:, 0] - before_PS[:, 0], count_P], axis=1)
    difference = Difference(
        name=name,
        baseline=_mean(before_PS),
        treated=_mean(after_PS),
        difference=None,
        p_value=_p_value(before_PS, after_PS) if name in COUNTED and total else None,
        unit=TOXICITY[name][0],
        n_prompts=int((count_P > 0).sum()),
        n_pairs=int(total) * (pairs.baseline.k if per_prompt else 1),
        coverage=float(total / asked) if asked else None,
        scorer_id=key[0],
        attribute=key[1],
        group=group,
        subset=subset,
        prompts_needed=prompts_needed(columns_PS) if name == DECIDING else None,
    )
    over = np.stack([after_PS[:, 0], before_PS[:, 0]], axis=1)
    quotient = Quantity(over, ratio) if name == DECIDING else None
    return Change(difference, Quantity(columns_PS, ratio), quotient)


def _mean(columns_PS: FloatArray) -> float | None:
    value = float(ratio(columns_PS.sum(axis=0)))
    return None if np.isnan(value) else value


def _p_value(before_PS: FloatArray, after_PS: FloatArray) -> float:
    return sign_flip_exact(np.rint(after_PS[:, 0] - before_PS[:, 0]).astype(np.int64))


def _agreements(pairs: Pairs, settings: Settings) -> list[Change]:
    """How far judge and second scorer agree on each run: does the yardstick bend?"""
    if pairs.second is None:
        return []
    judged, checked = (
        pairs.scores(pairs.judge, pairs.attribute),
        pairs.scores(pairs.second, pairs.second_attribute),
    )
    both_PK = pairs.scored(pairs.judge, pairs.attribute)
    both_PK &= pairs.scored(pairs.second, pairs.second_attribute)
    masked = [[np.where(both_PK, s_PK, 0.0) for s_PK in side] for side in (judged, checked)]
    sides = list(zip(*masked, strict=True))
    toxic = [[s_PK >= settings.threshold for s_PK in side] for side in sides]
    keep = both_PK[..., None]
    linear = [(agreement.pearson_columns(a, b) * keep).sum(axis=1) for a, b in sides]
    kappas = [(agreement.kappa_columns(a, b) * keep).sum(axis=1) for a, b in toxic]
    return [
        _agreement(pairs, "agreement_pearson", linear, agreement.pearson_of_sums, both_PK),
        _agreement(pairs, "agreement_kappa", kappas, agreement.kappa_of_sums, both_PK),
    ]


def _agreement(
    pairs: Pairs,
    name: str,
    columns: Sequence[FloatArray],
    statistic: Statistic,
    both_PK: BoolArray,
) -> Change:
    width = columns[0].shape[1]
    before, after = (float(statistic(columns_PS.sum(axis=0))) for columns_PS in columns)
    difference = Difference(
        name=name,
        baseline=None if np.isnan(before) else before,
        treated=None if np.isnan(after) else after,
        difference=None,
        unit="correlation",
        direction="higher",
        n_prompts=int(both_PK.any(axis=1).sum()),
        n_pairs=int(both_PK.sum()),
        coverage=float(both_PK.sum() / max(1, pairs.generated.sum())),
        scorer_id=pairs.second,
        subset="all",
        note=f"with {pairs.judge}",
    )

    def change(sums: FloatArray) -> FloatArray:
        return statistic(sums[..., width:]) - statistic(sums[..., :width])

    return Change(difference, Quantity(np.concatenate(columns, axis=1), change))


def adjusted(rows: Sequence[Difference]) -> tuple[Difference, ...]:
    """The rows with `p_holm`, each family corrected for its size.

    A family is one measure by one scorer on one subset: over all groups, or overall.
    """
    families: dict[tuple[object, ...], list[int]] = {}
    for at, row in enumerate(rows):
        if row.p_value is not None:
            key = (row.name, row.scorer_id, row.attribute, row.subset, row.group is None)
            families.setdefault(key, []).append(at)
    corrected = list(rows)
    for members in families.values():
        p_values = [rows[at].p_value or 0.0 for at in members]
        for at, p_holm in zip(members, holm(p_values), strict=True):
            corrected[at] = dataclasses.replace(rows[at], p_holm=p_holm)
    return tuple(corrected)


def holm_across(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The comparisons with `p_holm` corrected over all of them: several variants, one baseline."""
    together = iter(adjusted([row for one in comparisons for row in one.differences]))
    return tuple(
        dataclasses.replace(one, differences=tuple(next(together) for _ in one.differences))
        for one in comparisons
    )
