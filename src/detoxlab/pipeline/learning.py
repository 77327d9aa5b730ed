"""The data of a training: finds their kind, checks, reads and describes them."""

from collections.abc import Sequence
from typing import Any

from detoxlab.data.kinds import KINDS
from detoxlab.data.split import KindName, Split
from detoxlab.errors import ConfigError
from detoxlab.methods import METHODS, Method
from detoxlab.recipe.learning import Learning
from detoxlab.registry import look_up


def usual_source(method: str) -> KindName:
    """The kind of data that a method usually learns from; `UnknownNameError` for other names.

    >>> usual_source("sft")
    'dialogues'
    """
    return look_up("method", method, METHODS).learns_from[0]


def source_kind(settings: Learning, place: str = "train") -> KindName:
    """The kind of the given data; `ConfigError` unless the method takes exactly this kind."""
    takes = look_up("method", settings.method, METHODS).learns_from
    given = list(settings.sources())
    if len(given) == 1 and given[0] in takes:
        return given[0]
    raise ConfigError(
        f"{place}: {settings.method} learns from {' or '.join(takes)}; "
        f"given: {', '.join(given) or 'none'}",
        remedy=f"Give {' or '.join(takes)} and nothing else.",
    )


def training_scorers(settings: Learning, method: Method) -> tuple[str, ...]:
    """Names of the scorers that the method trains on; ranked data need none."""
    return () if KINDS[source_kind(settings)].ranked else method.config.training_scorers


def read_data(settings: Learning, seed: int) -> Split[Any] | Sequence[Any]:
    """The data for the method: a split, or a list of prompts."""
    kind = source_kind(settings)
    return KINDS[kind].read(settings.sources()[kind], seed)


def check_amount(method: Method, data: Split[Any] | Sequence[Any]) -> None:
    """Raise `ConfigError` where the hyperparameters cannot learn from so much data."""
    method.config.check_amount(len(data.train if isinstance(data, Split) else data))


def describe_data(settings: Learning) -> dict[str, Any]:
    """The provenance of the data, for the run's record, under the name of their kind."""
    kind = source_kind(settings)
    return {kind: KINDS[kind].describe(settings.sources()[kind])}


def check_learnt(settings: Learning, place: str) -> list[str]:
    """Check that the data exist; returns the hub ids that only loading can check."""
    kind = source_kind(settings, place)
    return KINDS[kind].check(settings.sources()[kind])
