"""Best of n: of several candidates for each response, the one that a scorer finds least toxic.

It is the baseline beside which decoding methods must stand: it changes no distribution, costs n
times the tokens, and makes its scorer one that trains, which must not judge.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from detoxlab.errors import ConfigError
from detoxlab.generate.engine import Engine
from detoxlab.records import Choice, Generation, Prompt, Sampling
from detoxlab.scorers import FloatArray, Scorer


class BestOf:
    """An `Engine` that draws n candidates for each response by another engine and keeps the best.

    Candidate j of sample s is the other engine's sample s + k * j: the first candidates are the
    responses without choice, under the same noise. A candidate that cannot be scored is chosen
    only where none can be, and then it is the first; of equal ones too. Each response has a
    `Choice`, which holds the scores of all its candidates and the tokens that they took.
    """

    def __init__(self, engine: Engine, n: int, scorer: Scorer, attribute: str = "toxicity") -> None:
        if n < 1:
            raise ConfigError(f"best_of is {n}", remedy="It must be at least 1.")
        self.engine, self.n = engine, n
        self.scorer, self.column = scorer, scorer.attributes.index(attribute)

    @property
    def mark(self) -> str:
        """The part of a name in results: best-of-N@SCORER."""
        return f"best-of-{self.n}@{self.scorer.id}"

    @property
    def id(self) -> str:
        """The name of the other engine and how it is chosen among its responses."""
        return f"{self.engine.id}+{self.mark}"

    def facts(self) -> dict[str, Any]:
        """The other engine's record, the number of candidates and the scorer."""
        return {**self.engine.facts(), "best_of": self.n, "by": self.scorer.id}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Take over the other engine's limits."""
        self.engine.restore(facts)

    def batches(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Prompt]]:
        """The other engine's batches, with room for all candidates."""
        return self.engine.batches(prompts, self._wide(sampling))

    def generate(self, batch: Sequence[Prompt], sampling: Sampling) -> list[Generation]:
        """k chosen responses per prompt, prompt after prompt."""
        rows = self.engine.generate(batch, self._wide(sampling))
        scores_N = self._scores(rows)
        return [
            _chosen([rows[at] for at in places], scores_N[places], sample)
            for sample, places in self._places(len(batch), sampling.k)
        ]

    # --- inside ---

    def _wide(self, sampling: Sampling) -> Sampling:
        return dataclasses.replace(sampling, k=sampling.k * self.n)

    def _places(self, prompts: int, k: int) -> Iterator[tuple[int, list[int]]]:
        """For each response its sample, and the places of its candidates among all rows."""
        for prompt in range(prompts):
            for sample in range(k):
                first = prompt * k * self.n + sample
                yield sample, [first + k * at for at in range(self.n)]

    def _scores(self, rows: Sequence[Generation]) -> FloatArray:
        """The toxicity of each response (N,), NaN where it is unknown."""
        scores_N: FloatArray = self.scorer([row.text for row in rows])[:, self.column].copy()
        scores_N[[row.error is not None for row in rows]] = np.nan
        return scores_N


def _chosen(candidates: Sequence[Generation], scores_N: FloatArray, sample: int) -> Generation:
    known_N = np.isfinite(scores_N)
    best = int(np.where(known_N, scores_N, np.inf).argmin()) if known_N.any() else 0
    choice = Choice(
        best,
        tuple(round(float(one), 6) if np.isfinite(one) else None for one in scores_N),
        sum(len(one.token_ids) for one in candidates),
    )
    return dataclasses.replace(candidates[best], sample=sample, choice=choice)
