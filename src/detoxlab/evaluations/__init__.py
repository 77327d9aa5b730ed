"""Evaluations beside the measured table. One file per kind; `EVALUATIONS` has all.

perplexity        how well the model predicts running text
classification    how well it classifies texts by the probability of each label's words
benchmark         MMLU, commonsense, LAMBADA and other tasks of lm-evaluation-harness
refusal           how often it refuses safe prompts, and unsafe ones
groups            toxicity by group of people, and gaps between groups: ToxiGen, BOLD

`TASKS` has names for evaluations with all their settings, such as mmlu and wikitext2.

Beside them, `win_rate` compares two models' responses by the judgement of a third model.

Other packages add a kind by the entry point group `detoxlab.evaluations`: a class like
`Perplexity`, an `Evaluation` whose field `kind` has the registered name as its default.
"""

from detoxlab.evaluations.base import Evaluation
from detoxlab.evaluations.benchmark import Benchmark
from detoxlab.evaluations.classification import Classification
from detoxlab.evaluations.groups import GroupToxicity
from detoxlab.evaluations.perplexity import Perplexity
from detoxlab.evaluations.refusal import OverRefusal
from detoxlab.evaluations.registry import EVALUATIONS, AnyEvaluation, load_evaluation
from detoxlab.evaluations.store import (
    Evaluated,
    evaluate_into,
    evaluated_differences,
    evaluated_resamples,
    is_evaluated,
    read_evaluated,
)
from detoxlab.evaluations.tasks import TASKS, NamedTask, task_evaluations

__all__ = [
    "EVALUATIONS",
    "TASKS",
    "AnyEvaluation",
    "Benchmark",
    "Classification",
    "Evaluated",
    "Evaluation",
    "GroupToxicity",
    "NamedTask",
    "OverRefusal",
    "Perplexity",
    "evaluate_into",
    "evaluated_differences",
    "evaluated_resamples",
    "is_evaluated",
    "load_evaluation",
    "read_evaluated",
    "task_evaluations",
]
