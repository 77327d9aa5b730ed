"""What every method is: hyperparameters, and a `fit` that leaves its product in a run folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from detoxlab.records import Dialogue, Preference, Text
from detoxlab.registry import found_at
from detoxlab.runs import Run
from detoxlab.settings import Settings

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel


Source = Literal["dialogues", "pairs", "prompts", "texts"]
Product = Literal["adapter", "edit", "steering", "head", "scorer"]
Fit = Callable[[Any, "LanguageModel", Any, Run], Path]
Item = TypeVar("Item")


class MethodConfig(Settings):
    """Hyperparameters, and nothing else."""

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """Names of the scorers whose judgement is trained on; they must not judge the result."""
        return ()


@dataclass(frozen=True)
class Split(Generic[Item]):
    """What a method learns from and what it is validated on; no item stands on both sides.

    `rejected` are the (id, reason) of items that were left out while reading: they go into the
    run's record.
    """

    train: Sequence[Item]
    validation: Sequence[Item] = ()
    rejected: Sequence[tuple[str, str]] = ()


class DialogueSplit(Split[Dialogue]):
    """What methods that imitate responses learn from."""


class PairSplit(Split[Preference]):
    """What methods that prefer one response to another learn from."""


class TextSplit(Split[Text]):
    """What methods that imitate whole texts learn from, by domain."""


class MethodSpec(NamedTuple):
    """What the registry holds of a method: the class of its config, its `fit`, its data.

    `fit` is a function `(config, lm, data, run) -> folder`, or its place as "package.module:name",
    which is imported when a model is treated: naming a method loads no trainer. A function that
    stands beside its config imports the trainer when it is called, for the same reason.
    `learns_from` are the kinds of data it can take, one at a time, the usual one first. `makes` is
    what it leaves in the run folder.
    """

    config: type[MethodConfig]
    fit: str | Fit
    learns_from: tuple[Source, ...] = ("dialogues",)
    makes: Product = "adapter"


@dataclass(frozen=True)
class Method:
    """One way of treating a model: its name, its hyperparameters and its `fit`."""

    name: str
    config: MethodConfig
    spec: MethodSpec

    def fit(self, lm: "LanguageModel", data: Any, run: Run) -> Path:
        """The folder of what was made from `lm` and `data`, inside `run`.

        `data` is a `DialogueSplit`, a `PairSplit`, a `TextSplit` or a sequence of prompts,
        whichever the method learns from.

        The base model is left as it was found, on disk and in memory. Called again on a run
        that was cut off, it goes on from the last complete checkpoint; on a run that is
        done, it returns at once. `run.json` says what it `makes`, which is how the run is loaded.
        Raises `TrainingError` when it cannot start or go on.
        """
        run.update(makes=self.spec.makes)
        return _resolved(self.spec.fit)(self.config, lm, data, run)


def _resolved(fit: str | Fit) -> Fit:
    if not isinstance(fit, str):
        return fit
    found: Fit = found_at(fit)
    return found
