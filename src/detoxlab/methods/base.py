"""A method: hyperparameters, and a `fit` that leaves its product in a run folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from detoxlab.data.split import KindName
from detoxlab.locations import stored
from detoxlab.registry import found_at
from detoxlab.runs import Run
from detoxlab.settings import Settings

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel


Product = Literal["adapter", "edit", "steering", "head", "scorer"]
Fit = Callable[[Any, "LanguageModel", Any, Run], Path]


class MethodConfig(Settings):
    """Hyperparameters, and nothing else."""

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """Names of the scorers whose judgement is trained on; they must not judge the result."""
        return ()

    def check_amount(self, items: int) -> None:
        """Raise `ConfigError` where these hyperparameters cannot learn from so many items."""


class MethodSpec(NamedTuple):
    """A method in the registry: the class of its config, its `fit`, its kinds of data.

    `fit` is a function `(config, lm, data, run) -> folder`, or its place as "package.module:name",
    which is imported when the method is run: naming a method loads no trainer. A function in the
    file of its config imports the trainer when it is called, for the same reason. `learns_from`
    are the kinds of data it can take, one at a time, the usual one first. `makes` names the
    product that it leaves in the run folder.
    """

    config: type[MethodConfig]
    fit: str | Fit
    learns_from: tuple[KindName, ...] = ("dialogues",)
    makes: Product = "adapter"


@dataclass(frozen=True)
class Method:
    """One way of treating a model: its name, its hyperparameters and its `fit`."""

    name: str
    config: MethodConfig
    spec: MethodSpec

    def fit(self, lm: "LanguageModel", data: Any, run: Run) -> Path:
        """The folder of the product made from `lm` and `data`, inside `run`.

        `data` is a `DialogueSplit`, a `PairSplit`, a `TextSplit` or a sequence of prompts,
        whichever the method learns from.

        The base model is left as it was found, on disk and in memory. Called again on a run
        that was cut off, it goes on from the last complete checkpoint; on a run that is
        done, it returns at once. `run.json` names the product (`makes`), so that it can be loaded.
        Raises `TrainingError` when it cannot start or go on.
        """
        run.update(makes=self.spec.makes)
        return _resolved(self.spec.fit)(self.config, lm, data, run)


def record_model(run: Run, lm: "LanguageModel", method: str, **facts: Any) -> None:
    """Write into `run.json` the method, the model that it starts from, and further facts."""
    run.update(
        method=method,
        base_model=stored(lm.ref, run.path),
        base_model_id=lm.id,
        model=lm.fingerprint(),
        **facts,
    )


def _resolved(fit: str | Fit) -> Fit:
    if not isinstance(fit, str):
        return fit
    found: Fit = found_at(fit)
    return found
