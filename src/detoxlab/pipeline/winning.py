"""Compares measured runs by a third model, with one run folder per pair of runs."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from detoxlab.contest import WinRate
from detoxlab.data.settings import relative
from detoxlab.errors import ConfigError, RunMismatchError
from detoxlab.evaluations.win_rate import (
    FILE,
    Contested,
    Outcomes,
    Pair,
    ServedJudge,
    judged,
    no_votes,
    paired,
    questions,
    rankings,
)
from detoxlab.loading import Asking
from detoxlab.measures.usefulness.win_rate import is_position_biased, win_rate_measurements
from detoxlab.pipeline.measuring import finished_run
from detoxlab.pipeline.preflight import check_win_rate
from detoxlab.pipeline.subjects import DATE, date_in, load_other
from detoxlab.progress import progress
from detoxlab.protocols import PROTOCOLS
from detoxlab.records import RESAMPLES, Score, to_json
from detoxlab.runs import Run, check_complete, check_kind
from detoxlab.settings import parse

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

BATCH = 16
TOGETHER = "win_rates.json"


class Contest(NamedTuple):
    """Two measured runs, and the folder for the judge's results."""

    baseline: Run
    treated: Run
    out: Path


class PositionBiasWarning(UserWarning):
    """A judge chose by the place of a response; the message says how often."""


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

    With `resume`, finished contests stay as they are and others go on. A judge at a server is
    asked nothing twice but the questions that were under way. Warns of a judge that follows the
    place of a response (`PositionBiasWarning`).

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
    with _loaded_judge(settings, device, contests[0].baseline) as judge:
        return [
            run or _judge_contest(settings, judge, one, config, seed, resamples, resume)
            for run, one, config in zip(done, contests, configs, strict=True)
        ]


def contests_of(runs: Sequence[Run], out: Path) -> list[Contest]:
    """A contest of every two runs, the earlier one as the baseline, each in a folder in `out`.

    Raises `ConfigError` for fewer than two runs, or where two have one name.
    """
    names = [run.name for run in runs]
    if len(runs) < 2:
        raise ConfigError("win rates need two runs or more", remedy="Name the baseline first.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two runs are called {twice!r}", remedy="Rename a folder.")
    return [Contest(a, b, out / contest_name(a, b)) for a, b in combinations(runs, 2)]


def contest_name(baseline: Run, treated: Run) -> str:
    """The name of a contest's folder."""
    return f"{treated.name}-against-{baseline.name}"


def win_rates_of_all(
    settings: WinRate,
    runs: Sequence[Run],
    out: Path,
    *,
    device: str = "auto",
    seed: int = 0,
    resamples: int = RESAMPLES,
    resume: bool = False,
) -> Run:
    """The run at `out` with the contests of every two runs in it, all their numbers, and a ranking.

    `win_rates.json` has the numbers of all contests, `measurements.json` the ranking of three
    models or more. Raises the errors of `contests_of` and of `win_rates`.
    """
    contests = contests_of(runs, out)
    check_all(settings, runs, out, resume=resume)
    run = Run.start(
        out, kind="win-rates", config=_config_of_all(settings, runs), seed=seed, resume=resume
    )
    with run.writing():
        made = win_rates(
            settings, contests, device=device, seed=seed, resamples=resamples, resume=True
        )
        run.update(contests=[one.name for one in made])
        write_together(run, made, seed=seed, resamples=resamples)
    return run


def write_together(
    run: Run, contests: Sequence[Run], *, seed: int = 0, resamples: int = RESAMPLES
) -> None:
    """Write the numbers of all contests into one file of `run`, with the ranking there is."""
    found = [Contested.of(one) for one in contests]
    content = [
        {
            "baseline": one.baseline,
            "treated": one.treated,
            "judge_id": one.judge,
            "no_votes": one.no_votes,
            "measurements": [to_json(row) for row in one.measurements],
        }
        for one in found
    ]
    run.write_json(TOGETHER, content)
    ranked = rankings(found, seed=seed, resamples=resamples)
    if ranked:
        run.write_measurements([row for one in ranked for row in one.measurements])


def contests_in(run: Run) -> list[Run]:
    """The contests of a run of several, or the run itself."""
    check_kind(run, "win-rate", "win-rates")
    return [Run.open(run.path / name) for name in run.info.get("contests", ())] or [run]


def check_contest(settings: WinRate, contest: Contest, *, resume: bool = False) -> list[str]:
    """The judge's hub id, which cannot be checked beforehand; raises the errors that are found."""
    for run in (contest.baseline, contest.treated):
        check_complete(run)
    paired(contest.baseline.responses(), contest.treated.responses(), settings.samples)
    return check_win_rate(settings, contest.out, _config(settings, contest), resume=resume)


def check_all(
    settings: WinRate, runs: Sequence[Run], out: Path, *, resume: bool = False
) -> list[str]:
    """As `check_contest`, for every two of the runs."""
    Run.check_startable(out, kind="win-rates", config=_config_of_all(settings, runs), resume=resume)
    unchecked = [check_contest(settings, one, resume=resume) for one in contests_of(runs, out)]
    return unchecked[0]


# --- inside ---


@contextlib.contextmanager
def _loaded_judge(
    settings: WinRate, device: str, baseline: Run
) -> "Iterator[LanguageModel | ServedJudge]":
    if not settings.served:
        yield load_other(settings.judge, device, _asking_of(baseline))
        return
    with contextlib.closing(ServedJudge(settings)) as judge:
        yield judge


def _asking_of(run: Run) -> Asking:
    """The template's settings of a measured run, which the judge uses for its own template."""
    said = {name: run.config[name] for name in Asking.model_fields if name in run.config}
    settings = parse(Asking, said, place=str(run.path / "config.yaml"))
    day = settings.template_date or date_in(run.info)
    return settings.model_copy(update={DATE: day})


def _config(settings: WinRate, contest: Contest) -> dict[str, Any]:
    return settings.recorded() | {
        "baseline": relative(str(contest.baseline.path)),
        "treated": relative(str(contest.treated.path)),
    }


def _config_of_all(settings: WinRate, runs: Sequence[Run]) -> dict[str, Any]:
    return settings.recorded() | {"runs": [relative(str(run.path)) for run in runs]}


def _judge_contest(
    settings: WinRate,
    judge: "LanguageModel | ServedJudge",
    contest: Contest,
    config: dict[str, Any],
    seed: int,
    resamples: int,
    resume: bool,
) -> Run:
    sides = contest.baseline.responses(), contest.treated.responses()
    own = {judge.id, *([judge.measured_id] if isinstance(judge, ServedJudge) else [])}
    if own & set(map(_model_id, contest[:2])):
        raise ConfigError(
            f"win rate: the judge {judge.id} is one of the two models that it is to judge",
            remedy="Take a third model.",
        )
    pairs = paired(*sides, settings.samples)
    run = Run.start(contest.out, kind="win-rate", config=config, seed=seed, resume=resume)
    _check_same_judge(run, judge.id)
    with run.writing():
        run.update(baseline=contest.baseline.name, treated=contest.treated.name, judge_id=judge.id)
        if isinstance(judge, ServedJudge):
            _ask_served(run, judge, pairs)
        else:
            _ask_local(run, settings, judge, contest, pairs)
        scores = run.read(FILE, Score)
        run.update(no_votes=no_votes(scores))
        _measure(run, settings, scores, judge.id, seed, resamples)
    return run


def _check_same_judge(run: Run, judge_id: str) -> None:
    """Raise `RunMismatchError` where another judge, or another reading of it, began the run."""
    begun = run.info.get("judge_id", judge_id)
    if begun != judge_id:
        raise RunMismatchError(
            f"{run.path}: was begun by the judge {begun}, which is {judge_id} now",
            remedy="Choose another --out.",
        )


def _ask_local(
    run: Run,
    settings: WinRate,
    judge: "LanguageModel",
    contest: Contest,
    pairs: Sequence[Pair],
) -> None:
    bases = [_model_id(one).partition("+")[0] for one in contest[:2]]
    with progress(f"judge {contest.treated.name}", len(pairs)) as advance:
        run.append_missing(
            FILE,
            [pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH)],
            rows_in=lambda batch: 2 * len(batch),
            compute=lambda batch: judged(
                settings,
                judge,
                batch,
                chat=_asked_in_chat(contest.baseline),
                own_ids=all(base == judge.base_id for base in bases),
            ),
            done=lambda batch: advance(len(batch)),
        )


def _ask_served(run: Run, judge: ServedJudge, pairs: Sequence[Pair]) -> None:
    """Store each answer as it comes; the finished file is in the order of the pairs."""
    stored = {_key(one): one for one in run.kept(FILE, Score)}
    asked = {
        (pair.prompt.id, pair.treated.sample, name): (pair, name) for pair, name in questions(pairs)
    }
    missing = [one for key, one in asked.items() if key not in stored]
    with progress(f"judge {run.name}", len(asked), done=len(stored)) as advance:

        def store(score: Score) -> None:
            run.append(FILE, [score])
            stored[_key(score)] = score
            advance(1)

        judge.ask(missing, store)
    run.rewrite(FILE, [stored[key] for key in asked])


def _key(score: Score) -> tuple[str, int, str]:
    return score.prompt_id, score.sample, score.attribute


def _measure(
    run: Run, settings: WinRate, scores: Sequence[Score], judge: str, seed: int, resamples: int
) -> None:
    outcomes = Outcomes.of(settings.kind, scores)
    rows = win_rate_measurements(
        outcomes.outcomes_PK,
        outcomes.first_PK,
        pairs=len({(one.prompt_id, one.sample) for one in scores}),
        protocol=settings.protocol,
        scorer_id=judge,
        seed=seed,
        resamples=resamples,
    )
    run.write_measurements(rows)
    for row in rows:
        if row.name == "chose_first" and is_position_biased(row):
            warnings.warn(
                f"{run.name}: the judge {judge} is biased by position: it chose the first shown "
                f"in {row.value:.0%} of its answers; pairs in which it contradicts itself on "
                "swapping are ties",
                PositionBiasWarning,
                stacklevel=2,
            )


def _asked_in_chat(run: Run) -> bool:
    """Whether prompts were user turns: as the run recorded it, or else as its protocol says."""
    protocol = PROTOCOLS.get(run.config.get("protocol") or "")
    asked = run.info.get("asked") or {}
    return bool(asked.get("chat", protocol and protocol.chat))


def _model_id(run: Run) -> str:
    return str((run.info.get("model") or {}).get("id", ""))
