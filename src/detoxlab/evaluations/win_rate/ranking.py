"""Finished contests read back, and the ranking of models where every two of them were judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from detoxlab.evaluations.win_rate.outcomes import Outcomes, no_votes
from detoxlab.measures.statistics import FloatArray
from detoxlab.measures.usefulness.strengths import ranking_measurements
from detoxlab.records import RESAMPLES, Measurement, Score
from detoxlab.runs import Run

FILE = "judgements.jsonl"
LEAST = 3  # models of a ranking; two have a win rate


@dataclass(frozen=True)
class Contested:
    """The results of one judge for two models; `no_votes` counts pairs by the reason."""

    baseline: str
    treated: str
    judge: str
    measurements: tuple[Measurement, ...]
    no_votes: Mapping[str, int]
    outcomes: Outcomes

    @classmethod
    def of(cls, run: Run) -> "Contested":
        """The results in a run of a contest."""
        info, scores = run.info, run.read(FILE, Score)
        return cls(
            info["baseline"],
            info["treated"],
            info["judge_id"],
            tuple(run.measurements()),
            no_votes(scores),
            Outcomes.of(run.config["kind"], scores),
        )

    @property
    def protocol(self) -> str:
        """Kind and version of the question."""
        return next((row.protocol for row in self.measurements if row.protocol), "")


@dataclass(frozen=True)
class Ranking:
    """Models ranked by one judge, the strongest first; `group` of a measurement is the model."""

    judge: str
    protocol: str
    models: tuple[str, ...]
    measurements: tuple[Measurement, ...]


def rankings(
    contests: Sequence[Contested], *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[Ranking, ...]:
    """One ranking per judge and kind of question that held every two of three models or more."""
    groups: dict[tuple[str, str], list[Contested]] = {}
    for one in contests:
        groups.setdefault((one.judge, one.protocol), []).append(one)
    return tuple(
        _ranking(group, seed=seed, resamples=resamples)
        for group in groups.values()
        if _holds_all_pairs(group)
    )


def models_of(contests: Sequence[Contested]) -> list[str]:
    """The models of the contests, in the order in which they appear."""
    return list(dict.fromkeys(name for one in contests for name in (one.baseline, one.treated)))


# --- inside ---


def _holds_all_pairs(contests: Sequence[Contested]) -> bool:
    models = models_of(contests)
    held = {frozenset((one.baseline, one.treated)) for one in contests}
    return len(models) >= LEAST and all(frozenset(two) in held for two in combinations(models, 2))


def _ranking(contests: Sequence[Contested], *, seed: int, resamples: int) -> Ranking:
    models, first = models_of(contests), contests[0]
    rows = ranking_measurements(
        models,
        _wins(contests, models),
        protocol=first.protocol,
        scorer_id=first.judge,
        seed=seed,
        resamples=resamples,
    )
    ordered = tuple(dict.fromkeys(str(row.group) for row in rows))
    return Ranking(first.judge, first.protocol, ordered, tuple(rows))


def _wins(contests: Sequence[Contested], models: Sequence[str]) -> FloatArray:
    """Wins (P, N, N) of each model over each other one, a tie half on either side."""
    prompts = list(dict.fromkeys(prompt for one in contests for prompt in one.outcomes.prompts))
    row_of = {prompt: row for row, prompt in enumerate(prompts)}
    wins_PNN = np.zeros((len(prompts), len(models), len(models)))
    for one in contests:
        rows = [row_of[prompt] for prompt in one.outcomes.prompts]
        lost, won = models.index(one.baseline), models.index(one.treated)
        half_PK = np.nan_to_num((one.outcomes.outcomes_PK + 1) / 2)
        known_PK = ~np.isnan(one.outcomes.outcomes_PK)
        wins_PNN[rows, won, lost] += half_PK.sum(axis=1)
        wins_PNN[rows, lost, won] += (known_PK - half_PK).sum(axis=1)
    return wins_PNN
