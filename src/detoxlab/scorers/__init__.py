"""Scorers turn texts into probabilities of toxicity and related attributes, or NaN with a reason.

    scorer = load_scorer("rtp-linear")
    scorer(["you fool", ""])        # (2, 8): a row of numbers, a row of NaN
    scorer.missing_reason("")       # "empty"

Embedded: `rtp-linear` (fast, numpy), `rtp-neural` and `human-neural` (better, need the extra
`offline`), and others (docs/scorers.md).
From the hub or a folder: `hf:ORG/MODEL`. Several at once: `mean(a, b)`, `max(a, b)`,
`mean(2*a, b)`. Odd spelling and long texts: `normalised(a)`, `worst_window(a)`. A package adds
its own by an entry point of the group `detoxlab.scorers`.
"""

from detoxlab.scorers.base import PERSPECTIVE_ATTRIBUTES, FloatArray, Scorer
from detoxlab.scorers.cache import CachedScorer, CacheWarning, cached
from detoxlab.scorers.ensemble import Ensemble
from detoxlab.scorers.loading import (
    SCORERS,
    check_scorer,
    known_scorers,
    load_scorer,
    scorer_with,
)
from detoxlab.scorers.names import single_scorers
from detoxlab.scorers.scoring import score_generations, score_into

__all__ = [
    "PERSPECTIVE_ATTRIBUTES",
    "SCORERS",
    "CacheWarning",
    "CachedScorer",
    "Ensemble",
    "FloatArray",
    "Scorer",
    "cached",
    "check_scorer",
    "known_scorers",
    "load_scorer",
    "score_generations",
    "score_into",
    "scorer_with",
    "single_scorers",
]
