"""Usefulness: what a model can still do. One file per kind of evaluation; `EVALUATIONS` has all.

perplexity        how well the model predicts running text
classification    how well it classifies texts by the probability of each label's words

Beside them, `win_rate` compares two models' responses by the judgement of a third model.

Other packages add a kind by the entry point group `detoxlab.evaluations`: a class like
`Perplexity`, an `Evaluation` whose field `kind` has the registered name as its default.
"""

from detoxlab.evaluations.base import Evaluation
from detoxlab.evaluations.classification import Classification
from detoxlab.evaluations.perplexity import Perplexity
from detoxlab.evaluations.registry import EVALUATIONS, AnyEvaluation, load_evaluation
from detoxlab.evaluations.store import Evaluated, evaluate_into, is_evaluated, read_evaluated

__all__ = [
    "EVALUATIONS",
    "AnyEvaluation",
    "Classification",
    "Evaluated",
    "Evaluation",
    "Perplexity",
    "evaluate_into",
    "is_evaluated",
    "load_evaluation",
    "read_evaluated",
]
