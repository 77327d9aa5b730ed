"""Labels of a data set as probabilities per attribute, NaN where a text has none."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from detoxlab.data.tabular import plain
from detoxlab.data.where import same_meaning
from detoxlab.errors import DataError
from detoxlab.records import Prompt
from detoxlab.scorer_training import Label


def goals_of(prompt: Prompt, labels: Mapping[str, Label], columns: Sequence[str]) -> list[float]:
    """The probability for each attribute in `columns`, in [0, 1]; NaN where there is no label.

    >>> label = Label(column="class", values={"hate": 1, "other": 0})
    >>> goals_of(Prompt("1", "…", "x", {"class": "other"}), {"hate": label}, ["hate", "insult"])
    [0.0, nan]
    """
    return [_goal(prompt, labels[name], name) if name in labels else math.nan for name in columns]


def _goal(prompt: Prompt, label: Label, attribute: str) -> float:
    if label.constant is not None:
        return label.constant
    found = [_value(prompt, label, column, attribute) for column in label.column]
    return max((value for value in found if not math.isnan(value)), default=math.nan)


def _value(prompt: Prompt, label: Label, column: str, attribute: str) -> float:
    value = prompt.meta.get(column)
    otherwise = math.nan if label.otherwise is None else label.otherwise
    if label.values:
        meant = (goal for one, goal in label.values.items() if _means(value, one))
        return next(meant, otherwise)
    if value is None:
        return otherwise
    low, high = label.range
    scaled = (_number(prompt, value, column, attribute) - low) / (high - low)
    if not 0 <= scaled <= 1:
        raise DataError(
            f"{prompt.id}: column {column!r} holds {value}, outside {low:g} to {high:g}",
            remedy=f"Give the range of labels.{attribute}, or the meaning of its values.",
        )
    return scaled


def _means(value: Any, named: Any) -> bool:
    """Whether a cell has the named value; a cell that says "none" or "na" reads as missing."""
    return plain(named) is None if value is None else same_meaning(value, named)


def _number(prompt: Prompt, value: Any, column: str, attribute: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(
            f"{prompt.id}: column {column!r} holds no number",
            remedy=f"Say in labels.{attribute}.values which value means which probability.",
        ) from None
