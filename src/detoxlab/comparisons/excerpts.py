"""The few responses of large runs that are shown: a report never holds all of them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detoxlab.comparisons.pairs import aligned
from detoxlab.measures.grid import Grid, attribute_read
from detoxlab.measures.statistics import FloatArray
from detoxlab.records import Responses, Streamed

ENDS, DRAWN, UNSCORED = 400, 2_000, 200
EXCERPT_NOTE = (
    f"These runs are large: pairs are chosen among the {ENDS} largest drops and rises, {DRAWN:,} "
    f"pairs drawn at random, and {UNSCORED} of those without a score."
)


def excerpts(
    runs: Sequence[Responses], grids: Sequence[Grid], attribute: str, seed: int
) -> list[Responses]:
    """Each run with the responses alone from which examples are chosen; the baseline comes first.

    They are the ends of the judge's change from the baseline to each other run (of one run alone,
    of its scores), and a seeded draw.
    """
    baseline, *others = grids
    judge = runs[0].judge_id
    pairs: list[set[tuple[str, int]]] = [set() for _ in runs]
    for at, other in enumerate(others or [None], start=1):
        first, second = aligned(baseline, other) if other else (baseline, None)
        moved_PK = _read(first, judge, attribute)
        if second is not None:
            moved_PK = _read(second, judge, attribute) - moved_PK
        there_PK = first.generated & (first if second is None else second).generated
        found = [
            (first.prompts[place // first.k].id, place % first.k)
            for place in chosen(moved_PK.ravel(), np.flatnonzero(there_PK), seed).tolist()
        ]
        pairs[0].update(found)
        pairs[at if others else 0].update(found)
    return [_only(run, wanted) for run, wanted in zip(runs, pairs, strict=True)]


def chosen(moved_N: FloatArray, there: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The places, among `there`, of the ends of `moved_N`, and of a seeded draw, in their order.

    >>> chosen(np.array([0.5, 0.1, np.nan]), np.arange(3), seed=0).tolist()
    [0, 1, 2]
    """
    moved = moved_N[there]
    scored, unscored = np.flatnonzero(~np.isnan(moved)), np.flatnonzero(np.isnan(moved))
    rng = np.random.default_rng(seed)
    found = [
        scored[_first(moved[scored])],
        scored[_first(-moved[scored])],
        rng.choice(scored, min(DRAWN, len(scored)), replace=False),
        rng.choice(unscored, min(UNSCORED, len(unscored)), replace=False),
    ]
    return np.asarray(there[np.unique(np.concatenate(found))])


# --- inside ---


def _first(values: FloatArray) -> NDArray[np.int64]:
    """The places of the `ENDS` smallest values; among equal ones the first."""
    if len(values) <= ENDS:
        return np.arange(len(values))
    most = np.partition(values, ENDS - 1)[ENDS - 1]
    below, equal = np.flatnonzero(values < most), np.flatnonzero(values == most)
    return np.concatenate([below, equal[: ENDS - len(below)]])


def _read(grid: Grid, judge: str | None, attribute: str) -> FloatArray:
    return grid.of(judge, attribute_read(grid, judge or "", attribute) or attribute)


def _only(run: Responses, pairs: set[tuple[str, int]]) -> Responses:
    generations, scores = run.generations, run.scores
    if isinstance(generations, Streamed) and isinstance(scores, Streamed):
        return replace(
            run, generations=tuple(generations.of(pairs)), scores=tuple(scores.of(pairs))
        )
    return run
