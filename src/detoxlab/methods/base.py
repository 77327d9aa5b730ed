"""What every method is: hyperparameters, and a `fit` that leaves an adapter in a run folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from detoxlab.records import Dialogue, Preference, Text
from detoxlab.runs import Run
from detoxlab.settings import Settings

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel


Source = Literal["dialogues", "pairs", "prompts", "texts"]


class MethodConfig(Settings):
    """Hyperparameters, and nothing else."""

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """Names of the scorers whose judgement is trained on; they must not judge the result."""
        return ()


@dataclass(frozen=True)
class DialogueSplit:
    """What methods that imitate responses learn from; no dialogue stands on both sides.

    `rejected` are the (id, reason) of dialogues that were left out while reading: they go
    into the run's record.
    """

    train: Sequence[Dialogue]
    validation: Sequence[Dialogue] = ()
    rejected: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class PairSplit:
    """What methods that prefer one response to another learn from; see `DialogueSplit`."""

    train: Sequence[Preference]
    validation: Sequence[Preference] = ()
    rejected: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class TextSplit:
    """What methods that imitate whole texts learn from, by domain; see `DialogueSplit`."""

    train: Sequence[Text]
    validation: Sequence[Text] = ()
    rejected: Sequence[tuple[str, str]] = ()


class Method(Protocol):
    """One way of treating a model. `config` holds its hyperparameters and nothing else."""

    @property
    def config(self) -> MethodConfig:
        """The hyperparameters."""

    def fit(self, lm: "LanguageModel", data: Any, run: Run) -> Path:
        """The folder of the adapter made from `lm` and `data`, inside `run`.

        `data` is a `DialogueSplit`, a `PairSplit`, a `TextSplit` or a sequence of prompts,
        whichever the method learns from.

        The base model is left as it was found, on disk and in memory. Called again on a run
        that was cut off, it goes on from the last complete checkpoint; on a run that is
        done, it returns at once. Raises `TrainingError` when it cannot start or go on.
        """


class MethodSpec(NamedTuple):
    """What the registry holds of a method: its config's class, config → method, its data.

    `learns_from` are the kinds of data it can take, one at a time, the usual one first.
    """

    config: type[MethodConfig]
    make: Callable[[Any], Method]
    learns_from: tuple[Source, ...] = ("dialogues",)
