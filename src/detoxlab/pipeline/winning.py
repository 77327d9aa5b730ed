"""Compares measured runs by a third model, with one run folder per pair of runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from detoxlab.contest import WinRate
from detoxlab.data.settings import relative
from detoxlab.errors import ConfigError
from detoxlab.evaluations.win_rate import NUMBERS, Pair, judged
from detoxlab.loading import Asking
from detoxlab.measures.statistics import FloatArray
from detoxlab.measures.usefulness.win_rate import (
    chose_first,
    likelihood_outcomes,
    question_outcomes,
    win_rate_measurements,
)
from detoxlab.pipeline.measuring import finished_run
from detoxlab.pipeline.preflight import check_win_rate
from detoxlab.pipeline.subjects import DATE, date_in, load_other
from detoxlab.progress import progress
from detoxlab.protocols import PROTOCOLS
from detoxlab.records import RESAMPLES, Measurement, Responses, Score
from detoxlab.runs import Run
from detoxlab.settings import parse

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

BATCH = 16
FILE = "judgements.jsonl"


class Contest(NamedTuple):
    """Two measured runs, and the folder for the judge's results."""

    baseline: Run
    treated: Run
    out: Path


def win_rates(
    settings: WinRate,
    contests: Sequence[Contest],
    *,
    device: str = "auto",
    seed: int = 0,
    resamples: int = RESAMPLES,
    resume: bool = False,
) -> list[Run]:
    """One run per contest, with the judge's numbers and the win rates; the judge is loaded once.

    With `resume`, finished contests stay as they are and others go on.

    Raises `ConfigError` when the judge is one of the two models, or the runs share no prompt.
    """
    configs = [_config(settings, one) for one in contests]
    done = [
        finished_run(one.out, config) if resume else None
        for one, config in zip(contests, configs, strict=True)
    ]
    if all(done):
        return [run for run in done if run]
    for one, run in zip(contests, done, strict=True):
        if run is None:
            check_contest(settings, one, resume=resume)
    judge = load_other(settings.judge, device, _asking_of(contests[0].baseline))
    return [
        run or _judge_contest(settings, judge, one, config, seed, resamples, resume)
        for run, one, config in zip(done, contests, configs, strict=True)
    ]


def check_contest(settings: WinRate, contest: Contest, *, resume: bool = False) -> list[str]:
    """The judge's hub id, which cannot be checked beforehand; raises the errors that are found."""
    _pairs(contest.baseline.responses(), contest.treated.responses(), settings.samples)
    return check_win_rate(settings, contest.out, _config(settings, contest), resume=resume)


# --- inside ---


def _asking_of(run: Run) -> Asking:
    """The template's settings of a measured run, which the judge uses for its own template."""
    said = {name: run.config[name] for name in Asking.model_fields if name in run.config}
    settings = parse(Asking, said, place=str(run.path / "config.yaml"))
    day = settings.template_date or date_in(run.info)
    return settings.model_copy(update={DATE: day})


def _config(settings: WinRate, contest: Contest) -> dict[str, Any]:
    return settings.model_dump(mode="json") | {
        "judge": settings.judge.recorded(),
        "baseline": relative(str(contest.baseline.path)),
        "treated": relative(str(contest.treated.path)),
    }


def _judge_contest(
    settings: WinRate,
    judge: "LanguageModel",
    contest: Contest,
    config: dict[str, Any],
    seed: int,
    resamples: int,
    resume: bool,
) -> Run:
    sides = contest.baseline.responses(), contest.treated.responses()
    models = [_model_id(run) for run in contest[:2]]
    if judge.id in models:
        raise ConfigError(
            f"win rate: the judge {judge.id} is one of the two models that it is to judge",
            remedy="Take a third model.",
        )
    pairs = _pairs(*sides, settings.samples)
    protocol = PROTOCOLS.get(sides[0].protocol or "")
    run = Run.start(contest.out, kind="win-rate", config=config, seed=seed, resume=resume)
    with run.writing():
        run.update(baseline=contest.baseline.name, treated=contest.treated.name, judge_id=judge.id)
        with progress(f"judge {contest.treated.name}", len(pairs)) as advance:
            run.append_missing(
                FILE,
                [pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH)],
                rows_in=lambda batch: 2 * len(batch),
                compute=lambda batch: judged(
                    settings,
                    judge,
                    batch,
                    chat=bool(protocol and protocol.chat),
                    own_ids=all(_base_of(one) == judge.base_id for one in models),
                ),
                done=lambda batch: advance(len(batch)),
            )
        run.write_measurements(
            _measured(settings, pairs, run.read(FILE, Score), judge.id, seed, resamples)
        )
    return run


def _measured(
    settings: WinRate,
    pairs: Sequence[Pair],
    scores: Sequence[Score],
    judge: str,
    seed: int,
    resamples: int,
) -> list[Measurement]:
    first_PK, second_PK = (_matrix(pairs, scores, name) for name in NUMBERS[settings.kind])
    asks = settings.kind == "question"
    outcomes = question_outcomes if asks else likelihood_outcomes
    return win_rate_measurements(
        outcomes(first_PK, second_PK),
        chose_first(first_PK, second_PK) if asks else None,
        pairs=len(pairs),
        protocol=settings.protocol,
        scorer_id=judge,
        seed=seed,
        resamples=resamples,
    )


def _matrix(pairs: Sequence[Pair], scores: Sequence[Score], name: str) -> FloatArray:
    """The judge's numbers of one name (P, K), NaN where there is none."""
    row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(p.prompt.id for p in pairs))}
    samples = 1 + max(pair.treated.sample for pair in pairs)
    values_PK = np.full((len(row_of), samples), np.nan)
    for one in scores:
        if one.attribute == name and one.value is not None:
            values_PK[row_of[one.prompt_id], one.sample] = one.value
    return values_PK


def _pairs(baseline: Responses, treated: Responses, samples: int | None) -> list[Pair]:
    """The responses to the prompts that both runs asked, by id and sample."""
    prompts = {prompt.id: prompt for prompt in baseline.prompts}
    for prompt in treated.prompts:
        if prompt.id in prompts and prompts[prompt.id].text != prompt.text:
            raise ConfigError(
                f"prompt {prompt.id!r} has another text in {treated.name} than in {baseline.name}",
                remedy="Judge runs on the same prompts.",
            )
    theirs = {(one.prompt_id, one.sample): one for one in treated.generations if one.error is None}
    pairs = [
        Pair(prompts[one.prompt_id], one, theirs[one.prompt_id, one.sample])
        for one in sorted(baseline.generations, key=lambda one: (one.prompt_id, one.sample))
        if (one.prompt_id, one.sample) in theirs
        and one.error is None
        and (samples is None or one.sample < samples)
    ]
    if not pairs:
        raise ConfigError(
            f"{baseline.name} and {treated.name} have no prompt in common",
            remedy="Judge runs on the same prompts.",
        )
    return pairs


def _model_id(run: Run) -> str:
    return str((run.info.get("model") or {}).get("id", ""))


def _base_of(identifier: str) -> str:
    return identifier.partition("+")[0]
