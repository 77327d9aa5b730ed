"""The functions for users of detoxlab in Python: one per stage, whose keywords are the settings.

    base = measure("embedded", prompts="embedded", limit=20, out="runs/base")
    tuned = train("sft", "embedded", dialogues="embedded", epochs=1, out="runs/ft")
    treated = measure(tuned, prompts="embedded", limit=20, out="runs/treated")
    print(compare(base, treated).verdict)
    report([base, treated], "report.html")

`detoxlab help settings NAME` prints all keywords. A keyword of a group may be named alone
(`limit=20`, `k=5`) or in its group (`prompts={"source": "rtp", "limit": 20}`). A wrong one raises
`ConfigError`, which suggests the nearest. A model or run is named by a `Run`, a path or an id.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from detoxlab.comparisons import Limits
from detoxlab.data.kinds import KINDS
from detoxlab.data.settings import PromptSettings
from detoxlab.evaluations import EVALUATIONS, TASKS, load_evaluation
from detoxlab.explanations.measured.inseq import write_inseq
from detoxlab.methods import METHODS
from detoxlab.pipeline.auditing import audit_scorers
from detoxlab.pipeline.comparing import compare_runs
from detoxlab.pipeline.evaluating import evaluate_model, evaluate_run
from detoxlab.pipeline.explaining import explain_runs
from detoxlab.pipeline.folders import is_recipe, parts_of
from detoxlab.pipeline.measuring import measure_model
from detoxlab.pipeline.training import train_model
from detoxlab.pipeline.training import train_scorer as train_from_settings
from detoxlab.pipeline.winning import contests_in
from detoxlab.recipe.auditing import AuditSettings
from detoxlab.recipe.comparing import CompareSettings, ReportSettings
from detoxlab.recipe.explaining import (
    ExplainSettings,
    FaithfulnessSettings,
    ToxicWordsSettings,
)
from detoxlab.recipe.learning import TrainSettings, data_settings
from detoxlab.recipe.measuring import (
    Intervals,
    MeasureSettings,
    SamplingSettings,
    SubjectSettings,
)
from detoxlab.recipe.placing import placed
from detoxlab.records import Comparison
from detoxlab.registry import look_up
from detoxlab.reports import FORMATS, build_report, write_explained
from detoxlab.reports.explained.study import is_explained
from detoxlab.runs import Run
from detoxlab.scorer_training import ScorerTraining
from detoxlab.settings import parse
from detoxlab.workers import LOCAL, workers_on

Named = Run | Path | str
Groups = Mapping[str, type[BaseModel]]


def measure(
    model: Named,
    *,
    out: Path | str,
    resume: bool = False,
    on: str = LOCAL,
    workers: int | None = None,
    **settings: Any,
) -> Run:
    """The run at `out` with generations, scores and measures of a model.

    Keywords are the fields of `MeasureSettings`, of its `prompts` and of its `sampling`. `on` and
    `workers` say where the work is done (`detoxlab.workers.workers_on`).
    """
    groups: Groups = {"prompts": PromptSettings, "sampling": SamplingSettings}
    given = {"model": _name(model), **placed(settings, MeasureSettings, groups)}
    parsed = parse(MeasureSettings, given, place="measure")
    return measure_model(parsed, out, resume=resume, workers=workers_on(on, workers))


def train(
    method: str, model: Named, *, out: Path | str, resume: bool = False, **settings: Any
) -> Run:
    """The run at `out` with the adapter that a method made; the base model is untouched.

    Keywords are the fields of `TrainSettings`, one of which names the data (`dialogues`, `pairs`,
    `prompts`, `texts`), the fields of that source, and the method's hyperparameters.
    """
    if isinstance(texts := settings.get("texts"), str):
        settings["texts"] = data_settings("texts", texts, {})
    groups: dict[str, type[BaseModel]] = {
        name: kind.settings for name, kind in KINDS.items() if name in settings
    }
    groups["config"] = look_up("method", method, METHODS).config
    named = {"method": method, "model": _name(model)}
    given = named | placed(settings, TrainSettings, groups)
    return train_model(parse(TrainSettings, given, place="train"), out, resume=resume)


def train_scorer(
    *, encoder: Path | str, out: Path | str, resume: bool = False, **settings: Any
) -> Run:
    """The run at `out` with the scorer that an encoder became; `load_scorer(run.path)` loads it.

    Keywords are the fields of `ScorerTraining`, such as `data`, `never` and `adaptation`.
    """
    given = {"name": Path(out).resolve().name, "encoder": str(encoder), **settings}
    asked = parse(ScorerTraining, given, place="train_scorer")
    return train_from_settings(asked, out, resume=resume)


def evaluate(
    model: Named,
    kind: str,
    *,
    out: Path | str | None = None,
    name: str | None = None,
    resume: bool = False,
    on: str = LOCAL,
    workers: int | None = None,
    **settings: Any,
) -> Run:
    """The run with an evaluation of a model: the one at `out`, or the measured run itself.

    `kind` is a kind of evaluation, or the name of one with its settings, such as "mmlu"
    (`detoxlab.evaluations.TASKS`). Keywords are the settings of the kind of evaluation, `resamples`
    and `seed`, and, with `out`, the settings of the model (`SubjectSettings`); without it, only
    `base`. `name` is the name of the evaluation in the run, by default `kind`. `on` and `workers`
    say where the work is done (`detoxlab.workers.workers_on`).
    """
    own = TASKS[kind].settings if kind in TASKS else {"kind": kind}
    groups: Groups = {
        "evaluation": look_up("kind of evaluation", own["kind"], EVALUATIONS),
        "intervals": Intervals,
    }
    given = placed(settings, SubjectSettings, groups)
    named = {name or kind: load_evaluation({**own, **given.pop("evaluation", {})})}
    how = parse(Intervals, given.pop("intervals", {}), place="evaluate").model_dump()
    there = workers_on(on, workers)
    if out is None:
        return evaluate_run(_run(model), named, **given, **how, workers=there)
    subject = parse(SubjectSettings, {"model": _name(model), **given}, place="evaluate")
    return evaluate_model(subject, named, out, resume=resume, workers=there, **how)


def explain(
    runs: Sequence[Named],
    *,
    out: Path | str,
    resume: bool = False,
    inseq: Path | str | None = None,
    **settings: Any,
) -> Run:
    """The run at `out` that says how much each measured run's model listens to its prompts.

    The first run is the baseline of the others. `inseq` is a folder for the scores in the layout of
    Inseq's loader. Keywords are the fields of `ExplainSettings`, of its `faithfulness` and of its
    `toxic_words`.
    """
    groups: Groups = {"faithfulness": FaithfulnessSettings, "toxic_words": ToxicWordsSettings}
    given = placed(settings, ExplainSettings, groups)
    named = {"runs": tuple(_name(run) for run in runs)}
    run = explain_runs(parse(ExplainSettings, named | given, place="explain"), out, resume=resume)
    if inseq is not None:
        write_inseq(run, inseq)
    return run


def audit(
    scorers: str | Sequence[str],
    *,
    data: Path | str,
    out: Path | str,
    resume: bool = False,
    **settings: Any,
) -> Run:
    """The run at `out` with the audit of scorers on the labelled sets in the folder `data`.

    Keywords are the fields of `AuditSettings`.
    """
    names = (scorers,) if isinstance(scorers, str) else tuple(scorers)
    given = {"scorers": names, "data": str(data), **settings}
    return audit_scorers(parse(AuditSettings, given, place="audit"), out, resume=resume)


def compare(baseline: Named, treated: Named, **settings: Any) -> Comparison:
    """Whether a measured run is less toxic than another, and what it costs.

    Keywords are the fields of `CompareSettings` and of its `limits`.
    """
    given = placed(settings, CompareSettings, {"limits": Limits})
    asked = parse(CompareSettings, given, place="compare")
    how = {name: getattr(asked, name) for name in CompareSettings.model_fields}
    return compare_runs(_run(baseline), _run(treated), **how)


def report(
    runs: Sequence[Named],
    out: Path | str,
    *,
    trained: Mapping[str, Named] | None = None,
    against: Iterable[tuple[str, str]] = (),
    win_rates: Iterable[Named] = (),
    sweeps: Mapping[str, Named] | None = None,
    explained: Named | None = None,
    title: str | None = None,
    formats: Sequence[str] = FORMATS,
    figures: Path | str | None = None,
    **settings: Any,
) -> Path:
    """The path of the report of measured runs, the first of which is the baseline.

    `trained` gives the training run behind a measured one by its name. `against` are pairs of
    names, baseline and treated, that are compared too. `win_rates` are contests of two models or of
    several. `sweeps` gives runs of `sweep` by the name of their method. `explained` is a run of
    `explain`, which can also stand alone in `runs`. The folder of a recipe, alone in `runs`, stands
    for all that is finished in it. `figures` is a folder for the figures as SVG
    and PNG files. Other keywords are the fields of `ReportSettings` and of its `limits`.
    """
    given = placed(settings, ReportSettings, {"limits": Limits})
    asked = parse(ReportSettings, given, place="report")
    measured = [_run(run) for run in runs]
    if len(measured) == 1 and is_explained(measured[0]):
        return write_explained(measured[0], out, title=title, formats=formats, figures=figures)
    if len(measured) == 1 and is_recipe(measured[0]):
        own = {name: getattr(asked, name) for name in asked.model_fields_set}
        parts = parts_of(measured[0]) | own
        return build_report(out=out, title=title, formats=formats, figures=figures, **parts)
    return build_report(
        measured,
        out,
        trained={name: _run(run) for name, run in (trained or {}).items()},
        rivals=list(against),
        win_rates=[one for run in win_rates for one in contests_in(_run(run))],
        sweeps={name: _run(run) for name, run in (sweeps or {}).items()},
        explained=_run(explained) if explained else None,
        title=title,
        formats=formats,
        figures=figures,
        **{name: getattr(asked, name) for name in ReportSettings.model_fields},
    )


def _name(model: Named) -> str:
    return str(model.path) if isinstance(model, Run) else str(model)


def _run(run: Named) -> Run:
    return run if isinstance(run, Run) else Run.open(run)
