"""`detoxlab evaluate` and `detoxlab winrate`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field

from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.answers import Answer, answers
from detoxlab.cli.common.fields import Given, from_fields
from detoxlab.contest import WinRate
from detoxlab.data.settings import DataSettings
from detoxlab.loading import Loading
from detoxlab.recipe.measuring import Intervals, SubjectSettings
from detoxlab.settings import Settings
from detoxlab.workers import LOCAL, Workers, workers_on

if TYPE_CHECKING:
    from detoxlab.evaluations import Evaluation
    from detoxlab.runs import Run

ASKED = {
    "--data": "data",
    "--source": "evaluation.source",
    "--path": "evaluation.path",
    "--column": "evaluation.columns",
    "--limit": "evaluation.limit",
}
JUDGED = {
    "--judge": "judge",
    "--kind": "kind",
    "--samples": "samples",
    "--concurrency": "concurrency",
    "--api-key-env": "api_key_env",
}
OF_A_MODEL = arg.STEERED | arg.READ_AS


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(evaluate)
    app.command()(winrate)


class Asked(Settings):
    """Settings of evaluations that have options of their own."""

    evaluation: DataSettings | None = None
    data: str | None = Field(
        None, description="folder with the files of --tasks; none: benchmarks come from the hub"
    )


@answers
@from_fields(
    asked=(Asked, ASKED),
    read_as=(SubjectSettings, OF_A_MODEL),
    intervals=(Intervals, arg.INTERVALS),
)
def evaluate(
    asked: Given,
    read_as: Given,
    intervals: Given,
    model: Annotated[
        str | None,
        typer.Argument(
            help="a measured run, whose model is evaluated in place; or, with --out, a hub id, "
            "model folder, adapter folder, run of train, or 'embedded'."
        ),
    ] = None,
    kind: Annotated[
        str | None, typer.Argument(help="the kind of evaluation, e.g. perplexity; or give --tasks")
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="names with commas, e.g. mmlu,commonsense,wikitext2, or any task of "
            "lm-evaluation-harness"
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="what to call it in the run; else as its kind")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(*arg.OUT, help="a run folder to make, for a model")
    ] = None,
    set_: arg.Set = [],
    resume: arg.Resume = False,
    on: arg.On = LOCAL,
    workers: arg.Workers = None,
    dry_run: arg.DryRun = False,
) -> Answer:
    """Say what a model can still do: benchmarks, perplexity of running text, and others.

    Without a model, the names of all there is are listed. A run that is evaluated in place goes
    on by itself where it was cut off. --set takes the evaluations' settings, such as stride=128,
    and those of the model.
    """
    from detoxlab.cli.common.show import evaluated_answer, evaluations_answer
    from detoxlab.settings import parse

    if model is None:
        return evaluations_answer()
    if not dry_run:
        arg.begin(f"evaluate {model}", out)
    given, common = _with_set(_kinds(kind, tasks), asked, read_as, set_)
    named = _named(kind, tasks, name, common)
    how = parse(Intervals, intervals, place="evaluate")
    if dry_run:
        return _plan(model, out, named, given, how.seed, resume=resume)
    there = workers_on(on, workers)
    run = _evaluated(model, out, named, given, how, resume=resume, workers=there)
    return evaluated_answer(run, list(named))


def _kinds(kind: str | None, tasks: str | None) -> "list[type[Evaluation]]":
    """The kinds that are asked for; `ConfigError` unless either a kind or tasks are named."""
    from detoxlab.errors import ConfigError
    from detoxlab.evaluations import EVALUATIONS, TASKS
    from detoxlab.registry import look_up

    if (kind is None) == (tasks is None):
        raise ConfigError(
            "evaluate: name a kind of evaluation, or --tasks",
            remedy="`detoxlab evaluate` alone lists both.",
        )
    if kind is not None:
        return [look_up("kind of evaluation", kind, EVALUATIONS)]
    found = [TASKS[one].settings["kind"] if one in TASKS else "benchmark" for one in _split(tasks)]
    return [EVALUATIONS[one] for one in found]


def _split(tasks: str | None) -> list[str]:
    return [one for part in (tasks or "").split(",") if (one := part.strip())]


def _named(
    kind: str | None, tasks: str | None, name: str | None, common: Given
) -> "dict[str, Evaluation]":
    """The evaluations by their names in the run."""
    from detoxlab.evaluations import load_evaluation, task_evaluations

    if kind is not None:
        return {name or kind: load_evaluation({"kind": kind, **common})}
    arg.refuse({"name": name} if name else {}, {"--name": "name"}, "--tasks have names")
    return task_evaluations(_split(tasks), common)


def _with_set(
    kinds: "list[type[Evaluation]]", asked: Given, read_as: Given, overrides: list[str]
) -> tuple[Given, Given]:
    """The settings of the model, and those of the evaluations."""
    from detoxlab.recipe.overrides import with_overrides

    own = {key for kind in kinds for key in kind.model_fields}
    placed = arg.within("evaluation", overrides, SubjectSettings.model_fields, own)
    common = {**asked.pop("evaluation", {}), **asked}
    given = with_overrides({**read_as, "evaluation": common}, placed)
    return given, given.pop("evaluation")


def _evaluated(
    model: str,
    out: Path | None,
    named: Mapping[str, "Evaluation"],
    given: Given,
    how: Intervals,
    *,
    resume: bool,
    workers: Workers,
) -> "Run":
    from detoxlab.pipeline import evaluate_model, evaluate_run
    from detoxlab.settings import parse

    if out is None:
        _check_in_place(model, given)
        base = given.get("base")
        return evaluate_run(model, named, base=base, workers=workers, **how.model_dump())
    settings = parse(SubjectSettings, {"model": model} | given, place="evaluate")
    return evaluate_model(settings, named, out, resume=resume, workers=workers, **how.model_dump())


def _plan(
    model: str,
    out: Path | None,
    named: Mapping[str, "Evaluation"],
    given: Given,
    seed: int,
    *,
    resume: bool,
) -> Answer:
    from detoxlab.pipeline.evaluating import subject_of
    from detoxlab.pipeline.preflight import check_evaluate, check_in_place
    from detoxlab.runs import Run
    from detoxlab.settings import parse

    if out is None:
        _check_in_place(model, given)
        subject = subject_of(Run.open(model)).model_copy(update={"base": given.get("base")})
        unchecked = check_in_place(Run.open(model), subject, named, seed=seed)
    else:
        settings = parse(SubjectSettings, {"model": model} | given, place="evaluate")
        unchecked = check_evaluate(settings, named, out, seed=seed, resume=resume)
    lines = [
        f"would evaluate {one.kind} of {model} on {len(one.items(seed))} items"
        for one in named.values()
    ]
    return Answer.of_plan("\n".join(lines), unchecked)


def _check_in_place(path: str, given: Given) -> None:
    """Raises `ConfigError` where there is no run, or for settings that the run has fixed."""
    from detoxlab.errors import ConfigError
    from detoxlab.runs import is_run

    if not is_run(path):
        raise ConfigError(f"{path}: is no measured run", remedy="Name a run folder with --out.")
    settled = {flag: name for flag, name in OF_A_MODEL.items() if flag != "--base"}
    arg.refuse(given, settled, f"{path} says itself how its model is read and decodes")


@answers
@from_fields(
    asked=(WinRate, JUDGED),
    read_as=(Loading, {"--device": "device"}),
    intervals=(Intervals, arg.INTERVALS),
)
def winrate(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="measured runs on the same prompts; the first is the baseline", show_default=False
        ),
    ],
    out: arg.Out,
    asked: Given,
    read_as: Given,
    intervals: Given,
    set_: arg.Set = [],
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> Answer:
    """Let a third model judge whose responses to the same prompts are better.

    Of three runs or more every two are judged, and all are ranked. --set takes the settings of the
    contest, such as instruction=….
    """
    if not dry_run:
        arg.begin("winrate", out)
    from detoxlab.cli.common.show import win_rates_answer
    from detoxlab.pipeline import Contest, win_rates, win_rates_of_all
    from detoxlab.pipeline.winning import check_all, check_contest
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.runs import Run
    from detoxlab.settings import parse

    settings = parse(WinRate, with_overrides(asked, set_), place="winrate")
    how = parse(Intervals, intervals, place="winrate").model_dump()
    opened = [Run.open(one) for one in runs]
    contest = Contest(opened[0], opened[1], out) if len(opened) == 2 else None
    if dry_run:
        unchecked = (
            check_contest(settings, contest, resume=resume)
            if contest
            else check_all(settings, opened, out, resume=resume)
        )
        plan = f"would let {settings.judge.model} judge {', '.join(map(str, runs))}"
        return Answer.of_plan(plan, unchecked)
    if contest:
        (run,) = win_rates(settings, [contest], resume=resume, **read_as, **how)
    else:
        run = win_rates_of_all(settings, opened, out, resume=resume, **read_as, **how)
    return win_rates_answer(run)
