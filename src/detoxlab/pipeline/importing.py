"""Responses that were drawn elsewhere, and saved runs scored once more."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detoxlab.data.imported import read_responses
from detoxlab.data.repeats import Repeats
from detoxlab.data.settings import relative
from detoxlab.data.tabular import MAX_NAMES
from detoxlab.errors import ConfigError, DataError, UnknownNameError
from detoxlab.measure import measure
from detoxlab.measure.presets import get_protocol
from detoxlab.pipeline.measuring import load_scorers, score_run
from detoxlab.provenance import file_sha256
from detoxlab.records import Prompt, Score
from detoxlab.runs import Run
from detoxlab.scorers import Scorer, known_scorers, load_scorer


def score_file(
    path: Path | str,
    out: Path | str,
    *,
    prompt_column: str,
    response_column: str,
    id_column: str | None = None,
    score_columns: Mapping[str, str] | None = None,
    missing_values: Sequence[str] = (),
    repeats: Repeats = "auto",
    scorers: Sequence[str] = (),
    judge: str | None = None,
    second: str | None = None,
    encoder: str | None = "hashed-ngrams",
    seed: int = 0,
    resamples: int = 10_000,
    resume: bool = False,
) -> Run:
    """A run at `out` made of the responses in a file, with the scores it brings and ours.

    `score_columns` maps a scorer's name to the column that holds its toxicity scores; an
    empty cell, or one of `missing_values`, is a missing score, never a zero. `repeats` says
    what rows that repeat a prompt are (see `load_responses_file`). `judge` and `second` may
    name either kind; without them the file's first score column judges, and `rtp-neural`
    cross-checks.
    """
    given = dict(score_columns or {})
    judge = judge or next(iter(given), "rtp-neural")
    second = second or next(n for n in ("rtp-neural", "rtp-linear") if n != judge)
    if second == judge:
        raise ConfigError(f"judge and second scorer are both {judge!r}: take another one")
    read = read_responses(
        path,
        prompt_column=prompt_column,
        response_column=response_column,
        id_column=id_column,
        score_columns=given,
        missing_values=missing_values,
        repeats=repeats,
    )
    _check_judged(path, given, judge, read.scores)
    wanted = [name for name in dict.fromkeys((judge, second, *scorers)) if name not in given]
    loaded = {name: _scorer(name, given, read.columns, Path(path).name) for name in wanted}
    config: dict[str, Any] = {
        "file": relative(str(path)),
        "columns": {"prompt": prompt_column, "response": response_column, "id": id_column},
        "score_columns": given,
        "protocol": "imported",
        "judge": judge,
        "second": second,
        "scorers": list(wanted),
        "encoder": encoder,
    }
    if repeats != "auto":
        config["repeats"] = repeats
    if missing_values:
        config["missing_values"] = list(missing_values)
    run = Run.start(out, kind="score", config=config, seed=seed, resume=resume)
    with run.writing():
        run.write_once("prompts.jsonl", read.prompts)
        run.write_once("generations/imported.jsonl", read.generations)
        for name in given:
            run.write_once(f"scores/{name}.jsonl", [s for s in read.scores if s.scorer_id == name])
        run.update(
            model={"id": f"responses in {Path(path).name}"},
            prompts={
                "file": Path(path).name,
                "sha256": file_sha256(Path(path)),
                **read.repetition.facts(),
            },
            judge_id=loaded[judge].id if judge in loaded else judge,
            second_id=loaded[second].id if second in loaded else second,
        )
        score_run(run, read.prompts, list(loaded.values()), encoder=encoder)
        run.write_measurements(
            measure(
                run.responses(), protocol=get_protocol("imported"), seed=seed, resamples=resamples
            )
        )
    return run


def _scorer(name: str, given: Mapping[str, str], columns: Sequence[str], file: str) -> Scorer:
    try:
        return load_scorer(name)
    except UnknownNameError:
        if "(" in name:  # an ensemble: the error names the member
            raise
        raise _unknown_scorer(name, [*given, *known_scorers()], columns, file) from None


def _unknown_scorer(
    name: str, known: Sequence[str], columns: Sequence[str], file: str
) -> UnknownNameError:
    """The error for a judge or scorer that nobody knows: it may be meant for a column."""
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
    """The column of the judge must hold at least one score."""
    if judge in given and all(s.value is None for s in scores if s.scorer_id == judge):
        raise DataError(
            f"{path}: column {given[judge]!r} holds no score at all",
            remedy="Name another --score-column, or judge by a scorer of ours with --judge.",
        )


def score_again(path: Path | str, scorers: Sequence[str], *, judge: str | None = None) -> Run:
    """Add scorers to a saved run in place, optionally make one the judge, and measure again."""
    run = Run.open(path)
    loaded = load_scorers(scorers[0], None, scorers[1:])
    with run.locked():
        score_run(run, run.read("prompts.jsonl", Prompt), loaded, encoder=None)
        if judge is not None:
            ids = {name: scorer.id for name, scorer in zip(scorers, loaded, strict=True)}
            run.update(judge_id=ids.get(judge, judge))
        protocol = get_protocol(run.config["protocol"])
        run.write_measurements(measure(run.responses(), protocol=protocol, seed=run.info["seed"]))
    return run
