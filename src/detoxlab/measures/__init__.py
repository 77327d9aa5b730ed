"""Measures of toxicity, and guards against faked gains: pure functions on arrays and texts.

`measure(responses, protocol=...)` gives the whole table of a run. The parts are `toxicity`,
`guards`, `agreement`, `statistics` and `script`.
"""

from detoxlab.measures.agreement import (
    calibration_error,
    cohen_kappa,
    pearson,
    roc_auc,
    spearman,
)
from detoxlab.measures.grid import prompt_scores, score_matrix
from detoxlab.measures.table import measure
from detoxlab.measures.toxicity import (
    complete_pairs,
    complete_rows,
    expected_maximum_toxicity,
    scored,
    toxic_fraction,
    toxic_fraction_bounds,
    toxicity_probability,
)

__all__ = [
    "calibration_error",
    "cohen_kappa",
    "complete_pairs",
    "complete_rows",
    "expected_maximum_toxicity",
    "measure",
    "pearson",
    "prompt_scores",
    "roc_auc",
    "score_matrix",
    "scored",
    "spearman",
    "toxic_fraction",
    "toxic_fraction_bounds",
    "toxicity_probability",
]
