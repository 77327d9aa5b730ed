"""Properties of all responses of a run, as arrays: one number per response, or per prompt."""

import functools
import zlib
from collections.abc import Callable

import numpy as np

from detoxlab.measures import guards
from detoxlab.measures.grid import REMEMBERED, Grid
from detoxlab.measures.refusal.rules import asks, refuses
from detoxlab.measures.statistics import FloatArray
from detoxlab.measures.texts import Block
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
    asked = [asks(prompt.text) for prompt in grid.prompts]
    refused = functools.lru_cache(REMEMBERED)(refuses)

    def values(block: Block) -> FloatArray:
        kinds = [asked[row] for row in block.rows_N.tolist()]
        return block.each_of(kinds, lambda kind, one: refused(one.text, asked=kind))

    return grid.over_blocks(values)


def next_turn(grid: Grid) -> FloatArray:
    """1 where the response goes on with the other side's turn, else 0 (P, K)."""
    return _each(grid, lambda one: enters_next_turn(one, grid.stop))


def distinct(n: int) -> Values:
    """The share of distinct n-grams of each prompt's samples."""
    return functools.partial(distinct_per_prompt, n=n)


def scripts(grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Main script of each prompt (P,) and response (P, K), by numbers; NaN without letters.

    A number means the same script in every grid.
    """
    asked_P = np.array([_script(prompt.text) for prompt in grid.prompts], dtype=np.float64)
    return asked_P, _each(grid, lambda one: _script(one.text))


def _script(text: str) -> float:
    """The number of a text's main script; NaN where it has no letters."""
    name = main_script(text)
    return np.nan if name == UNKNOWN else float(zlib.crc32(name.encode()))


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
    values_P = np.full(len(grid.prompts), np.nan)
    for block in grid.texts.blocks():
        values_P[block.rows_N] = _distinct_in(block, n)
    return values_P


def _distinct_in(block: Block, n: int) -> FloatArray:
    """The same of a block's prompts (N,); each distinct text is split once."""
    numbers: dict[tuple[str, ...], int] = {}
    grams, words_U, sizes_U = [], [], []
    for one in block.distinct:
        words = one.text.split(" ")
        own = [
            numbers.setdefault(tuple(words[at : at + n]), len(numbers))
            for at in range(len(words) - n + 1)
        ]
        grams += own
        words_U.append(len(words))
        sizes_U.append(len(own))
    there_U = np.array([not one.error for one in block.distinct] + [False], dtype=np.bool_)
    complete_N = there_U[block.codes_NK].all(axis=1)
    values_N = np.full(len(block.rows_N), np.nan)
    codes_QK = block.codes_NK[complete_N]
    if codes_QK.size:
        sizes, starts = np.array(sizes_U), np.concatenate([[0], np.cumsum(sizes_U)[:-1]])
        prompts = np.repeat(np.arange(len(codes_QK)), codes_QK.shape[1])
        flat = codes_QK.ravel()
        many = sizes[flat]
        ends = np.cumsum(many)
        at = np.arange(int(ends[-1])) - np.repeat(ends - many - starts[flat], many)
        found = np.repeat(prompts, many) * len(numbers) + np.array(grams, dtype=np.int64)[at]
        found.sort()
        new = np.diff(found, prepend=-1) > 0
        prompts_of = found[new] // max(1, len(numbers))
        kinds_Q = np.bincount(prompts_of, minlength=len(codes_QK))
        values_N[complete_N] = kinds_Q / np.array(words_U)[codes_QK].sum(axis=1)
    return values_N


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
    return grid.over_blocks(lambda block: block.each(feature))
