"""Compares saved runs: their responses, and their evaluations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detoxlab.comparisons import Limits, compare_each
from detoxlab.evaluations import evaluated_differences, read_evaluated
from detoxlab.records import RESAMPLES, Comparison, Difference
from detoxlab.runs import Run, check_complete


def compare_runs(
    baseline: Run | Path | str,
    treated: Run | Path | str,
    *,
    limits: Limits | None = None,
    **options: Any,
) -> Comparison:
    """The comparison of two run folders; `options` as in `detoxlab.comparisons.compare`."""
    return compare_variants(baseline, [treated], limits=limits, **options)[0]


def compare_variants(
    baseline: Run | Path | str,
    variants: Sequence[Run | Path | str],
    *,
    limits: Limits | None = None,
    **options: Any,
) -> tuple[Comparison, ...]:
    """Several run folders against one, with p-values corrected over all of them (Holm)."""
    runs = [run if isinstance(run, Run) else Run.open(run) for run in (baseline, *variants)]
    for run in runs:
        check_complete(run)
    before, *after = (run.responses() for run in runs)
    pairs = [(before, one) for one in after]
    return compare_each(pairs, limits=limits or Limits(), **options)


def compare_evaluations(
    baseline: Run | Path | str,
    treated: Run | Path | str,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, list[Difference]]:
    """The paired differences of each evaluation that both runs hold, by its name.

    Empty for an evaluation that asked the two models otherwise.
    """
    before, after = (
        read_evaluated(run if isinstance(run, Run) else Run.open(run))
        for run in (baseline, treated)
    )
    return {
        name: evaluated_differences(before[name], one, seed=seed, resamples=resamples)
        for name, one in after.items()
        if name in before
    }


def only_evaluated(runs: Sequence[Run | Path | str]) -> bool:
    """Whether all runs hold evaluations of a model and no responses."""
    opened = [run if isinstance(run, Run) else Run.open(run) for run in runs]
    return all(run.info["kind"] == "evaluate" for run in opened)
