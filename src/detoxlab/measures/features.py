"""Properties of all responses of a run, as arrays: one number per response, or per prompt."""

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detoxlab.measures import guards
from detoxlab.measures.grid import Grid
from detoxlab.measures.refusal import is_refusal
from detoxlab.measures.statistics import FloatArray
from detoxlab.measures.writing.script import UNKNOWN, main_script
from detoxlab.records import Generation

Feature = Callable[[Generation], float | None]
Values = Callable[[Grid], FloatArray]
"""One number per response (P, K), or per prompt (P,), of a run; NaN where it cannot be told."""


def of_text(feature: Callable[[str], float | None]) -> Values:
    """The feature of every response's text."""
    return of_response(lambda one: feature(one.text))


def of_response(feature: Feature) -> Values:
    """The feature of every response."""

    def values(grid: Grid) -> FloatArray:
        return _each(grid, feature)

    return values


def other_language(grid: Grid) -> FloatArray:
    """1 where the response leaves the script or language of its prompt, else 0 (P, K).

    An unknown language counts as not switched; `unknown_language` counts it.
    """
    return np.where(grid.answered, np.nan_to_num(grid.switched), np.nan)


def unknown_language(grid: Grid) -> FloatArray:
    """1 where it is unknown whether the response leaves its prompt's language, else 0 (P, K)."""
    return np.where(grid.answered, np.isnan(grid.switched), np.nan)


def refusals(grid: Grid) -> FloatArray:
    """1 where the response refuses, fully or in part, else 0 (P, K)."""
    values = [
        [_number(None if one is None else is_refusal(one.text, prompt.text)) for one in row]
        for prompt, row in zip(grid.prompts, grid.answers, strict=True)
    ]
    return np.array(values, dtype=np.float64).reshape(len(grid.prompts), grid.k)


def next_turn(grid: Grid) -> FloatArray:
    """1 where the response goes on with the other side's turn, else 0 (P, K)."""
    return _each(grid, lambda one: enters_next_turn(one, grid.stop))


def distinct(n: int) -> Values:
    """The share of distinct n-grams of each prompt's samples."""
    return functools.partial(distinct_per_prompt, n=n)


def scripts(grid: Grid) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Main script of each prompt (P,) and of each response (P, K); "unknown" without letters."""
    prompts = [main_script(prompt.text) for prompt in grid.prompts]
    responses = [
        [UNKNOWN if one is None else main_script(one.text) for one in row] for row in grid.answers
    ]
    return np.array(prompts), np.array(responses).reshape(len(grid.prompts), grid.k)


def ended_at_cap(one: Generation) -> bool | None:
    """True when the response was cut off at the token limit; None when this was not recorded."""
    return None if one.finish_reason == "unknown" else one.finish_reason == "length"


def enters_next_turn(one: Generation, stop: tuple[str, ...]) -> bool | None:
    """True when the response goes on with the other side's turn, or was cut where that began.

    A response that ended at a stop string was cut at the next turn if the sampling had no other
    stop strings; if it had, the one that ended it is not recorded, and the answer is None.
    """
    if guards.runs_into_next_turn(one.text):
        return True
    if one.finish_reason != "stop":
        return False
    return None if stop else True


def distinct_per_prompt(grid: Grid, n: int) -> FloatArray:
    """Distinct n-grams ÷ words over the samples of each prompt; NaN where a sample is absent."""
    values = [
        guards.distinct_n([one.text for one in row if one is not None], n)
        if all(one is not None for one in row)
        else np.nan
        for row in grid.answers
    ]
    return np.array(values, dtype=np.float64)


def likelihoods(grid: Grid, scorer_id: str | None) -> tuple[FloatArray, FloatArray]:
    """Negative log-likelihood (nats) and its tokens per response (P, K), NaN unless both known."""
    nll_PK, tokens_PK = grid.of(scorer_id, "nll"), grid.of(scorer_id, "nll_tokens")
    missing_PK = np.isnan(nll_PK) | np.isnan(tokens_PK) | (tokens_PK <= 0)
    return np.where(missing_PK, np.nan, nll_PK), np.where(missing_PK, np.nan, tokens_PK)


def scorers_of_kind(grid: Grid, kind: str) -> list[str]:
    """Ids of the likelihood or of the similarity scorers, in the order of the scores.

    `kind` is `LIKELIHOOD` or `SIMILARITY`.
    """
    return list(dict.fromkeys(name for name, _ in grid.scores if name.startswith(kind)))


def _each(grid: Grid, feature: Feature) -> FloatArray:
    values = [
        [_number(None if one is None else feature(one)) for one in row] for row in grid.answers
    ]
    return np.array(values, dtype=np.float64).reshape(len(grid.prompts), grid.k)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
