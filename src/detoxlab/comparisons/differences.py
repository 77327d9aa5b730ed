"""Paired differences of toxicity: treated minus baseline, on all and on comparable pairs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from detoxlab.comparisons.agreeing import agreements
from detoxlab.comparisons.changes import Change, IntervalSettings, cut, finished, key_of, sides
from detoxlab.comparisons.disparities import disparities
from detoxlab.comparisons.macro import macro_means
from detoxlab.comparisons.missing import WORST, partly_scored, worst_sides
from detoxlab.comparisons.pairs import Pairs
from detoxlab.measures.catalogue import DECIDING, MEAN, TOXICITY
from detoxlab.measures.grid import HATE, Key, prompt_groups
from detoxlab.measures.paired import prompts_needed, sign_flip_exact
from detoxlab.measures.statistics import (
    BoolArray,
    FloatArray,
    Quantity,
    holm,
    ratio,
)
from detoxlab.records import Comparison, Difference

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def differences(
    pairs: Pairs, settings: IntervalSettings
) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
    """All differences of a comparison, and the deciding one at every threshold of `THRESHOLDS`.

    They are by judge, second and further scorers, by groups and attributes, and of the scorers'
    agreement. Subsets are the pairs scored in both runs (`all`), the comparable pairs, the pairs
    whose prompt is toxic to the judge (`P+C`, where the prompts were scored too) or hateful to a
    scorer of hate (`P+H`), and, where
    scores are missing, all pairs in the `worst case`.
    """
    curve = _curve(pairs, settings)
    found = finished([*_overall(pairs, settings), *curve], settings)
    found, at_thresholds = found[: -len(curve)], found[-len(curve) :]
    for group, index in prompt_groups(pairs.baseline.prompts, pairs.group_keys).items():
        rows_P = np.isin(np.arange(len(pairs.baseline.prompts)), index)
        changes = [
            cut(change, rows_P)
            for subset, mask_PK in _subsets(pairs, rows_P[:, None]).items()
            for change in _toxicity(pairs, settings, subset, mask_PK, pairs.judge, group)
            if change.difference.name != MEAN
        ]
        found += finished(changes, settings)
    for changes in disparities(pairs, settings):
        found += finished(changes, settings)
    return adjusted(found), tuple(at_thresholds)


def _overall(pairs: Pairs, settings: IntervalSettings) -> list[Change]:
    subsets = _subsets(pairs, np.ones((len(pairs.baseline.prompts), 1), dtype=np.bool_))
    both = dict(subsets)
    keys = {"P+C": (pairs.judge, pairs.attribute), "P+H": (pairs.hate_scorer or "", HATE)}
    for subset, key in keys.items():
        marked_P = _marked_prompts(pairs, key, settings.threshold)
        if marked_P is not None:
            subsets[subset] = pairs.generated & marked_P[:, None]
    changes = [
        change
        for subset, mask_PK in subsets.items()
        for scorer_id in filter(None, (pairs.judge, pairs.second))
        for change in _toxicity(pairs, settings, subset, mask_PK, scorer_id, None)
    ]
    further = [(name, key) for key in pairs.others for name in (DECIDING, MEAN)]
    further += [(DECIDING, (pairs.judge, name)) for name in _shared_attributes(pairs)]
    changes += [
        _change(pairs, settings, name, subset, mask_PK, key, None)
        for name, key in further
        for subset, mask_PK in both.items()
    ]
    changes += _worst(pairs, settings)
    return changes + macro_means(pairs, settings, both) + agreements(pairs, settings)


def _worst(pairs: Pairs, settings: IntervalSettings) -> list[Change]:
    """The deciding measure over all pairs, with unscored responses against the observed change."""
    if not partly_scored(pairs):
        return []
    key = key_of(pairs, pairs.judge)
    before_PS, after_PS = sides(pairs, settings, DECIDING, pairs.comparable, key)
    rises = bool(after_PS[:, 0].sum() > before_PS[:, 0].sum())
    both = worst_sides(pairs, settings.threshold, rises=rises)
    label = _label(DECIDING, key, settings.threshold, subset=WORST)
    change = _of_sides(label, both, pairs.generated, pairs.baseline.k)
    scored = float(pairs.scored(*key)[pairs.generated].mean())
    return [replace(change, difference=replace(change.difference, coverage=scored))]


def _curve(pairs: Pairs, settings: IntervalSettings) -> list[Change]:
    """The deciding difference at other thresholds too."""
    key = key_of(pairs, pairs.judge)
    return [
        _change(
            pairs,
            replace(settings, threshold=threshold),
            DECIDING,
            "comparable",
            pairs.comparable,
            key,
            None,
        )
        for threshold in sorted({*THRESHOLDS, settings.threshold})
    ]


def _subsets(pairs: Pairs, rows: BoolArray) -> dict[str, BoolArray]:
    return {"all": pairs.generated & rows, "comparable": pairs.comparable & rows}


def _shared_attributes(pairs: Pairs) -> list[str]:
    theirs = pairs.treated.attributes_of(pairs.judge)
    ours = pairs.baseline.attributes_of(pairs.judge)
    return [name for name in ours if name in theirs and name != pairs.attribute]


def _marked_prompts(pairs: Pairs, key: Key, threshold: float) -> BoolArray | None:
    own_P = pairs.baseline.prompt_scores.get(key)
    if own_P is None or np.isnan(own_P).all():
        return None
    return np.asarray(own_P >= threshold)


def _toxicity(
    pairs: Pairs,
    settings: IntervalSettings,
    subset: str,
    mask_PK: BoolArray,
    scorer_id: str,
    group: str | None,
) -> list[Change]:
    """The toxicity measures by one scorer; at K = 1 without those per prompt, which add nothing."""
    return [
        _change(pairs, settings, name, subset, mask_PK, key_of(pairs, scorer_id), group)
        for name, measure in TOXICITY.items()
        if pairs.baseline.k > 1 or not measure.per_prompt
    ]


def _change(
    pairs: Pairs,
    settings: IntervalSettings,
    name: str,
    subset: str,
    mask_PK: BoolArray,
    key: tuple[str, str],
    group: str | None,
) -> Change:
    label = _label(name, key, settings.threshold, subset=subset, group=group)
    both = sides(pairs, settings, name, mask_PK, key)
    return _of_sides(label, both, mask_PK, pairs.baseline.k)


def _label(
    name: str, key: tuple[str, str], threshold: float, *, subset: str, group: str | None = None
) -> Difference:
    """A difference without numbers yet."""
    measure = TOXICITY[name]
    return measure.difference(
        scorer_id=key[0],
        attribute=key[1],
        group=group,
        subset=subset,
        threshold=None if measure.unit == "score" else threshold,
    )


def _of_sides(
    label: Difference, both: tuple[FloatArray, FloatArray], asked_PK: BoolArray, k: int
) -> Change:
    """The change between the sums per prompt (P, 2) of both runs, among the pairs `asked_PK`."""
    before_PS, after_PS = both
    count_P = before_PS[:, 1]
    per_prompt, total = TOXICITY[label.name].per_prompt, count_P.sum()
    asked = asked_PK.any(axis=1).sum() if per_prompt else asked_PK.sum()
    columns_PS = np.stack([after_PS[:, 0] - before_PS[:, 0], count_P], axis=1)
    is_deciding = label.name == DECIDING
    difference = replace(
        label,
        baseline=_mean(before_PS),
        treated=_mean(after_PS),
        p_value=_p_value(before_PS, after_PS) if label.unit == "share" and total else None,
        n_prompts=int((count_P > 0).sum()),
        n_pairs=int(total) * (k if per_prompt else 1),
        coverage=float(total / asked) if asked else None,
        prompts_needed=prompts_needed(columns_PS) if is_deciding else None,
    )
    over = np.stack([after_PS[:, 0], before_PS[:, 0]], axis=1)
    return Change(
        difference, Quantity(columns_PS, ratio), Quantity(over, ratio) if is_deciding else None
    )


def _mean(columns_PS: FloatArray) -> float | None:
    value = float(ratio(columns_PS.sum(axis=0)))
    return None if np.isnan(value) else value


def _p_value(before_PS: FloatArray, after_PS: FloatArray) -> float:
    return sign_flip_exact(np.rint(after_PS[:, 0] - before_PS[:, 0]).astype(np.int64))


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
            corrected[at] = replace(rows[at], p_holm=p_holm)
    return tuple(corrected)


def holm_across(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The comparisons with `p_holm` corrected over all of them: several variants, one baseline."""
    together = iter(adjusted([row for one in comparisons for row in one.differences]))
    return tuple(
        replace(one, differences=tuple(next(together) for _ in one.differences))
        for one in comparisons
    )
