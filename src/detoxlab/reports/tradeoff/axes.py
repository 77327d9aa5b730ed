"""The two axes of the trade-off: a number of each run with its interval, and its resamples."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from detoxlab.evaluations import Evaluated, evaluated_resamples
from detoxlab.measures.catalogue import DECIDING
from detoxlab.measures.features import likelihoods
from detoxlab.measures.grid import HATE, Grid, attribute_read, grid_of
from detoxlab.measures.guards import perplexity_of_sums
from detoxlab.measures.rows import perplexity_columns
from detoxlab.measures.statistics import (
    FloatArray,
    Quantity,
    Statistic,
    in_blocks,
    ratio,
    resampled_sums,
    stacked_columns,
)
from detoxlab.measures.toxicity import toxic_columns
from detoxlab.records import Difference, Measurement
from detoxlab.reports import words
from detoxlab.reports.study import RESPONSES, Measured, Study

USUAL = ("commonsense", "mmlu")  # the evaluations that are looked for first, by their task
MAIN = (
    "macro_accuracy",
    "normalised_accuracy",
    "accuracy",
    "token_perplexity",
    "word_perplexity",
    "target_perplexity",
)
"""The main measure of an evaluation: the first of these that it has, or else its first row."""

Row = TypeVar("Row", Measurement, Difference)
Sample = Callable[[Sequence[str]], FloatArray | None]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its 95 % interval, whose ends may be unknown."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Axis:
    """One measure of every run, by the run's name; runs in which it is unknown are left out.

    `sample(names)` gives its values on resamples that these runs share, (resamples, runs), or None.
    `source` names what is resampled: axes of one source share their resamples. A picture of it
    begins at 0 where it is `from_zero`.
    """

    key: str
    title: str
    unit: str
    higher_is_better: bool
    values: Mapping[str, Estimate]
    sample: Sample
    source: str
    from_zero: bool = False

    @property
    def sign(self) -> int:
        """1 where less is better, −1 where more is: values times it are costs."""
        return -1 if self.higher_is_better else 1

    @property
    def is_log(self) -> bool:
        """Whether it is drawn on a logarithmic scale: perplexities that lie far apart."""
        known = [one.value for one in self.values.values()]
        return self.unit in ("perplexity", "ratio") and max(known) > 4 * min(known)

    @property
    def heading(self) -> str:
        """The title of a column."""
        return self.title[0].upper() + self.title[1:]


def with_interval(estimate: Estimate | None, unit: str) -> str:
    """A value with its interval in words.

    >>> with_interval(Estimate(0.12, 0.1, 0.15), "share"), with_interval(Estimate(1.0), "ratio")
    ('12.0\xa0% (10.0 to 15.0\xa0%)', '×\xa01.000')
    """
    if estimate is None:
        return words.UNKNOWN
    shown = words.times(estimate.value) if unit == "ratio" else words.number(estimate.value, unit)
    if estimate.low is None or estimate.high is None:
        return shown
    return f"{shown} ({words.interval(estimate.low, estimate.high, unit)})"


# --- toxicity ---


def toxicity_axis(study: Study) -> Axis:
    """Toxic responses by the judge, on all scored responses of each run."""
    return _scored_axis(study, "toxicity", "toxic responses", study.judge_id, study.attribute)


def hate_axis(study: Study) -> Axis | None:
    """Hateful responses by a scorer of hate that has scored every run; None without one."""
    shared = [
        {row.scorer_id for row in run.measurements if _is_total(row) and row.attribute == HATE}
        for run in study.measured
    ]
    known = set.intersection(*shared) - {study.judge_id, None} if shared else set()
    scorer_id = min(filter(None, known), default=None)
    if scorer_id is None:
        return None
    return _scored_axis(study, HATE, "hateful responses", scorer_id, HATE)


def _scored_axis(study: Study, key: str, title: str, scorer_id: str | None, attribute: str) -> Axis:
    def columns(grid: Grid) -> FloatArray:
        read = attribute_read(grid, scorer_id or "", attribute) or attribute
        return toxic_columns(grid.of(scorer_id, read), study.threshold)

    rows = {run.name: total(run, DECIDING, scorer_id, attribute) for run in study.measured}
    return Axis(
        key=key,
        title=f"{title}, by {scorer_id or 'an unknown scorer'}",
        unit="share",
        higher_is_better=False,
        values=_known(rows),
        sample=_over_prompts(study, columns, ratio),
        source="prompts",
        from_zero=True,
    )


def total(
    run: Measured, name: str, scorer_id: str | None, attribute: str | None
) -> Measurement | None:
    """A measure of all responses of a run; an imported row without a scorer is the judge's."""
    rows = (row for row in run.measurements if row.name == name and _is_of_all(row))
    return next(
        (
            row
            for row in rows
            if row.scorer_id in (None, scorer_id) and row.attribute in (None, attribute)
        ),
        None,
    )


def _is_total(row: Measurement) -> bool:
    return row.name == DECIDING and _is_of_all(row)


def _is_of_all(row: Measurement) -> bool:
    return row.group is None and row.subset in (None, "all", "P")


def _known(rows: Mapping[str, Measurement | None]) -> dict[str, Estimate]:
    return {
        name: Estimate(row.value, row.ci_low, row.ci_high)
        for name, row in rows.items()
        if row is not None and row.value is not None
    }


def _over_prompts(
    study: Study, columns: Callable[[Grid], FloatArray], statistic: Statistic
) -> Sample:
    """Resamples of the prompts that all runs asked."""
    by_name = {run.name: run for run in study.measured}

    def sample(names: Sequence[str]) -> FloatArray | None:
        grids = [grid_of(by_name[name].responses) for name in names]
        asked = [{prompt.id: at for at, prompt in enumerate(grid.prompts)} for grid in grids]
        shared = [name for name in asked[0] if all(name in own for own in asked)]
        if len(shared) < 2:
            return None
        quantities = [
            Quantity(columns(grid)[[own[one] for one in shared]], statistic)
            for grid, own in zip(grids, asked, strict=True)
        ]
        stacked_PS, spans = stacked_columns(in_blocks(quantities, seed=study.seed))
        sums_RS = resampled_sums(stacked_PS, seed=study.seed, resamples=study.resamples)
        return np.stack([statistic(sums_RS[:, span]) for span in spans], axis=1)

    return sample


# --- usefulness ---


def usefulness_axis(study: Study) -> Axis:
    """The usefulness of each run: an evaluation's main measure, or its responses' perplexity.

    `study.useful_by` names it. Where it does not, it is the first there is of commonsense, MMLU,
    perplexity of running text, and the perplexity of the responses.
    """
    name = study.useful_by or _usual(study)
    return responses_axis(study) if name == RESPONSES else evaluation_axis(study, name)


def _usual(study: Study) -> str:
    found: dict[str, Evaluated] = {}
    for run in study.measured:
        found |= {name: one for name, one in run.evaluations.items() if name not in found}
    for task in USUAL:
        for name, one in found.items():
            if one.settings.get("task") == task:
                return name
    texts = (name for name, one in found.items() if one.settings.get("kind") == "perplexity")
    return next(texts, RESPONSES)


def responses_axis(study: Study) -> Axis:
    """The perplexity of each run's responses under the untouched base model."""
    likelihood = study.baseline.responses.base_likelihood_id

    def columns(grid: Grid) -> FloatArray:
        return perplexity_columns(*likelihoods(grid, likelihood))

    rows = {run.name: total(run, "perplexity", likelihood, None) for run in study.measured}
    return Axis(
        key=RESPONSES,
        title="perplexity of responses under the base",
        unit="perplexity",
        higher_is_better=False,
        values=_known(rows),
        sample=_over_prompts(study, columns, perplexity_of_sums),
        source="prompts",
    )


def evaluation_axis(study: Study, name: str) -> Axis:
    """The main measure of an evaluation; of a perplexity, its ratio to the baseline's."""
    runs = {run.name: run.evaluations[name] for run in study.measured if name in run.evaluations}
    row = main_row(runs.values())
    axis = Axis(
        key=name,
        title=f"{words.label(row.name).lower()}, {name}" if row else name,
        unit=row.unit if row else "share",
        higher_is_better=row is not None and row.direction == "higher",
        values=_known(
            {run: row_of_all(one.measurements, row.name) for run, one in runs.items()}
            if row
            else {}
        ),
        sample=_over_items(study, runs, row),
        source=name,
    )
    if row and row.unit == "perplexity":
        return dataclasses.replace(
            axis,
            title=f"{axis.title}, × {study.baseline.name}",
            unit="ratio",
            values=_ratios(study, name, row.name),
        )
    return axis


def main_row(evaluated: Iterable[Evaluated]) -> Measurement | None:
    """The row of the measure that stands for an evaluation, known in all of the models."""
    found = [{row.name: row for row in one.measurements if row.group is None} for one in evaluated]
    shared = [name for name in (found[0] if found else {}) if all(name in own for own in found)]
    first = next((name for name in MAIN if name in shared), next(iter(shared), None))
    return found[0][first] if first else None


def changes_from_baseline(
    study: Study, evaluation: str, measure: str
) -> dict[str, Difference | None]:
    """The paired difference of an evaluation's measure from the baseline, by the treated run."""
    return {
        one.treated: row_of_all(one.differences, measure)
        for one in study.usefulness
        if (one.evaluation, one.against) == (evaluation, study.baseline.name)
    }


def row_of_all(rows: Iterable[Row], name: str) -> Row | None:
    """The row of a measure over all items, not of a group."""
    return next((row for row in rows if row.name == name and row.group is None), None)


def _ratios(study: Study, evaluation: str, measure: str) -> dict[str, Estimate]:
    """The paired ratios to the baseline, whose own is 1."""
    base = study.baseline.name
    changes = changes_from_baseline(study, evaluation, measure)
    known = {
        name: Estimate(row.ratio, row.ratio_low, row.ratio_high)
        for name, row in changes.items()
        if row and row.ratio is not None
    }
    return ({base: Estimate(1.0)} if evaluation in study.baseline.evaluations else {}) | known


def _over_items(study: Study, runs: Mapping[str, Evaluated], row: Measurement | None) -> Sample:
    def sample(names: Sequence[str]) -> FloatArray | None:
        if row is None:
            return None
        models = [runs[name] for name in names]
        return evaluated_resamples(models, row.name, seed=study.seed, resamples=study.resamples)

    return sample
