"""What every method is: hyperparameters, and a `fit` that leaves an adapter in a run folder."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict

from detoxlab.errors import ConfigError
from detoxlab.records import Dialogue
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

C = TypeVar("C", bound="MethodConfig")


class MethodConfig(BaseModel):
    """Hyperparameters: they know all their keys and never print a value they refuse."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True)
class DialogueSplit:
    """What methods that imitate responses learn from; no dialogue stands on both sides.

    `rejected` are the (id, reason) of dialogues that were left out while reading: they go
    into the run's record.
    """

    train: Sequence[Dialogue]
    validation: Sequence[Dialogue] = ()
    rejected: Sequence[tuple[str, str]] = ()


class Method(Protocol):
    """One way of treating a model. `config` holds its hyperparameters and nothing else."""

    @property
    def config(self) -> MethodConfig:
        """The hyperparameters."""

    def fit(self, lm: "LanguageModel", data: Any, run: Run) -> Path:
        """The folder of the adapter made from `lm` and `data`, inside `run`.

        The base model is left as it was found, on disk and in memory. Called again on a run
        that was cut off, it goes on from the last complete checkpoint; on a run that is
        done, it returns at once. Raises `TrainingError` when it cannot start or go on.
        """


class MethodSpec(NamedTuple):
    """What the registry holds of a method: the class of its config, and config → method."""

    config: type[MethodConfig]
    make: Callable[[Any], Method]


def parse_config(kind: type[C], settings: Mapping[str, Any], *, place: str) -> C:
    """`settings` as hyperparameters of type `kind`.

    Raises `ConfigError` naming the first key that is wrong, and the nearest that is right.
    """
    try:
        return kind.model_validate(settings)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        raise ConfigError(f"{place}: {key}: {first['msg']}")
    known = sorted(kind.model_fields)
    nearest = difflib.get_close_matches(key, known, n=1)
    hint = f"Did you mean {nearest[0]!r}?" if nearest else f"Known: {', '.join(known)}."
    raise ConfigError(f"{place}: unknown hyperparameter {key!r}", remedy=hint)
