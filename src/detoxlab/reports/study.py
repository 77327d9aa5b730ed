"""What a report is about, read from run folders: measured runs, their comparisons, trainings."""

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detoxlab.comparisons import ATTRIBUTE, THRESHOLD
from detoxlab.errors import DataError
from detoxlab.evaluations import Evaluated, read_evaluated
from detoxlab.records import Comparison, Generation, Measurement, Prompt, Responses
from detoxlab.runs import Run, complete_lines, read_json

if TYPE_CHECKING:
    from detoxlab.reports.usefulness import Change
    from detoxlab.reports.win_rates import WinRates

PLAIN_NAMES = {"measure", "measured", "train", "run"}
Pair = tuple[str, int]


@dataclass(frozen=True)
class Measured:
    """A measured run: what was asked, drawn, scored and measured, and how."""

    name: str
    responses: Responses
    measurements: tuple[Measurement, ...]
    info: Mapping[str, Any]
    config: Mapping[str, Any]
    evaluations: Mapping[str, Evaluated] = field(default_factory=dict)

    @functools.cached_property
    def texts(self) -> dict[Pair, Generation]:
        """Generations by prompt and sample."""
        return {(g.prompt_id, g.sample): g for g in self.responses.generations}

    @functools.cached_property
    def prompts(self) -> dict[str, Prompt]:
        """Prompts by id."""
        return {prompt.id: prompt for prompt in self.responses.prompts}

    @functools.cached_property
    def _scores(self) -> dict[tuple[str, str], dict[Pair, float]]:
        tables: dict[tuple[str, str], dict[Pair, float]] = {}
        for s in self.responses.scores:
            table = tables.setdefault((s.scorer_id, s.attribute), {})
            table[s.prompt_id, s.sample] = math.nan if s.value is None else s.value
        return tables

    def scores(self, scorer_id: str | None, attribute: str) -> dict[Pair, float]:
        """Score of each generation, NaN where there is none; prompts' own scores left out."""
        table = self._table(scorer_id, attribute)
        return {pair: table.get(pair, math.nan) for pair in self.texts}

    def score(self, pair: Pair, scorer_id: str | None, attribute: str) -> float:
        """The score of one generation, NaN where there is none."""
        return self._table(scorer_id, attribute).get(pair, math.nan)

    def _table(self, scorer_id: str | None, attribute: str) -> dict[Pair, float]:
        """A scorer's scores for the attribute, or for the only one that it has."""
        own = [known for scorer, known in self._scores if scorer == scorer_id]
        name = own[0] if len(own) == 1 else attribute
        return self._scores.get((scorer_id or "", name), {})

    def why_missing(self, pair: Pair, scorer_id: str) -> str:
        """Why a scorer gave no score to a generation."""
        return self._errors.get((scorer_id, pair), "no score in the run")

    @functools.cached_property
    def _errors(self) -> dict[tuple[str, Pair], str]:
        return {
            (s.scorer_id, (s.prompt_id, s.sample)): s.error
            for s in self.responses.scores
            if s.error is not None
        }


@dataclass(frozen=True)
class Trained:
    """A training run: how, what each logged step said, and responses drawn on the way.

    Where there was a constraint, `iterations` say how it was met, and `head` how good the
    auxiliary model of a run of its own is.
    """

    name: str
    info: Mapping[str, Any]
    config: Mapping[str, Any]
    log: tuple[Mapping[str, Any], ...]
    samples: tuple[Mapping[str, Any], ...] = ()
    iterations: tuple[Mapping[str, Any], ...] = ()
    head: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """All that one report shows. The first of `measured` is the baseline.

    `usefulness` holds the evaluations of the same pairs of runs as `comparisons`,
    `win_rates` what a third model said of them.
    """

    title: str
    measured: tuple[Measured, ...]
    comparisons: tuple[Comparison, ...] = ()
    trained: tuple[Trained, ...] = ()
    attribute: str = ATTRIBUTE
    threshold: float = THRESHOLD
    usefulness: tuple["Change", ...] = ()
    win_rates: tuple["WinRates", ...] = ()

    @property
    def baseline(self) -> Measured:
        """The run that the others are held against."""
        return self.measured[0]

    @property
    def variants(self) -> tuple[Measured, ...]:
        """The runs that are held against the baseline."""
        return self.measured[1:]

    @property
    def gains(self) -> list[Comparison]:
        """The comparisons with the baseline, one per variant; others are between variants."""
        return [one for one in self.comparisons if one.baseline == self.baseline.name]

    @property
    def rivalries(self) -> list[Comparison]:
        """The comparisons between variants."""
        return [one for one in self.comparisons if one.baseline != self.baseline.name]

    @property
    def invalid(self) -> set[str]:
        """The variants that cannot be held against the baseline."""
        return {one.treated for one in self.gains if one.verdict == "invalid"}

    @property
    def names(self) -> list[str]:
        """Names of the measured runs, baseline first."""
        return [run.name for run in self.measured]

    @property
    def judge_id(self) -> str | None:
        """The scorer that judges."""
        return self.baseline.responses.judge_id

    @property
    def scorer_ids(self) -> list[str]:
        """The judge and, where there is one, the second scorer."""
        ids = (self.baseline.responses.judge_id, self.baseline.responses.second_id)
        return [scorer_id for scorer_id in ids if scorer_id]


def display_names(runs: Sequence[Run]) -> list[str]:
    """A distinct name for each run: its folder's, or the folder's above where that says more."""
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
    """The measured run under the name that the report gives it."""
    return Measured(
        name=name,
        responses=replace(run.responses(), name=name),
        measurements=tuple(run.measurements()),
        info=run.info,
        config=run.config,
        evaluations=read_evaluated(run),
    )


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
