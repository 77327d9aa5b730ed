"""Goes on with a run by the settings in its folder."""

import contextlib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detoxlab.data.settings import relative
from detoxlab.errors import ConfigError
from detoxlab.pipeline.auditing import audit_scorers
from detoxlab.pipeline.experiment import run_recipe
from detoxlab.pipeline.explaining import explain_runs
from detoxlab.pipeline.measuring import measure_model
from detoxlab.pipeline.sweeping import sweep_model
from detoxlab.pipeline.training import train_model, train_scorer
from detoxlab.recipe.auditing import AuditSettings
from detoxlab.recipe.experiment import Recipe
from detoxlab.recipe.explaining import ExplainSettings
from detoxlab.recipe.learning import TrainSettings
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.recipe.sweeping import SweepSettings
from detoxlab.runs import Run, is_run
from detoxlab.scorer_training import ScorerTraining
from detoxlab.settings import Settings, parse

DEEPEST = 3  # levels between a recipe's folder and the runs in it
STAGES: dict[str, tuple[type[Settings], Callable[..., Any]]] = {
    "measure": (MeasureSettings, measure_model),
    "train": (TrainSettings, train_model),
    "scorer": (ScorerTraining, train_scorer),
    "experiment": (Recipe, run_recipe),
    "sweep": (SweepSettings, sweep_model),
    "explain": (ExplainSettings, explain_runs),
    "audit": (AuditSettings, audit_scorers),
}


def resume(path: Path | str) -> Run:
    """Go on with the run at `path` as it was begun; returns it when it is finished.

    Of a run inside a recipe's folder the recipe goes on. The paths in its settings are those of
    the folder in which it was begun. Raises `ConfigError` for a kind of run whose folder does not
    hold all its settings.
    """
    run = outermost(Run.open(path))
    kind = run.info["kind"]
    if kind not in STAGES:
        raise ConfigError(
            f"{run.path}: a run of {kind} does not hold all its settings",
            remedy=f"Repeat its command with --resume: {shlex.join(run.info['command'])}.",
        )
    settings_kind, stage = STAGES[kind]
    config = run.config
    if sampling := config.get("sampling"):
        config["sampling"] = {name: sampling[name] for name in sampling if name != "seed"}
    if "seed" in settings_kind.model_fields:
        config.setdefault("seed", run.info["seed"])
    settings = parse(settings_kind, config, place=str(run.path / "config.yaml"))
    folder, out = run.working_folder or Path(), run.path.resolve()
    with contextlib.chdir(folder):
        stage(settings, out, resume=True)
    return run


def outermost(run: Run) -> Run:
    """The run whose command made this one: the recipe or sweep around it, or the run itself."""
    above = list(run.path.resolve().parents)[:DEEPEST]
    found = [folder for folder in above if is_run(folder)]
    return Run(Path(relative(str(found[-1])))) if found else run
