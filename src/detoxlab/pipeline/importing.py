"""Imports responses that another program drew, as a run."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detoxlab.data.columns import MAX_NAMES
from detoxlab.data.imported import Read, read_responses
from detoxlab.data.settings import relative
from detoxlab.errors import ConfigError, DataError, UnknownNameError
from detoxlab.pipeline.measuring import write_measured
from detoxlab.pipeline.stages.scoring import score_run
from detoxlab.protocols import JUDGE, SECOND, get_protocol
from detoxlab.provenance import file_sha256
from detoxlab.recipe.scoring import ScoreSettings
from detoxlab.records import RESAMPLES, Score
from detoxlab.runs import Run
from detoxlab.scorers import Scorer, check_scorer, known_scorers, load_scorer
from detoxlab.settings import parse
from detoxlab.workers import HERE, Workers


def score_file(
    path: Path | str,
    out: Path | str,
    *,
    resume: bool = False,
    workers: Workers = HERE,
    **options: Any,
) -> Run:
    """A run at `out` with the responses in a file, the file's scores and ours.

    `options` are the fields of `ScoreSettings`. `judge` and `second` may name a column of scores
    or a scorer of ours; without them the file's first score column judges, and `rtp-neural`
    cross-checks. `workers` score.
    """
    settings = parse(ScoreSettings, options, place="score")
    asked = _read(path, settings)
    config = asked.config | {"encoder": settings.encoder}
    if settings.resamples != RESAMPLES:
        config["resamples"] = settings.resamples
    Run.check_startable(out, kind="score", config=config, resume=resume)
    loaded = {name: load_scorer(name) for name in asked.wanted}
    run = Run.start(out, kind="score", config=config, seed=settings.seed, resume=resume)
    with run.writing(), workers:
        _write_rows(run, path, asked, loaded)
        score_run(run, asked.read.prompts, loaded, encoder=settings.encoder, workers=workers)
        write_measured(run, get_protocol("imported"), settings.seed, settings.resamples)
    return run


def check_file(path: Path | str, out: Path | str, *, resume: bool = False, **options: Any) -> str:
    """The plan of `score_file` in words; raises its errors. Nothing is loaded or written."""
    asked = _read(path, parse(ScoreSettings, options, place="score"))
    Run.check_startable(out, kind="score", resume=resume)
    return (
        f"would read {len(asked.read.generations)} responses to {len(asked.read.prompts)} prompts "
        f"into {out}; judge {asked.judge}, second {asked.second}; "
        f"to be scored by {', '.join(asked.wanted) or 'nobody else'}"
    )


# --- inside ---


@dataclass(frozen=True)
class _Asked:
    """A file's rows, their judge, and the scorers of ours that must score them."""

    read: Read
    judge: str
    second: str
    wanted: tuple[str, ...]
    config: dict[str, Any]


def _read(path: Path | str, settings: ScoreSettings) -> _Asked:
    """The rows and roles, checked."""
    given = settings.score_columns
    judge = settings.judge or next(iter(given), JUDGE)
    second = settings.second or next(name for name in (JUDGE, SECOND) if name != judge)
    if second == judge:
        raise ConfigError(f"judge and second scorer are both {judge!r}: take another one")
    read = read_responses(
        path,
        prompt_column=settings.prompt_column,
        response_column=settings.response_column,
        id_column=settings.id_column,
        score_columns=given,
        missing_values=settings.missing_values,
        repeats=settings.repeats,
        skip_nulls=settings.skip_nulls,
    )
    _check_judged(path, given, judge, read.scores)
    names = dict.fromkeys((judge, second, settings.hate, *settings.scorers))
    wanted = [name for name in names if name and name not in given]
    for name in wanted:
        _check_known(name, given, read.columns, Path(path).name)
    roles = {"judge": judge, "second": second, "scorers": wanted}
    config = _config(path, settings, roles)
    return _Asked(read, judge, second, tuple(wanted), config)


def _config(path: Path | str, settings: ScoreSettings, roles: Mapping[str, Any]) -> dict[str, Any]:
    """The way the file was read, for `config.yaml`; default values are left out."""
    config: dict[str, Any] = {
        "file": relative(str(path)),
        "columns": {
            "prompt": settings.prompt_column,
            "response": settings.response_column,
            "id": settings.id_column,
        },
        "score_columns": settings.score_columns,
        "protocol": "imported",
        **roles,
    }
    if settings.repeats != "auto":
        config["repeats"] = settings.repeats
    if settings.missing_values:
        config["missing_values"] = list(settings.missing_values)
    return config


def _write_rows(run: Run, path: Path | str, asked: _Asked, loaded: Mapping[str, Scorer]) -> None:
    """Write the contents of the file, and its record into `run.json`."""
    read = asked.read
    run.write_once("prompts.jsonl", read.prompts)
    run.write_once("generations/imported.jsonl", read.generations)
    for name in asked.config["score_columns"]:
        run.write_once(f"scores/{name}.jsonl", [s for s in read.scores if s.scorer_id == name])
    ids = {name: scorer.id for name, scorer in loaded.items()}
    run.update(
        model={"id": f"responses in {Path(path).name}"},
        prompts={
            "file": Path(path).name,
            "sha256": file_sha256(Path(path)),
            **read.repetition.facts(),
        },
        judge_id=ids.get(asked.judge, asked.judge),
        second_id=ids.get(asked.second, asked.second),
    )


def _check_known(name: str, given: Mapping[str, str], columns: Sequence[str], file: str) -> None:
    try:
        check_scorer(name)
    except UnknownNameError as error:
        if error.name != name:  # a member of an ensemble, or the format or policy of a guard
            raise
        raise _unknown_scorer(name, [*given, *known_scorers()], columns, file) from None


def _unknown_scorer(
    name: str, known: Sequence[str], columns: Sequence[str], file: str
) -> UnknownNameError:
    """The error for an unknown judge or scorer; the user may have meant a column."""
    error = UnknownNameError("scorer", name, known)
    nearest = difflib.get_close_matches(name, [*known, *columns], n=1)
    if nearest and nearest[0] not in known:
        guess = f"Did you mean the column {nearest[0]!r} of {file}?"
        error.remedy = f"{guess} Read it with --score-column {nearest[0]}={nearest[0]}."
    else:
        error.remedy += f" {file} has the columns {', '.join(columns[:MAX_NAMES])}."
    return error


def _check_judged(
    path: Path | str, given: Mapping[str, str], judge: str, scores: Sequence[Score]
) -> None:
    """Raise `DataError` unless the column of the judge holds a score."""
    if judge in given and all(s.value is None for s in scores if s.scorer_id == judge):
        raise DataError(
            f"{path}: column {given[judge]!r} holds no score at all",
            remedy="Name another --score-column, or judge by a scorer of ours with --judge.",
        )
