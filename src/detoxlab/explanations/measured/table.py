"""Measurements and paired differences of explained runs: pure functions of rows.

A view says on which text two models are compared: on the text of the one, on that of the other, or
each on its own. On the same text at the same step nothing differs but the models.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from detoxlab.comparisons.differences import adjusted
from detoxlab.explanations.measured.catalogue import (
    DIVERGENCE,
    FAITHFULNESS,
    SIMILARITY,
    STEP_MEASURES,
)
from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.shares import attribution_divergence
from detoxlab.measures.entry import Measure
from detoxlab.measures.paired import paired_intervals, sign_flips
from detoxlab.measures.statistics import FloatArray, Interval, Quantity, bootstrap_many, ratio
from detoxlab.measures.toxicity import LEVELS, levels
from detoxlab.records import Difference, ItemResult, Measurement, Prompt, Score

OWN = "own texts"
Side = tuple[str, str]
"""The run of a model, and the run of the text that it explains."""
Key = tuple[str, int]
"""Prompt id and sample."""


@dataclass(frozen=True)
class ExplainedPair:
    """The differences between two models on one view: overall, and by step and prompt level."""

    baseline: str
    treated: str
    view: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class How:
    """How intervals are computed, and the protocol that each measurement names."""

    protocol: str
    seed: int
    resamples: int


def views(baseline: str, treated: str) -> dict[str, tuple[Side, Side]]:
    """By view, both sides that it compares.

    >>> views("base", "ft")["own texts"]
    (('base', 'base'), ('ft', 'ft'))
    """
    same = {f"text of {text}": ((baseline, text), (treated, text)) for text in (baseline, treated)}
    return same | {OWN: ((baseline, baseline), (treated, treated))}


def sides(runs: Sequence[str]) -> list[Side]:
    """The sides that must be explained: the first run is the baseline of all others.

    >>> sides(["base", "ft"])
    [('base', 'base'), ('base', 'ft'), ('ft', 'base'), ('ft', 'ft')]
    """
    baseline, *others = runs
    found = [(baseline, text) for text in runs]
    return found + [(run, text) for run in others for text in (baseline, run)]


class Table:
    """All rows, by side and by prompt and sample, with the values of every measure per step.

    `similarities` are the scores of each run's own responses by a sentence encoder, where known.
    """

    def __init__(
        self,
        rows: Iterable[Attribution],
        prompts: Sequence[Prompt],
        similarities: Mapping[str, Sequence[Score]] = MappingProxyType({}),
    ) -> None:
        self.prompts = prompts
        self.similarities = similarities
        self.rows: dict[Side, dict[Key, Attribution]] = {}
        for row in rows:
            self.rows.setdefault((row.model, row.text), {})[row.prompt_id, row.sample] = row
        self._values: dict[tuple[Side, str], dict[Key, FloatArray]] = {}

    def values(self, side: Side, name: str) -> dict[Key, FloatArray]:
        """One number per step of each explained response."""
        if (side, name) not in self._values:
            computes = STEP_MEASURES[name].computes
            rows = self.rows.get(side, {})
            self._values[side, name] = {
                key: computes(row) for key, row in rows.items() if row.error is None
            }
        return self._values[side, name]

    def divergences(self, one: Side, other: Side) -> dict[Key, FloatArray]:
        """Of two models on one text, one number per step."""
        ours, theirs = self.rows.get(one, {}), self.rows.get(other, {})
        return {
            key: attribution_divergence(row.mass, theirs[key].mass, row.classes)
            for key, row in ours.items()
            if key in theirs and row.error is None and theirs[key].error is None
        }

    def similarity(self, run: str) -> dict[Key, FloatArray]:
        """Of prompt and response, one number for each of the run's own responses."""
        return {
            (one.prompt_id, one.sample): np.array([one.value])
            for one in self.similarities.get(run, ())
            if one.value is not None
        }

    @cached_property
    def encoder_id(self) -> str | None:
        """The encoder behind the similarities; None where there are none."""
        scores = (one for scores in self.similarities.values() for one in scores)
        return next((one.scorer_id for one in scores), None)

    @cached_property
    def level_groups(self) -> dict[str, str]:
        """By prompt id, the group of the prompt by its own toxicity, where that is known."""
        known = {one.id: one.meta.get("toxicity") for one in self.prompts}
        scores = {name: value for name, value in known.items() if isinstance(value, int | float)}
        index_P = levels(np.array(list(scores.values()), dtype=np.float64))
        return {
            name: f"{LEVELS[at]} prompt toxicity"
            for name, at in zip(scores, index_P.tolist(), strict=True)
        }


def measurements(table: Table, runs: Sequence[str], how: How) -> list[Measurement]:
    """Every measure of every side, over all prompts, by the prompts' own toxicity, and by step."""
    found = [
        row
        for side in sides(runs)
        for name, measure in STEP_MEASURES.items()
        for row in (
            *_means(table, table.values(side, name), measure, subset_of(side), how),
            *_by_step(table.values(side, name), measure, subset_of(side), how),
        )
    ]
    for run in runs if table.encoder_id else ():
        rows = _means(table, table.similarity(run), SIMILARITY, subset_of((run, run)), how)
        found += [replace(row, scorer_id=table.encoder_id) for row in rows]
    baseline = runs[0]
    for treated in runs[1:]:
        for view, (one, other) in views(baseline, treated).items():
            if view != OWN:
                values = table.divergences(one, other)
                label = f"{treated} against {baseline}, {view}"
                found += _means(table, values, DIVERGENCE, label, how)
    return found


def subset_of(side: Side) -> str:
    """The subset that measurements of a side have: the model, and whose text it explains.

    >>> subset_of(("ft", "ft")), subset_of(("ft", "base"))
    ('ft on its own text', 'ft on the text of base')
    """
    model, text = side
    return f"{model} on its own text" if model == text else f"{model} on the text of {text}"


def step_group(step: int) -> str:
    """The group of the numbers of one step, counted from 0.

    >>> step_group(0)
    'step 1'
    """
    return f"step {step + 1}"


def per_prompt(values: Mapping[Key, FloatArray], step: int | None = None) -> dict[str, float]:
    """The mean over steps (or the value at one step), then over samples, of each prompt.

    Values that are not defined do not count, and a prompt without any other has no entry.

    >>> per_prompt({("p", 0): np.array([np.nan, 1.0]), ("p", 1): np.array([3.0, 3.0])})
    {'p': 2.0}
    """
    found: dict[str, list[float]] = {}
    for (prompt_id, _), values_S in values.items():
        chosen_S = values_S if step is None else values_S[step : step + 1]
        known_S = chosen_S[np.isfinite(chosen_S)]
        if len(known_S):
            found.setdefault(prompt_id, []).append(float(known_S.mean()))
    return {name: float(np.mean(numbers)) for name, numbers in found.items()}


def faithfulness_measurements(
    results: Sequence[ItemResult], run: str, how: How
) -> list[Measurement]:
    """The gains of a method over random choices, for the model of one run.

    An interval that reaches 0 means that the method does not beat random choices there.
    """
    own = [one for one in results if one.item.startswith(f"{run}/")]
    known = [one.values for one in own if one.error is None]
    return [
        row
        for name, measure in FAITHFULNESS.items()
        for row in _rows(
            measure,
            {None: np.array([_gain(values, name) for values in known])},
            len(own),
            subset_of((run, run)),
            how,
        )
    ]


def differences(table: Table, baseline: str, treated: str, how: How) -> list[ExplainedPair]:
    """Treated minus baseline on each view, paired by prompt, p-values by Holm over the steps."""
    return [
        ExplainedPair(baseline, treated, view, adjusted(_differences(table, one, other, how)))
        for view, (one, other) in views(baseline, treated).items()
    ]


# --- inside ---

Cell = tuple[Mapping[str, float], Mapping[str, float]]
"""One number per prompt of the baseline, and of the treated model."""
Cells = Mapping[str | None, Cell]


def _gain(values: Mapping[str, float], name: str) -> float:
    """How much better than random: deletion should make the answer fall more, sufficiency less."""
    kind, _, share = name.split("_")
    own, drawn = values[f"{kind}_{share}"], values[f"{kind}_{share}_random"]
    return own - drawn if kind == "deletion" else drawn - own


def _means(
    table: Table, values: Mapping[Key, FloatArray], measure: Measure, subset: str, how: How
) -> list[Measurement]:
    """The mean over all prompts, and over those of each level of toxicity."""
    means = per_prompt(values)
    groups: dict[str | None, FloatArray] = {None: np.array(list(means.values()))}
    group_of = table.level_groups
    for group in dict.fromkeys(group_of.values()):
        chosen = [value for prompt, value in means.items() if group_of.get(prompt) == group]
        groups[group] = np.array(chosen)
    return _rows(measure, groups, len(table.prompts), subset, how)


def _by_step(
    values: Mapping[Key, FloatArray], measure: Measure, subset: str, how: How
) -> list[Measurement]:
    """The mean over the prompts at each step, with intervals from shared resamples."""
    steps = max((len(values_S) for values_S in values.values()), default=0)
    prompts = sorted({prompt for prompt, _ in values})
    means = [per_prompt(values, step) for step in range(steps)]
    columns = [np.array([one.get(prompt, np.nan) for prompt in prompts]) for one in means]
    intervals = bootstrap_many(
        [_quantity(values_P) for values_P in columns], seed=how.seed, resamples=how.resamples
    )
    facts = {"subset": subset, "protocol": how.protocol}
    return [
        _measurement(measure, values_P[np.isfinite(values_P)], interval, group=group, **facts)
        for group, values_P, interval in zip(
            map(step_group, range(steps)), columns, intervals, strict=True
        )
    ]


def _rows(
    measure: Measure,
    groups: Mapping[str | None, FloatArray],
    asked: int,
    subset: str,
    how: How,
) -> list[Measurement]:
    return [
        _row(measure, group, values_P, asked, subset, how) for group, values_P in groups.items()
    ]


def _row(
    measure: Measure, group: str | None, values_P: FloatArray, asked: int, subset: str, how: How
) -> Measurement:
    facts: dict[str, Any] = {"group": group, "subset": subset, "protocol": how.protocol}
    if group is None and asked:
        facts["coverage"] = len(values_P) / asked
    (interval,) = bootstrap_many([_quantity(values_P)], seed=how.seed, resamples=how.resamples)
    return _measurement(measure, values_P, interval, **facts)


def _measurement(
    measure: Measure, values_P: FloatArray, interval: Interval | None, **facts: Any
) -> Measurement:
    """The mean of known values; unknown where there is none."""
    if not len(values_P):
        return measure.measurement(n=0, **facts)
    ends = {"ci_low": interval.low, "ci_high": interval.high} if interval else {}
    return measure.measurement(value=float(values_P.mean()), n=len(values_P), **ends, **facts)


def _quantity(values_P: FloatArray) -> Quantity:
    """The mean of the values that are known."""
    known_P = np.isfinite(values_P)
    columns_PS = np.stack([np.where(known_P, values_P, 0.0), known_P.astype(np.float64)], axis=1)
    return Quantity(columns_PS, ratio)


def _differences(table: Table, one: Side, other: Side, how: How) -> list[Difference]:
    rows: list[Difference] = []
    for name, measure in STEP_MEASURES.items():
        before, after = table.values(one, name), table.values(other, name)
        steps = max((len(values_S) for values_S in before.values()), default=0)
        cells: dict[str | None, Cell] = {None: (per_prompt(before), per_prompt(after))}
        for step in range(steps):
            cells[step_group(step)] = (per_prompt(before, step), per_prompt(after, step))
        cells |= _levels(table, *cells[None])
        rows += _paired(measure, cells, len(table.prompts), how)
    if table.encoder_id and one[1] != other[1]:
        rows += _similarity_differences(table, one[1], other[1], how)
    return rows


def _similarity_differences(table: Table, before: str, after: str, how: How) -> list[Difference]:
    """Of two runs' own responses: the models that explain them change nothing about it."""
    whole = (per_prompt(table.similarity(before)), per_prompt(table.similarity(after)))
    cells: dict[str | None, Cell] = {None: whole}
    cells |= _levels(table, *whole)
    rows = _paired(SIMILARITY, cells, len(table.prompts), how)
    return [replace(row, scorer_id=table.encoder_id) for row in rows]


def _levels(
    table: Table, before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str | None, Cell]:
    """The same values, split by the prompts' own toxicity."""
    cells: dict[str | None, Cell] = {}
    for group in dict.fromkeys(table.level_groups.values()):
        members = {prompt for prompt, named in table.level_groups.items() if named == group}
        cells[group] = (_only(members, before), _only(members, after))
    return cells


def _only(members: Container[str], values: Mapping[str, float]) -> dict[str, float]:
    return {prompt: value for prompt, value in values.items() if prompt in members}


def _paired(measure: Measure, cells: Cells, asked: int, how: How) -> list[Difference]:
    """One difference per cell, over the prompts that both sides have, from shared resamples."""
    prompts = sorted({prompt for before, _ in cells.values() for prompt in before})
    changes = {
        group: np.array([after.get(p, np.nan) - before.get(p, np.nan) for p in prompts])
        for group, (before, after) in cells.items()
    }
    if not prompts:
        return [measure.difference(group=group) for group in cells]
    quantities = [_quantity(change_P) for change_P in changes.values()]
    intervals = paired_intervals(quantities, seed=how.seed, resamples=how.resamples)
    p_values = sign_flips(np.stack(list(changes.values()), axis=1), how.seed, how.resamples)
    return [
        _difference(measure, group, cells, changes[group], interval, p_value, asked)
        for group, interval, p_value in zip(cells, intervals, p_values.tolist(), strict=True)
    ]


def _difference(
    measure: Measure,
    group: str | None,
    cells: Cells,
    change_P: FloatArray,
    interval: Interval | None,
    p_value: float,
    asked: int,
) -> Difference:
    before, after = cells[group]
    shared = sorted(before.keys() & after.keys())  # one order of sums in every process
    if not shared:
        return measure.difference(group=group)
    count = len(shared)
    means = [float(np.mean([side[prompt] for prompt in shared])) for side in (before, after)]
    return measure.difference(
        group=group,
        baseline=means[0],
        treated=means[1],
        difference=float(np.nanmean(change_P)),
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        p_value=p_value if np.isfinite(p_value) else None,
        n_prompts=count,
        n_pairs=count,
        coverage=count / asked if group is None and asked else None,
    )
