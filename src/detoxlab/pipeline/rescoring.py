"""Scores a saved run again, in place: by further scorers, or with another judge."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from detoxlab.errors import ConfigError, UnknownNameError
from detoxlab.pipeline.measuring import write_measured
from detoxlab.pipeline.stages.scoring import score_run
from detoxlab.protocols import get_protocol
from detoxlab.records import RESAMPLES, Prompt, Score, from_json
from detoxlab.runs import Run, check_complete
from detoxlab.runs.tables import Stored, files_of
from detoxlab.scorers import check_scorer, known_scorers, load_scorer
from detoxlab.workers import HERE, Workers

NONE = "none"
NO_SCORERS = ("similarity:", "likelihood:")


def score_again(
    path: Path | str,
    scorers: Sequence[str] = (),
    *,
    judge: str | None = None,
    second: str | None = None,
    workers: Workers = HERE,
) -> Run:
    """The run at `path` with further scorers, measured again as it was before.

    `judge` and `second` give the two roles to other scorers: to one whose scores the run has, by
    its id or its name, or to one that scores it now; without them the roles stay. `second` "none"
    leaves the run without a second scorer. `workers` score.

    Raises `ConfigError` when one scorer would have both roles, or nothing is asked for;
    `UnknownNameError` for a scorer that is neither in the run nor known.
    """
    run = Run.open(path)
    names = check_again(run, scorers, judge=judge, second=second)
    loaded = {name: load_scorer(name) for name in names}
    ids = {name: scorer.id for name, scorer in loaded.items()}
    there = scorers_in(run)
    roles = {
        "judge_id": _role(run, "judge_id", judge, ids, there),
        "second_id": _role(run, "second_id", second, ids, there),
    }
    _check_differ(roles["judge_id"], roles["second_id"])
    with run.locked(), workers:
        if loaded:
            prompts = run.read("prompts.jsonl", Prompt)
            score_run(run, prompts, loaded, encoder=None, workers=workers)
        run.update(**roles)
        protocol = get_protocol(run.config["protocol"]).asking(run.config.get("chat", "auto"))
        resamples = run.config.get("resamples", RESAMPLES)
        write_measured(run, protocol, run.info["seed"], resamples)
    return run


def check_again(
    run: Run, scorers: Sequence[str], *, judge: str | None = None, second: str | None = None
) -> list[str]:
    """The names of the scorers that must be loaded; raises the errors that can be found before."""
    if not (scorers or judge or second):
        raise ConfigError(f"{run.path}: no scorer named", remedy="Name one with --scorer.")
    check_complete(run)
    if judge == NONE:
        raise ConfigError(f"{run.path}: somebody must judge", remedy="Name a scorer with --judge.")
    there = scorers_in(run)
    roles = [name for name in (judge, second) if name and name != NONE]
    names = list(dict.fromkeys([*scorers, *(n for n in roles if _in_run(n, there) is None)]))
    for name in names:
        _check_known(name, there)
    settled = {
        key: NONE if name == NONE else run.info.get(key) if name is None else _in_run(name, there)
        for key, name in (("judge_id", judge), ("second_id", second))
    }
    _check_differ(settled["judge_id"], settled["second_id"])
    if judge is not None and judge == second:
        _check_differ(judge, second)
    return names


def scorers_in(run: Run) -> list[str]:
    """The ids of the toxicity scorers whose scores a run holds."""
    files = files_of(run.path / "scores")
    found = [one for file in files if (one := _scorer_of(file))]
    return [one for one in found if not one.startswith(NO_SCORERS)]


# --- inside ---


def _scorer_of(file: Path) -> str | None:
    """The scorer of a file's rows, by the first one; None for a file without a whole row."""
    if file.suffix == ".parquet":
        return next((row.scorer_id for row in Stored([file], Score)[:1]), None)
    with file.open(encoding="utf-8") as handle:
        line = handle.readline()
    return from_json(Score, json.loads(line)).scorer_id if line.endswith("\n") else None


def _in_run(name: str, there: Iterable[str]) -> str | None:
    """The id of the scorer in the run with this id, or of the only one with this name."""
    ids = list(there)
    if name in ids:
        return name
    named = [one for one in ids if one.rpartition("@")[0] == name]
    return named[0] if len(named) == 1 else None


def _check_known(name: str, there: Sequence[str]) -> None:
    try:
        check_scorer(name)
    except UnknownNameError as error:
        if error.name != name:  # a member of an ensemble, or the format or policy of a guard
            raise
        raise UnknownNameError("scorer", name, [*there, *known_scorers()]) from error


def _role(
    run: Run, key: str, name: str | None, loaded: dict[str, str], there: Sequence[str]
) -> str | None:
    if name is None:
        return run.info.get(key)
    if name == NONE:
        return None
    return loaded.get(name) or _in_run(name, there)


def _check_differ(judge: str | None, second: str | None) -> None:
    if judge is not None and judge == second:
        raise ConfigError(
            f"judge and second scorer would both be {judge!r}",
            remedy="Name another one with --second ('none' for none).",
        )
