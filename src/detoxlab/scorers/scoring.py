"""Scores of generations as records, in memory or appended to a run."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from detoxlab.errors import ScorerError
from detoxlab.progress import progress
from detoxlab.records import Generation, Score
from detoxlab.runs import Over, Run, file_name
from detoxlab.runs.batches import Batches
from detoxlab.scorers.base import FloatArray, Readings, Scorer, cut_texts, read_texts

DIGITS = 6
NO_REASON = "failed: the scorer gave no reason"
NOT_JUDGED = "not judged"  # by a scorer that judged other attributes of the text


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
    readings: list[Readings] = [{} for _ in generations]
    scores_NA[there], read = _checked_readings(scorer, [generations[at].text for at in there])
    for at, ways in zip(there, read, strict=True):
        readings[at] = ways
    cut_N = cut_texts(scorer, [generation.text for generation in generations])
    return [
        _score(scorer, generation, a, row_A, cut or None, _numbers(ways, a))
        for generation, row_A, cut, ways in zip(
            generations, scores_NA, cut_N, readings, strict=True
        )
        for a in range(len(scorer.attributes))
    ]


def score_into(
    run: Run,
    scorer: Scorer,
    *generations: Sequence[Generation],
    batch_size: int = 256,
    over: Over[Sequence[Generation]] = map,
) -> None:
    """Append the scores of `generations` to the run's file of this scorer; resumes by itself.

    Of several sequences the rows follow each other. `over` is that of `Run.append_missing`.
    """
    seen = Counter[bool]()

    def counted(
        compute: Callable[[Sequence[Generation]], Sequence[Score]],
        left: Sequence[Sequence[Generation]],
    ) -> Iterator[Sequence[Score]]:
        for rows in over(compute, left):
            seen.update(bool(row.cut) for row in rows[:: len(scorer.attributes)])
            yield rows

    batches = Batches(generations, batch_size)
    with progress(f"scoring with {scorer.id}", batches.rows) as advance:
        run.append_missing(
            f"scores/{file_name(scorer.id)}.jsonl",
            batches,
            rows_in=lambda batch: len(batch) * len(scorer.attributes),
            compute=lambda batch: score_generations(scorer, batch),
            over=counted,
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
    return _checked_readings(scorer, texts)[0]


def _checked_readings(scorer: Scorer, texts: list[str]) -> tuple[FloatArray, list[Readings]]:
    found_NA, readings = read_texts(scorer, texts)
    scores_NA = np.asarray(found_NA, dtype=np.float64)
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
    return scores_NA, readings


def _numbers(readings: Readings, a: int) -> dict[str, float] | None:
    """The known scores of one attribute by the way the text was read; None for one way."""
    known = {way: float(row_A[a]) for way, row_A in readings.items() if not np.isnan(row_A[a])}
    return {way: round(value, DIGITS) for way, value in known.items()} or None


def _score(
    scorer: Scorer,
    generation: Generation,
    a: int,
    row_A: FloatArray,
    cut: bool | None,
    readings: dict[str, float] | None,
) -> Score:
    value = float(row_A[a])
    place = (generation.prompt_id, generation.sample, scorer.id, scorer.attributes[a])
    if generation.error is not None:
        return Score(*place, error=f"no response: {generation.error}")
    if np.isnan(value):
        usual = NO_REASON if np.isnan(row_A).all() else NOT_JUDGED
        reason = scorer.missing_reason(generation.text) or usual
        return Score(*place, error=reason)
    return Score(*place, value=round(value, DIGITS), cut=cut, readings=readings)
