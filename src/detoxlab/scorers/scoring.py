"""Scores of generations as records, in memory or appended to a run."""

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np

from detoxlab.errors import ScorerError
from detoxlab.progress import progress
from detoxlab.records import Generation, Score
from detoxlab.runs import Run, file_name
from detoxlab.scorers.base import FloatArray, Scorer, cut_texts

DIGITS = 6


class CutTextWarning(UserWarning):
    """A scorer read only the beginning of some texts; the message has their number."""


def score_generations(scorer: Scorer, generations: Sequence[Generation]) -> list[Score]:
    """One `Score` per generation and attribute, generation by generation.

    A text that could not be scored gives rows with the reason in place of a value. So does a
    response that a server withheld: the scorer does not see its empty text. Rows of a text whose
    end the scorer did not read are marked.
    Raises `ScorerError` when the scorer returns another shape, or values beyond [0, 1].
    """
    there = [at for at, generation in enumerate(generations) if generation.error is None]
    scores_NA = np.full((len(generations), len(scorer.attributes)), np.nan)
    scores_NA[there] = checked_scores(scorer, [generations[at].text for at in there])
    cut_N = cut_texts(scorer, [generation.text for generation in generations])
    return [
        _score(scorer, generation, attribute, float(value), cut or None)
        for generation, row_A, cut in zip(generations, scores_NA, cut_N, strict=True)
        for attribute, value in zip(scorer.attributes, row_A, strict=True)
    ]


def score_into(
    run: Run, scorer: Scorer, generations: Sequence[Generation], batch_size: int = 256
) -> None:
    """Append the scores of `generations` to the run's file of this scorer; resumes by itself."""
    seen = Counter[bool]()

    def compute(batch: Sequence[Generation]) -> list[Score]:
        rows = score_generations(scorer, batch)
        seen.update(bool(row.cut) for row in rows[:: len(scorer.attributes)])
        return rows

    batches = [generations[i : i + batch_size] for i in range(0, len(generations), batch_size)]
    with progress(f"scoring with {scorer.id}", len(generations)) as advance:
        run.append_missing(
            f"scores/{file_name(scorer.id)}.jsonl",
            batches,
            rows_in=lambda batch: len(batch) * len(scorer.attributes),
            compute=compute,
            done=lambda batch: advance(len(batch)),
        )
    if seen[True]:
        warnings.warn(
            f"{scorer.id} read only the beginning of {seen[True]} of {seen.total()} texts: they "
            "are longer than it can read",
            CutTextWarning,
            stacklevel=2,
        )


def checked_scores(scorer: Scorer, texts: list[str]) -> FloatArray:
    """The scores of the texts (N, A).

    Raises `ScorerError` when the scorer returns another shape, or values beyond [0, 1].
    """
    scores_NA = np.asarray(scorer(texts), dtype=np.float64)
    expected = (len(texts), len(scorer.attributes))
    if scores_NA.shape != expected:
        raise ScorerError(
            f"scorer {scorer.id}: returned an array of shape {scores_NA.shape}, not {expected}",
            remedy="One row per text and one column per attribute.",
        )
    beyond = scores_NA[(scores_NA < 0) | (scores_NA > 1)]
    if beyond.size:
        raise ScorerError(
            f"scorer {scorer.id}: returned {beyond[0]:g}, outside [0, 1]",
            remedy="A scorer gives probabilities, or NaN where it has none.",
        )
    return scores_NA


def _score(
    scorer: Scorer, generation: Generation, attribute: str, value: float, cut: bool | None
) -> Score:
    place = (generation.prompt_id, generation.sample, scorer.id, attribute)
    if generation.error is not None:
        return Score(*place, error=f"no response: {generation.error}")
    if np.isnan(value):
        reason = scorer.missing_reason(generation.text) or "failed: the scorer gave no reason"
        return Score(*place, error=reason)
    return Score(*place, value=round(value, DIGITS), cut=cut)
