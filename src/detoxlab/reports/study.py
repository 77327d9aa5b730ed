"""The study of a report: measured runs, comparisons, trainings, evaluations, contests."""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from detoxlab.audits.card import Audit
from detoxlab.comparisons import ATTRIBUTE, THRESHOLD
from detoxlab.comparisons.sweeps import Sweep
from detoxlab.evaluations import Evaluated
from detoxlab.evaluations.win_rate import Contested, Ranking
from detoxlab.measures.grid import Grid, attribute_read, grid_of
from detoxlab.measures.statistics import FloatArray
from detoxlab.records import (
    RESAMPLES,
    Comparison,
    Difference,
    Generation,
    Measurement,
    Prompt,
    Responses,
)
from detoxlab.reports.explained.study import ExplainedRun
from detoxlab.reports.published import Published

Pair = tuple[str, int]
RESPONSES = "responses"  # as `useful_by`: the perplexity of the responses under the base model


@dataclass(frozen=True)
class Measured:
    """A measured run: its responses and scores, measurements and settings.

    Where the responses are too many for memory, `excerpt` has those from which examples are
    chosen.
    """

    name: str
    responses: Responses
    measurements: tuple[Measurement, ...]
    info: Mapping[str, Any]
    config: Mapping[str, Any]
    evaluations: Mapping[str, Evaluated] = field(default_factory=dict)
    excerpt: Responses | None = None

    @property
    def held(self) -> Responses:
        """The responses that are in memory."""
        return self.excerpt or self.responses

    @functools.cached_property
    def grid(self) -> Grid:
        """The responses as arrays."""
        return grid_of(self.responses)

    def all_scores(self, scorer_id: str | None, attribute: str) -> FloatArray:
        """The scores of all generations, of large runs too; NaN where there is none."""
        if self.excerpt is None:
            return np.array(list(self.scores(scorer_id, attribute).values()), dtype=np.float64)
        read = attribute_read(self.grid, scorer_id or "", attribute) or attribute
        return self.grid.of(scorer_id, read)[self.grid.generated]

    @functools.cached_property
    def texts(self) -> dict[Pair, Generation]:
        """Generations by prompt and sample."""
        return {(g.prompt_id, g.sample): g for g in self.held.generations}

    @functools.cached_property
    def prompts(self) -> dict[str, Prompt]:
        """Prompts by id."""
        return {prompt.id: prompt for prompt in self.responses.prompts}

    @functools.cached_property
    def _scores(self) -> dict[tuple[str, str], dict[Pair, float]]:
        tables: dict[tuple[str, str], dict[Pair, float]] = {}
        for s in self.held.scores:
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
            for s in self.held.scores
            if s.error is not None
        }


@dataclass(frozen=True)
class Trained:
    """A training run: its settings, its log, and responses drawn in between.

    With a constraint, `iterations` are the figures of each iteration. `head` is the report on the
    auxiliary model of a run of `auxiliary`.
    """

    name: str
    info: Mapping[str, Any]
    config: Mapping[str, Any]
    log: tuple[Mapping[str, Any], ...]
    samples: tuple[Mapping[str, Any], ...] = ()
    iterations: tuple[Mapping[str, Any], ...] = ()
    head: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluationChange:
    """The differences of one evaluation between two models."""

    evaluation: str
    against: str
    treated: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Study:
    """The content of one report. The first of `measured` is the baseline.

    `usefulness` holds the evaluations of the same pairs of runs as `comparisons`,
    `win_rates` the preferences of a third model, `rankings` those of models that it judged each
    against each, `cards` the audits of judge and second scorer by
    scorer id, where they were audited. `sweeps` are the searches for strengths by variant.
    `explained` says how much the models listen to their prompts. `also` are the studies of the
    same models on further benches. `beside` are rows of other experiments on this bench.
    `useful_by` names the evaluation on the horizontal axis of the trade-off, or "responses" for
    the perplexity of the responses. `seed` draws examples and, with `resamples`, the bootstrap of
    the Pareto front.
    """

    title: str
    measured: tuple[Measured, ...]
    comparisons: tuple[Comparison, ...] = ()
    trained: tuple[Trained, ...] = ()
    attribute: str = ATTRIBUTE
    threshold: float = THRESHOLD
    usefulness: tuple[EvaluationChange, ...] = ()
    win_rates: tuple[Contested, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    cards: Mapping[str, Audit] = field(default_factory=dict)
    sweeps: Mapping[str, Sweep] = field(default_factory=dict)
    explained: ExplainedRun | None = None
    also: Mapping[str, "Study"] = field(default_factory=dict)
    beside: Published | None = None
    useful_by: str | None = None
    seed: int = 0
    resamples: int = RESAMPLES

    def with_evaluations(self, wanted: Callable[[Evaluated], bool]) -> "Study":
        """The study with some of the evaluations, and their changes."""
        measured = tuple(
            replace(
                run,
                evaluations={name: one for name, one in run.evaluations.items() if wanted(one)},
            )
            for run in self.measured
        )
        names = {(run.name, name) for run in measured for name in run.evaluations}
        kept = tuple(one for one in self.usefulness if (one.treated, one.evaluation) in names)
        return replace(self, measured=measured, usefulness=kept)

    @property
    def baseline(self) -> Measured:
        """The run with which the others are compared."""
        return self.measured[0]

    @property
    def variants(self) -> tuple[Measured, ...]:
        """The runs that are compared with the baseline."""
        return self.measured[1:]

    @property
    def gains(self) -> list[Comparison]:
        """The comparisons with the baseline, one per variant."""
        return [one for one in self.comparisons if one.baseline == self.baseline.name]

    @property
    def rivalries(self) -> list[Comparison]:
        """The comparisons between variants."""
        return [one for one in self.comparisons if one.baseline != self.baseline.name]

    @property
    def invalid(self) -> set[str]:
        """The variants that cannot be compared with the baseline."""
        return {one.treated for one in self.gains if one.verdict == "invalid"}

    @property
    def unfinished(self) -> list[tuple[str, str]]:
        """Names and states of unfinished runs, whose numbers may be incomplete."""
        runs: list[Measured | Trained | ExplainedRun] = [*self.measured, *self.trained]
        runs += [self.explained] if self.explained else []
        states = [(run.name, str(run.info.get("status"))) for run in runs]
        return [(name, state) for name, state in states if state != "finished"]

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
