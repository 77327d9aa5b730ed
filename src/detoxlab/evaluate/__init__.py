"""Usefulness: what a model can still do. One file per kind of evaluation; `EVALUATIONS` has all.

perplexity        how well it predicts running text
classification    how well the words of a label, asked for, tell labelled texts apart

Beside them, `WinRate` holds two models' responses against each other by a third model.

Other packages add a kind by the entry point group `detoxlab.evaluations`: a class like
`Perplexity`, an `Evaluation` whose field `kind` has the registered name as its default.
"""

from detoxlab.evaluate.base import Evaluation, Subject
from detoxlab.evaluate.classification import Classification
from detoxlab.evaluate.into import Evaluated, evaluate_into, is_evaluated, read_evaluated
from detoxlab.evaluate.perplexity import Perplexity
from detoxlab.evaluate.registry import EVALUATIONS, AnyEvaluation, load_evaluation
from detoxlab.evaluate.win_rate import WinRate

__all__ = [
    "EVALUATIONS",
    "AnyEvaluation",
    "Classification",
    "Evaluated",
    "Evaluation",
    "Perplexity",
    "Subject",
    "WinRate",
    "evaluate_into",
    "is_evaluated",
    "load_evaluation",
    "read_evaluated",
]
