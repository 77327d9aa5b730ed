"""The stages in order, each resumable: measure and evaluate a model, train, run a recipe."""

from detoxlab.pipeline.comparing import compare_runs, compare_variants
from detoxlab.pipeline.evaluating import evaluate_model, evaluate_run
from detoxlab.pipeline.experiment import run_recipe
from detoxlab.pipeline.explaining import explain_runs
from detoxlab.pipeline.importing import score_file
from detoxlab.pipeline.measuring import measure_model
from detoxlab.pipeline.publishing import export_model, publish_model
from detoxlab.pipeline.rescoring import score_again
from detoxlab.pipeline.training import train_model, train_scorer
from detoxlab.pipeline.winning import Contest, win_rates, win_rates_of_all

__all__ = [
    "Contest",
    "compare_runs",
    "compare_variants",
    "evaluate_model",
    "evaluate_run",
    "explain_runs",
    "export_model",
    "measure_model",
    "publish_model",
    "run_recipe",
    "score_again",
    "score_file",
    "train_model",
    "train_scorer",
    "win_rates",
    "win_rates_of_all",
]
