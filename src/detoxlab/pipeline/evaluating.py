"""Evaluates a model, and writes the results to its measured run or to a run of their own."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from detoxlab.errors import ConfigError
from detoxlab.evaluations import Evaluation, evaluate_into, is_evaluated
from detoxlab.pipeline.preflight import check_evaluate, check_in_place
from detoxlab.pipeline.stages.evaluating import Evaluating
from detoxlab.pipeline.subjects import DATE, date_in, date_record, dated, load_subject
from detoxlab.recipe.measuring import SubjectSettings
from detoxlab.records import RESAMPLES
from detoxlab.runs import Run
from detoxlab.runs.usage import recorded
from detoxlab.settings import parse
from detoxlab.workers import HERE, Workers

KINDS = ("measure", "evaluate")


def evaluate_run(
    path: Run | Path | str,
    evaluations: Mapping[str, Evaluation],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    base: str | None = None,
    workers: Workers = HERE,
) -> Run:
    """Add evaluations, by name, of a measured run's model to the run.

    Finished evaluations stay as they are, and interrupted ones go on. The model is loaded as the
    run says, steering included; `base` says where its base is now. `workers` evaluate.

    Raises `ConfigError` for a run whose model cannot be loaded in this process, `RunMismatchError`
    when the run holds an evaluation of the same name with other settings.
    """
    run = path if isinstance(path, Run) else Run.open(path)
    settings = subject_of(run).model_copy(update={"base": base})
    check_in_place(run, settings, evaluations, seed=seed)
    with run.locked(), workers:
        _evaluate(run, settings, evaluations, seed, resamples, workers)
    return run


def evaluate_model(
    settings: SubjectSettings,
    evaluations: Mapping[str, Evaluation],
    out: Path | str,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    resume: bool = False,
    workers: Workers = HERE,
) -> Run:
    """The run at `out` with evaluations of a model, by name, and nothing else."""
    config = settings.run_config()
    check_evaluate(settings, evaluations, out, seed=seed, resume=resume)
    settings = dated(settings, out, resume=resume)
    run = Run.start(out, kind="evaluate", config=config, seed=seed, resume=resume)
    with run.writing(), workers:
        run.update(**date_record(settings))
        _evaluate(run, settings, evaluations, seed, resamples, workers)
    return run


def subject_of(run: Run) -> SubjectSettings:
    """The model of a measured run; `ConfigError` where it cannot be loaded here."""
    config = run.config
    if run.info["kind"] not in KINDS or config.get("endpoint"):
        raise ConfigError(
            f"{run.path}: is not the run of a model that can be loaded here",
            remedy="Give a run of measure without endpoint, or a model and --out.",
        )
    known = {name: config[name] for name in SubjectSettings.model_fields if name in config}
    known |= {"model": run.located(config["model"]), DATE: date_in(run.info)}
    settings = parse(SubjectSettings, known, place=str(run.path / "config.yaml"))
    return settings.with_steerings_at(run.located)


# --- inside ---


def _evaluate(
    run: Run,
    settings: SubjectSettings,
    evaluations: Mapping[str, Evaluation],
    seed: int,
    resamples: int,
    workers: Workers,
) -> None:
    pending = {
        name: one for name, one in evaluations.items() if not is_evaluated(run, name, one, seed)
    }
    if not pending:
        return
    subject = load_subject(settings)
    for name, evaluation in pending.items():
        with recorded(run, f"evaluate {name}", subject.lm.device.type):
            over = partial(workers.results, Evaluating(settings, evaluation, seed))
            evaluate_into(run, name, evaluation, subject, seed=seed, resamples=resamples, over=over)
