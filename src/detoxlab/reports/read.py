"""Reads the study of a report from run folders alone; never loads a model."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from detoxlab.audits.card import Audit, load_card
from detoxlab.comparisons import ATTRIBUTE, THRESHOLD, Limits, compare_each
from detoxlab.comparisons.excerpts import excerpts
from detoxlab.comparisons.sweeps import read_sweep
from detoxlab.errors import DataError, UnknownNameError
from detoxlab.evaluations import evaluated_differences, read_evaluated
from detoxlab.evaluations.win_rate import Contested, rankings
from detoxlab.records import RESAMPLES, Responses, Streamed
from detoxlab.registry import look_up
from detoxlab.reports.explained.study import read_explained
from detoxlab.reports.published import Published
from detoxlab.reports.study import RESPONSES, EvaluationChange, Measured, Study, Trained
from detoxlab.runs import Run, check_complete, complete_lines, is_run, read_json

PLAIN_NAMES = {"measure", "measured", "train", "run"}


def read_study(
    measured: Sequence[Run],
    *,
    trained: Mapping[str, Run],
    rivals: Sequence[tuple[str, str]] = (),
    win_rates: Sequence[Run] = (),
    sweeps: Mapping[str, Run] | None = None,
    explained: Run | None = None,
    also: Mapping[str, Sequence[Run]] | None = None,
    beside: Published | None = None,
    title: str | None = None,
    limits: Limits,
    useful_by: str | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Study:
    """The study that the report shows, read from the folders, with every variant compared.

    Comparisons with the first run come first, in the order of the runs. `also` are the runs of the
    same models on further benches, by the name of the bench, `beside` published rows for the table
    of all variants. Raises `UnknownNameError`
    where `useful_by` is no evaluation of any run, or a name in `trained` or `rivals` is no run.
    """
    runs = [
        read_measured(run, name)
        for run, name in zip(measured, display_names(measured), strict=True)
    ]
    for name in trained:
        look_up("run with a training", name, {run.name: run for run in runs})
    check_useful_by(useful_by, (name for run in runs for name in run.evaluations))
    pairs = [(runs[0], run) for run in runs[1:]] + _named(runs, rivals)
    comparisons = compare_each(
        [(before.responses, after.responses) for before, after in pairs],
        limits=limits,
        seed=seed,
        resamples=resamples,
    )
    attribute = runs[0].responses.attribute or ATTRIBUTE
    runs = with_excerpts(runs, attribute, seed)
    behind = {
        shown.name: found
        for run, shown in zip(measured, runs, strict=True)
        if (found := trained.get(shown.name) or training_behind(run))
    }
    contests = tuple(Contested.of(run) for run in win_rates)
    title = title or default_title([run.name for run in runs])
    shared: dict[str, Any] = {"limits": limits, "seed": seed, "resamples": resamples}
    return Study(
        title=title,
        measured=tuple(runs),
        comparisons=comparisons,
        trained=tuple(read_trained(run, name) for name, run in {**trained, **behind}.items()),
        attribute=attribute,
        threshold=runs[0].responses.threshold or THRESHOLD,
        usefulness=useful_changes(pairs, seed=seed, resamples=resamples),
        win_rates=contests,
        rankings=rankings(contests, seed=seed, resamples=resamples),
        cards=read_cards(runs[0].responses, attribute),
        sweeps={name: read_sweep(run) for name, run in (sweeps or {}).items()},
        explained=read_explained(explained) if explained else None,
        also={
            bench: read_study(there, trained={}, title=f"{title}, on {bench}", **shared)
            for bench, there in (also or {}).items()
        },
        beside=beside,
        useful_by=useful_by,
        seed=seed,
        resamples=resamples,
    )


def check_useful_by(useful_by: str | None, evaluations: Iterable[str]) -> None:
    """Raises `UnknownNameError` unless it is one of the evaluations, or "responses", or None."""
    known = dict.fromkeys((*evaluations, RESPONSES))
    if useful_by is not None and useful_by not in known:
        raise UnknownNameError("evaluation", useful_by, known)


def _named(
    runs: Sequence[Measured], rivals: Sequence[tuple[str, str]]
) -> list[tuple[Measured, Measured]]:
    by_name = {run.name: run for run in runs}
    for name in (name for pair in rivals for name in pair):
        if name not in by_name:
            raise UnknownNameError("run", name, by_name)
    return [(by_name[before], by_name[after]) for before, after in rivals]


def default_title(names: Sequence[str]) -> str:
    """A title that names the models and the baseline.

    >>> default_title(["base", "ft", "dpo"]), default_title(["base"])
    ('Toxicity of ft and dpo against base', 'Toxicity of base')
    """
    if len(names) == 1:
        return f"Toxicity of {names[0]}"
    *first, last = names[1:]
    variants = f"{', '.join(first)} and {last}" if first else last
    return f"Toxicity of {variants} against {names[0]}"


def read_cards(responses: Responses, attribute: str) -> dict[str, Audit]:
    """The cards of the judge and of the second scorer, by scorer id, where they were audited."""
    ids = [one for one in (responses.judge_id, responses.second_id) if one]
    return {one: card for one in ids if (card := load_card(one, attribute))}


def display_names(runs: Sequence[Run]) -> list[str]:
    """A distinct name for each run: its folder's, or the parent's where that is a plain name."""
    names = []
    for run in runs:
        path = run.path.resolve()
        names.append(path.parent.name if path.name in PLAIN_NAMES else path.name)
    return _distinct(names)


def _distinct(names: Iterable[str]) -> list[str]:
    """The names, numbered where they repeat.

    >>> _distinct(["ft", "ft", "base"])
    ['ft', 'ft (2)', 'base']
    """
    taken: list[str] = []
    for name in names:
        number, unique = 1, name
        while unique in taken:
            number += 1
            unique = f"{name} ({number})"
        taken.append(unique)
    return taken


def read_measured(run: Run, name: str) -> Measured:
    """The measured run under its name in the report."""
    check_complete(run)
    return Measured(
        name=name,
        responses=replace(run.responses(), name=name),
        measurements=tuple(run.measurements()),
        info=run.info,
        config=run.config,
        evaluations=read_evaluated(run),
    )


def with_excerpts(runs: Sequence[Measured], attribute: str, seed: int) -> list[Measured]:
    """The runs, each with its excerpt where one of them is too large for memory."""
    if not any(isinstance(run.responses.generations, Streamed) for run in runs):
        return list(runs)
    found = excerpts([run.responses for run in runs], [run.grid for run in runs], attribute, seed)
    return [replace(run, excerpt=one) for run, one in zip(runs, found, strict=True)]


def training_behind(run: Run) -> Run | None:
    """The training whose result a run measured, found by its own settings; None without one.

    A training that ended after the run began, because it was made anew, is another one.
    """
    model = run.config.get("model")
    path = Path(run.located(model)) if isinstance(model, str) else None
    if path is None or not is_run(path):
        return None
    made, began = Run(path).info, str(run.info.get("started") or "")
    ended = str(made.get("finished") or "")
    is_its = made.get("kind") == "train" and made.get("status") == "finished" and ended <= began
    return Run(path) if is_its else None


def read_trained(run: Run, name: str) -> Trained:
    """The training run with its logs."""
    head = run.path / "auxiliary" / "report.json"
    return Trained(
        name=name,
        info=run.info,
        config=run.config,
        log=read_log(run.path / "train.jsonl"),
        samples=read_log(run.path / "samples.jsonl"),
        iterations=read_log(run.path / "iterations.jsonl"),
        head=read_json(head) if head.is_file() else {},
    )


def read_log(path: Path) -> tuple[Mapping[str, Any], ...]:
    """The rows of a file of JSON Lines; none when there is no such file.

    Raises `DataError` with file and line for a row that is no JSON object.
    """
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(complete_lines(path) if path.exists() else (), start=1):
        try:
            row = json.loads(line)
        except ValueError:
            raise DataError(f"{path}:{number}: not valid JSON") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: not a JSON object")
        rows.append(row)
    return tuple(rows)


def useful_changes(
    pairs: Iterable[tuple[Measured, Measured]], *, seed: int, resamples: int
) -> tuple[EvaluationChange, ...]:
    """Every evaluation that the two runs of a pair share, the second compared with the first."""
    return tuple(
        EvaluationChange(
            name,
            there.name,
            here.name,
            tuple(
                evaluated_differences(
                    there.evaluations[name], evaluated, seed=seed, resamples=resamples
                )
            ),
        )
        for there, here in pairs
        for name, evaluated in here.evaluations.items()
        if name in there.evaluations
    )
