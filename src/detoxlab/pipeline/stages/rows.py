"""Numbers of generations as rows of a run: written batch by batch, unknown where there is none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from detoxlab.progress import progress
from detoxlab.records import Generation, Score
from detoxlab.runs import Over, Run
from detoxlab.runs.batches import Batches

BATCH = 64


@dataclass(frozen=True)
class ScoreWork:
    """The common part of works that score generations: name and attributes of the scores."""

    id: str
    attributes: tuple[str, ...]
    asked: type[Generation] = field(default=Generation, kw_only=True)
    made: type[Score] = field(default=Score, kw_only=True)

    @property
    def on_gpu(self) -> bool:
        """Whether each worker takes a GPU: scorers are small."""
        return False

    def unknown(self, row: Generation, reason: str) -> list[Score]:
        """No score by any attribute, for that reason."""
        place = (row.prompt_id, row.sample, self.id)
        return [Score(*place, attribute, error=reason) for attribute in self.attributes]


def fill(
    run: Run,
    file: str,
    title: str,
    generations: Sequence[Generation],
    compute: Callable[[Sequence[Generation]], list[Score]],
    rows_each: int,
    over: Over[Sequence[Generation]] = map,
) -> None:
    """Append `rows_each` scores for each generation, except those that are there already."""
    batches = Batches([generations], BATCH)
    with progress(title, len(generations)) as advance:
        run.append_missing(
            file,
            batches,
            rows_in=lambda batch: rows_each * len(batch),
            compute=compute,
            over=over,
            done=lambda batch: advance(len(batch)),
        )


def number(row: Generation, scorer_id: str, attribute: str, value: float) -> Score:
    """The score with this value; unknown where there is no response, or no number."""
    if row.error is not None:
        reason = f"no response: {row.error}"
        return Score(row.prompt_id, row.sample, scorer_id, attribute, error=reason)
    if np.isfinite(value):
        rounded = round(float(value), 6)
        return Score(row.prompt_id, row.sample, scorer_id, attribute, rounded)
    return Score(row.prompt_id, row.sample, scorer_id, attribute, None, "not computable")
