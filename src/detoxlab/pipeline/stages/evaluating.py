"""Evaluations as work that this process or workers elsewhere do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from detoxlab.errors import EngineError
from detoxlab.evaluations import Evaluation
from detoxlab.evaluations.base import Portion
from detoxlab.evaluations.store import results_by_number
from detoxlab.pipeline.subjects import load_subject
from detoxlab.recipe.measuring import SubjectSettings
from detoxlab.records import ItemResult


@dataclass(frozen=True)
class Evaluating:
    """The work of evaluating a model. All workers make the same batches, and get their numbers."""

    settings: SubjectSettings
    evaluation: Evaluation
    seed: int
    asked: type[Portion] = Portion
    made: type[ItemResult] = ItemResult

    @property
    def on_gpu(self) -> bool:
        """Whether the settings leave the model a GPU."""
        return self.settings.device != "cpu"

    def begin(self) -> Callable[[Sequence[Portion]], list[ItemResult]]:
        """Loads the model, and evaluates it."""
        subject = load_subject(self.settings)
        return results_by_number(self.evaluation.resolved(subject), subject, self.seed)[0]

    def unknown(self, row: Portion, reason: str) -> list[ItemResult]:
        """Raises `EngineError`: an evaluation has no unknown items for the faults of a worker."""
        raise EngineError(
            f"evaluation {self.evaluation.kind}: batch {row.at} {reason}",
            remedy="Evaluate without --on to see the whole error; --resume goes on there.",
        )
