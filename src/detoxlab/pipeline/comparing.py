"""Compares saved runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detoxlab.comparisons import Limits, compare_each
from detoxlab.records import Comparison
from detoxlab.runs import Run


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
    before, *after = (
        (run if isinstance(run, Run) else Run.open(run)).responses()
        for run in (baseline, *variants)
    )
    pairs = [(before, one) for one in after]
    return compare_each(pairs, limits=limits or Limits(), **options)
