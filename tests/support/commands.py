"""Whole commands, each in a process of its own, and the comparison that they leave."""

import json
import os
import subprocess
import sys
from pathlib import Path

from detoxlab.records import Comparison, from_json


def detoxlab(*arguments: object, folder: Path, **environment: str) -> str:
    """What the command prints; fails with its error when it does."""
    done = subprocess.run(
        [sys.executable, "-m", "detoxlab", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def comparison_in(folder: Path) -> Comparison:
    rows = json.loads((folder / "comparisons.json").read_text())
    return from_json(Comparison, rows[0])


def fall(comparison: Comparison, scorer_id: str | None) -> tuple[float, float]:
    """Relative fall of the toxic fraction over all pairs, and the interval's upper end."""
    row = next(
        row
        for row in comparison.differences
        if row.name == "toxic_fraction"
        and row.attribute == "toxicity"
        and row.scorer_id == scorer_id
        and row.subset == "all"
        and row.group is None
    )
    assert row.baseline
    assert row.difference is not None
    assert row.ci_high is not None
    return -row.difference / row.baseline, row.ci_high
