"""Two saved runs held against each other."""

from pathlib import Path
from typing import Any

from detoxlab.compare import Limits, compare
from detoxlab.records import Comparison
from detoxlab.runs import Run


def compare_runs(
    baseline: Run | Path | str,
    treated: Run | Path | str,
    *,
    limits: Limits | None = None,
    **options: Any,
) -> Comparison:
    """The comparison of two run folders; `options` as in `detoxlab.compare.compare`."""
    before, after = (run if isinstance(run, Run) else Run.open(run) for run in (baseline, treated))
    return compare(before.responses(), after.responses(), limits=limits or Limits(), **options)
