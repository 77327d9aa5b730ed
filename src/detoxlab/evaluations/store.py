"""Evaluations in run folders: writes each result, measurements at the end, and reads them back.

evaluation/<name>.jsonl    one ItemResult per item, appended per batch
evaluation/<name>.json     kind, settings, model; and the measurements when it is done
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detoxlab.data.settings import portable
from detoxlab.errors import ConfigError, RunMismatchError
from detoxlab.evaluations.base import Evaluation
from detoxlab.progress import progress
from detoxlab.records import RESAMPLES, Difference, ItemResult, Measurement, from_json, to_json
from detoxlab.runs import Run, read_json
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
) -> list[Measurement]:
    """Write the evaluation's results on the model to the run, except those that are there already.

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
    items = resolved.items(seed)
    with progress(f"evaluate {name}", len(items)) as advance:
        run.append_missing(
            f"{FOLDER}/{name}.jsonl",
            resolved.batches(items),
            rows_in=len,
            compute=lambda batch: resolved.results(subject, batch),
            done=lambda batch: advance(len(batch)),
        )
    results = run.read(f"{FOLDER}/{name}.jsonl", ItemResult)
    found = resolved.measurements(results, seed=seed, resamples=resamples)
    run.write_json(_head_file(name), head | {"measurements": [to_json(row) for row in found]})
    return found


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

    asked = [(one.settings, one.data) for one in (baseline, treated)]
    if asked[0] != asked[1] or treated.settings["kind"] not in EVALUATIONS:
        return []
    evaluation = load_evaluation(treated.settings)
    return evaluation.differences(baseline.results, treated.results, seed=seed, resamples=resamples)


# --- inside ---


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
