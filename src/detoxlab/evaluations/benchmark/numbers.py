"""Measurements of benchmarks and their paired differences, from results alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from detoxlab.evaluations import sums
from detoxlab.evaluations.benchmark.asking import BYTES, CUT, NATS, WORDS, task_of
from detoxlab.measures.catalogue import MEASURES
from detoxlab.measures.guards import perplexity_of_sums
from detoxlab.measures.paired import sign_flip_exact
from detoxlab.measures.statistics import FloatArray, Interval, holm, ratio
from detoxlab.measures.usefulness.strata import (
    equal_weights,
    mean_over_strata,
    pooled_weights,
    strata_interval,
    strata_resamples,
)
from detoxlab.records import Difference, ItemResult, Measurement

ONE = "questions"  # the value 1 of each result, whose sum is the number of questions
ACCURACY, NORMALISED = "acc", "acc_norm"  # the harness's names
NAMES = {ACCURACY: "accuracy", NORMALISED: "normalised_accuracy"}
SCORE, MACRO = "benchmark_score", "macro_accuracy"
PERPLEXITIES = {"word_perplexity": WORDS, "byte_perplexity": BYTES, "target_perplexity": ONE}
Results = Sequence[ItemResult]


@dataclass(frozen=True)
class Metric:
    """A metric of a task: its measure from sums, and the harness's name where that is another."""

    of: sums.SumMeasure
    value: str | None = None
    attribute: str | None = None


def measurements(
    results: Results, *, protocol: str, pooled: bool, seed: int, resamples: int
) -> list[Measurement]:
    """Means over tasks where there are several, then each task's own numbers."""
    tasks = by_task(results)
    rows = [
        row
        for task, own in tasks.items()
        for row in _own(task, own, protocol, seed, resamples, alone=len(tasks) == 1)
    ]
    return [
        *_means(tasks, protocol=protocol, pooled=pooled, seed=seed, resamples=resamples),
        *rows,
    ]


def differences(
    baseline: Results, treated: Results, *, pooled: bool, seed: int, resamples: int
) -> list[Difference]:
    """Treated minus baseline: means over tasks where there are several, then each task.

    Items are paired. For a share of questions, the p-value is McNemar's exact one, and among tasks
    it is corrected by Holm's procedure.
    """
    before, after = by_task(baseline), by_task(treated)
    shared = [task for task in before if task in after]
    rows = [
        row
        for task in shared
        for row in _changed(task, before[task], after[task], seed, resamples, len(shared) == 1)
    ]
    if len(shared) < 2:
        return rows
    sides = {task: sums.paired(before[task], after[task])[:2] for task in shared}
    means = _mean_differences(sides, pooled=pooled, seed=seed, resamples=resamples)
    return [*means, *_adjusted(rows)]


def resampled(
    name: str, models: Sequence[Results], *, seed: int, resamples: int
) -> FloatArray | None:
    """The measure `name` of M models on the same resamples of questions, (resamples, M).

    Of several tasks it is a mean over them, whose questions are resampled within each task; of one
    task it is any of its metrics. Only questions that all models have a result for count. None
    where there is no such measure.
    """
    shared = [by_task(one) for one in sums.in_common(models)]
    if len(shared[0]) == 1:
        ((task, first),) = shared[0].items()
        found = next((one for one in metrics_of(first) if one.of.measure.name == name), None)
        if found is None:
            return None
        sides = [own[task] for own in shared]
        return sums.resampled(found.of, sides, seed=seed, resamples=resamples)
    strata = [_strata(own) for own in shared]
    if not all(strata):
        return None
    weights = {made: weights_T for made, weights_T, _ in _weightings(strata[0], pooled=True)}
    if name not in weights:
        return None
    by_stratum = [np.stack(values, axis=1) for values in zip(*strata, strict=True)]
    return strata_resamples(by_stratum, weights[name], seed=seed, resamples=resamples)


def by_task(results: Results) -> dict[str, list[ItemResult]]:
    """The results of each task, in order, with `questions` = 1 in each."""
    found: dict[str, list[ItemResult]] = {}
    for one in results:
        counted = one if one.error else replace(one, values={**one.values, ONE: 1.0})
        found.setdefault(task_of(one.item), []).append(counted)
    return found


def metrics_of(results: Results) -> list[Metric]:
    """The metrics that a task's results have numbers for, in their order."""
    values = next((one.values for one in results if one.error is None), {})
    found = []
    for name in values:
        if name not in (NATS, WORDS, BYTES, CUT, ONE):
            measure = MEASURES[NAMES.get(name, SCORE)]
            attribute = None if name in NAMES else name
            found.append(Metric(sums.SumMeasure(measure, (name, ONE), ratio), name, attribute))
    if NATS in values:
        units = {name: unit for name, unit in PERPLEXITIES.items() if unit in values}
        if len(units) > 1:
            del units["target_perplexity"]
        found += [
            Metric(sums.SumMeasure(MEASURES[name], (NATS, unit), perplexity_of_sums, as_ratio=True))
            for name, unit in units.items()
        ]
    return found


# --- inside ---


def _own(
    task: str, results: Results, protocol: str, seed: int, resamples: int, *, alone: bool
) -> list[Measurement]:
    metrics = metrics_of(results)
    rows = sums.measurements(
        [one.of for one in metrics], results, protocol=protocol, seed=seed, resamples=resamples
    )
    return [
        replace(row, attribute=one.attribute, group=None if alone else task, note=_note(results))
        for one, row in zip(metrics, rows, strict=True)
    ]


def _note(results: Results) -> str | None:
    cut = sum(CUT in one.values for one in results)
    return f"{cut} of {len(results)} questions did not fit: their beginning is cut" if cut else None


def _main(results: Results) -> FloatArray | None:
    """The main share of a task by item (N,): normalised where there is that; None without any."""
    known = [one.values for one in results if one.error is None]
    for name in (NORMALISED, ACCURACY):
        if known and name in known[0]:
            return np.array([values[name] for values in known])
    return None


def _strata(tasks: dict[str, list[ItemResult]]) -> list[FloatArray]:
    """The main shares of all tasks; empty with one task, or where a task has none."""
    found = [values for own in tasks.values() if (values := _main(own)) is not None]
    return found if len(tasks) > 1 and len(found) == len(tasks) else []


def _weightings(strata: Sequence[FloatArray], pooled: bool) -> list[tuple[str, FloatArray, str]]:
    """The names of the means over tasks, their weights, and a note."""
    over = f"mean over {len(strata)} tasks"
    made = [(MACRO, equal_weights(strata), over)]
    return [*made, ("accuracy", pooled_weights(strata), "over all questions")] if pooled else made


def _means(
    tasks: dict[str, list[ItemResult]], *, protocol: str, pooled: bool, seed: int, resamples: int
) -> list[Measurement]:
    strata = _strata(tasks)
    if not strata:
        return []
    known, asked = sum(map(len, strata)), sum(map(len, tasks.values()))
    rows = []
    for name, weights_T, note in _weightings(strata, pooled):
        interval = strata_interval(strata, weights_T, seed=seed, resamples=resamples)
        rows.append(
            MEASURES[name].measurement(
                value=mean_over_strata(strata, weights_T),
                ci_low=interval.low if interval else None,
                ci_high=interval.high if interval else None,
                n=known,
                coverage=known / asked,
                protocol=protocol,
                note=note,
            )
        )
    return rows


def _changed(
    task: str, before: Results, after: Results, seed: int, resamples: int, alone: bool
) -> list[Difference]:
    metrics = [one for one in metrics_of(before) if one in metrics_of(after)]
    both = sums.paired(before, after)[:2]
    rows = sums.differences(
        [one.of for one in metrics], before, after, seed=seed, resamples=resamples
    )
    return [
        replace(
            row,
            attribute=one.attribute,
            group=None if alone else task,
            p_value=_mcnemar(*both, one.value),
        )
        for one, row in zip(metrics, rows, strict=True)
    ]


def _mcnemar(before: Results, after: Results, name: str | None) -> float | None:
    """The exact p-value for a metric that is 0 or 1 at each item; None for others."""
    if name is None or not before:
        return None
    values_2N = np.array([[one.values[name] for one in side] for side in (before, after)])
    if not np.isin(values_2N, (0, 1)).all():
        return None
    return sign_flip_exact((values_2N[1] - values_2N[0]).astype(np.int64))


def _adjusted(rows: Sequence[Difference]) -> list[Difference]:
    """The rows with their p-values adjusted over the tasks, measure by measure."""
    adjusted: dict[int, float] = {}
    for name in dict.fromkeys((row.name, row.attribute) for row in rows):
        places = [
            at
            for at, row in enumerate(rows)
            if (row.name, row.attribute) == name and row.p_value is not None
        ]
        p_values = holm([p for at in places if (p := rows[at].p_value) is not None])
        adjusted |= dict(zip(places, p_values, strict=True))
    return [replace(row, p_holm=adjusted.get(at)) for at, row in enumerate(rows)]


def _mean_differences(
    sides: dict[str, tuple[list[ItemResult], list[ItemResult]]],
    *,
    pooled: bool,
    seed: int,
    resamples: int,
) -> list[Difference]:
    before = _strata({task: side[0] for task, side in sides.items()})
    after = _strata({task: side[1] for task, side in sides.items()})
    if not (before and after):
        return []
    changes = [new - old for old, new in zip(before, after, strict=True)]
    count = sum(map(len, changes))
    rows = []
    for name, weights_T, note in _weightings(before, pooled):
        found = strata_interval(changes, weights_T, seed=seed, resamples=resamples)
        rows.append(
            MEASURES[name].difference(
                baseline=mean_over_strata(before, weights_T),
                treated=mean_over_strata(after, weights_T),
                difference=mean_over_strata(changes, weights_T),
                **_ends(found),
                p_value=_pooled_p(changes) if name == "accuracy" else None,
                n_prompts=count,
                n_pairs=count,
                note=note,
            )
        )
    return rows


def _ends(found: Interval | None) -> dict[str, float]:
    if found is None:
        return {}
    names = {"ci_low": "low", "ci_high": "high"}
    kept = ("percentile_low", "percentile_high")
    return {
        **{name: getattr(found, end) for name, end in names.items()},
        **{name: getattr(found, name) for name in kept},
    }


def _pooled_p(changes: Sequence[FloatArray]) -> float | None:
    all_N = np.concatenate(changes)
    whole = np.isin(all_N, (-1, 0, 1)).all()
    return sign_flip_exact(all_N.astype(np.int64)) if whole else None
