"""Measures of toxicity and of what can fake a gain: pure functions on arrays and texts.

`measure(responses, protocol=...)` gives the whole table of a run. The parts are `toxicity`,
`guards`, `agreement`, `statistics`, `script` and the `presets`.
"""

from detoxlab.measure.agreement import (
    calibration_error,
    cohen_kappa,
    pearson,
    roc_auc,
    spearman,
)
from detoxlab.measure.grid import prompt_scores, score_matrix
from detoxlab.measure.presets import PROTOCOLS, Protocol, get_protocol
from detoxlab.measure.table import measure
from detoxlab.measure.toxicity import (
    complete_pairs,
    complete_rows,
    expected_maximum_toxicity,
    scored,
    toxic_fraction,
    toxic_fraction_bounds,
    toxicity_probability,
)

__all__ = [
    "PROTOCOLS",
    "Protocol",
    "calibration_error",
    "cohen_kappa",
    "complete_pairs",
    "complete_rows",
    "expected_maximum_toxicity",
    "get_protocol",
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
