"""An evaluation: items, one result per item, and measures of the results.

A kind of evaluation is one class: its fields are its settings, its methods compute results and
measures. `evaluate_into` (store.py) does the rest: batches, files, resuming after a kill.
Results carry ids, so that two models are compared item by item.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field

from detoxlab.errors import ConfigError
from detoxlab.measures.statistics import FloatArray
from detoxlab.records import RESAMPLES, Difference, ItemResult, Measurement
from detoxlab.settings import Settings
from detoxlab.subject import Subject

BATCH = 32


@dataclass(frozen=True, slots=True)
class Portion:
    """A batch of an evaluation by its number, from which workers elsewhere find its items."""

    at: int


def window_of(subject: Subject, max_length: int | None) -> int:
    """The number of tokens to read at once; None: as many as the context holds.

    Raises `ConfigError` when it is more than the model's context.
    """
    context = subject.lm.context_length
    length = max_length or context
    if length > context:
        raise ConfigError(
            f"max_length is {length}, the context of {subject.id} is {context} tokens",
            remedy="Lower it, or leave it out.",
        )
    return length


class Evaluation(Settings, ABC):
    """One evaluation: its fields are its settings, `kind` is the registered name of its class.

    `measurements` and `differences` are pure functions of results and need no model: a report
    calls them on results that it reads from files.
    """

    kind: str = Field(description="of evaluation")

    @property
    @abstractmethod
    def protocol(self) -> str:
        """The protocol named in each measurement: kind, version and the settings that matter."""

    def resolved(self, subject: Subject) -> Self:
        """These settings, with the values that depend on the model filled in.

        Models whose resolved settings differ are not compared.
        """
        del subject
        return self

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The data, for the record: files by name and hash, hub data by revision."""

    @abstractmethod
    def items(self, seed: int) -> Sequence[Any]:
        """The items to evaluate; `seed` draws the sample where there is a limit."""

    def batches(self, items: Sequence[Any]) -> list[Sequence[Any]]:
        """The items in the portions that are computed and written together."""
        return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]

    @abstractmethod
    def results(self, subject: Subject, items: Sequence[Any]) -> list[ItemResult]:
        """One result per item, in order; they must depend on these items alone."""

    @abstractmethod
    def measurements(
        self, results: Sequence[ItemResult], *, seed: int = 0, resamples: int = RESAMPLES
    ) -> list[Measurement]:
        """The measurements over all items, with intervals."""

    @abstractmethod
    def differences(
        self,
        baseline: Sequence[ItemResult],
        treated: Sequence[ItemResult],
        *,
        seed: int = 0,
        resamples: int = RESAMPLES,
    ) -> list[Difference]:
        """Treated against baseline, paired by item, for each measure that can be compared."""

    def resampled(
        self,
        name: str,
        models: Sequence[Sequence[ItemResult]],
        *,
        seed: int = 0,
        resamples: int = RESAMPLES,
    ) -> FloatArray | None:
        """The measure `name` of M models on the same resamples of items, (resamples, M).

        Only items that all models have a result for count. None where this kind cannot say.
        """
        del name, models, seed, resamples
        return None
