"""Evaluations in run folders: writes each result, measurements at the end, and reads them back.

evaluation/<name>.jsonl    one ItemResult per item, appended per batch
evaluation/<name>.json     kind, settings, model; and the measurements when it is done
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detoxlab.data.settings import portable
from detoxlab.errors import ConfigError, RunMismatchError
from detoxlab.evaluations.base import Evaluation, Portion
from detoxlab.measures.statistics import FloatArray
from detoxlab.progress import progress
from detoxlab.records import RESAMPLES, Difference, ItemResult, Measurement, from_json, to_json
from detoxlab.runs import Over, Run, read_json
from detoxlab.runs.changes import changes, listed
from detoxlab.subject import Subject

FOLDER = "evaluation"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Evaluated:
    """One evaluation of one model as its files hold it; `settings` are the resolved ones."""

    name: str
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    model: str
    measurements: tuple[Measurement, ...]
    results: tuple[ItemResult, ...]


def evaluate_into(
    run: Run,
    name: str,
    evaluation: Evaluation,
    subject: Subject,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    over: Over[list[Portion]] = map,
) -> list[Measurement]:
    """Write the evaluation's results on the model to the run, except those that are there already.

    `over` is that of `Run.append_missing`.
    Raises `RunMismatchError` when the run holds an evaluation of this name with other
    settings or of another model.
    """
    if is_evaluated(run, name, evaluation, seed):
        return list(read_evaluated(run)[name].measurements)
    resolved = evaluation.resolved(subject)
    head = _asked(evaluation, seed) | {
        "model": subject.id,
        "data": evaluation.describe(),
        "resolved": portable(resolved.model_dump(mode="json")),
    }
    _begin(run, name, head)
    compute, batches = results_by_number(resolved, subject, seed)
    with progress(f"evaluate {name}", sum(map(len, batches))) as advance:
        run.append_missing(
            f"{FOLDER}/{name}.jsonl",
            [[Portion(at)] for at in range(len(batches))],
            rows_in=lambda portions: len(batches[portions[0].at]),
            compute=compute,
            over=over,
            done=lambda portions: advance(len(batches[portions[0].at])),
        )
    results = run.read(f"{FOLDER}/{name}.jsonl", ItemResult)
    found = resolved.measurements(results, seed=seed, resamples=resamples)
    run.write_json(_head_file(name), head | {"measurements": [to_json(row) for row in found]})
    return found


def results_by_number(
    resolved: Evaluation, subject: Subject, seed: int
) -> tuple[Callable[[Sequence[Portion]], list[ItemResult]], list[Sequence[Any]]]:
    """The function that gives the results of batches by their numbers, and the batches."""
    batches = resolved.batches(resolved.items(seed))

    def compute(portions: Sequence[Portion]) -> list[ItemResult]:
        return [
            one for portion in portions for one in resolved.results(subject, batches[portion.at])
        ]

    return compute, batches


def is_evaluated(run: Run, name: str, evaluation: Evaluation, seed: int = 0) -> bool:
    """Whether the run holds this evaluation and it is complete.

    Raises `RunMismatchError` when it holds one of this name with other settings.
    """
    if NAME.fullmatch(name) is None:
        raise ConfigError(
            f"evaluation {name!r}: cannot be the name of a file",
            remedy="Use letters, digits, dots, dashes and underscores.",
        )
    stored = _head(run, name)
    if stored is None:
        return False
    _check_same(run, name, stored, _asked(evaluation, seed))
    return "measurements" in stored


def read_evaluated(run: Run) -> dict[str, Evaluated]:
    """The complete evaluations of a run, by name; no model is needed."""
    found = {}
    for file in sorted((run.path / FOLDER).glob("*.json")):
        head = read_json(file)
        if "measurements" not in head:
            continue
        found[file.stem] = Evaluated(
            name=file.stem,
            settings=head["resolved"],
            data=head["data"],
            model=head["model"],
            measurements=tuple(from_json(Measurement, row) for row in head["measurements"]),
            results=tuple(run.read(f"{FOLDER}/{file.stem}.jsonl", ItemResult)),
        )
    return found


def evaluated_differences(
    baseline: Evaluated, treated: Evaluated, *, seed: int = 0, resamples: int = RESAMPLES
) -> list[Difference]:
    """The paired differences of one evaluation of two models; no model is needed.

    Empty where settings or data differ, or where its kind is not installed here.
    """
    from detoxlab.evaluations.registry import EVALUATIONS, load_evaluation

    if not _asked_alike(baseline, treated) or treated.settings["kind"] not in EVALUATIONS:
        return []
    evaluation = load_evaluation(treated.settings)
    return evaluation.differences(baseline.results, treated.results, seed=seed, resamples=resamples)


def evaluated_resamples(
    models: Sequence[Evaluated], name: str, *, seed: int = 0, resamples: int = RESAMPLES
) -> FloatArray | None:
    """One measure of M models on the same resamples of items, (resamples, M); needs no model.

    None where settings or data differ, where the kind is not installed here, or cannot say.
    """
    from detoxlab.evaluations.registry import EVALUATIONS, load_evaluation

    first = models[0]
    alike = all(_asked_alike(first, one) for one in models)
    if not alike or first.settings["kind"] not in EVALUATIONS:
        return None
    results = [one.results for one in models]
    evaluation = load_evaluation(first.settings)
    return evaluation.resampled(name, results, seed=seed, resamples=resamples)


# --- inside ---


def _asked_alike(one: Evaluated, other: Evaluated) -> bool:
    """Whether settings and data agree; a setting that a file leaves out counts as None."""
    return not changes(one.settings, other.settings) and one.data == other.data


def _asked(evaluation: Evaluation, seed: int) -> dict[str, Any]:
    return {"settings": portable(evaluation.model_dump(mode="json")), "seed": seed}


def _head_file(name: str) -> str:
    return f"{FOLDER}/{name}.json"


def _head(run: Run, name: str) -> dict[str, Any] | None:
    path = run.path / _head_file(name)
    return dict(read_json(path)) if path.exists() else None


def _begin(run: Run, name: str, head: Mapping[str, Any]) -> None:
    stored = _head(run, name)
    if stored is None:
        run.write_json(_head_file(name), head)
    else:
        _check_same(run, name, stored, head)


def _check_same(run: Run, name: str, stored: Mapping[str, Any], head: Mapping[str, Any]) -> None:
    theirs, ours = ({**one, **one["settings"]} for one in (stored, head))
    asked = {key: value for key, value in ours.items() if key != "settings"}
    found = changes({key: theirs.get(key) for key in asked}, asked, run.working_folder)
    if found:
        raise RunMismatchError(
            f"{run.path / _head_file(name)}: was made with other settings: {listed(found)}",
            remedy="Use the same settings to go on, or another name.",
        )
