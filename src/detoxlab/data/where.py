"""Choosing prompts by their meta attributes."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from detoxlab.data.source import LeftOutWarning, known_meta, nearest_remedy
from detoxlab.data.tabular import plain
from detoxlab.errors import ConfigError, DataError
from detoxlab.records import Prompt

Condition = tuple[float | None, float | None] | bool | int | float | str
Conditions = dict[str, Condition]
TRUTHS = {"true": True, "yes": True, "false": False, "no": False}


def choose(prompts: Sequence[Prompt], where: Mapping[str, Condition]) -> list[Prompt]:
    """The prompts that meet every condition; prompts without the attribute do not.

    A pair is a range with both ends included (None: open); a text, number or boolean must mean
    the same, or be one of a list (`groups`): see `meets`. Prompts that lack an attribute are
    counted in a `LeftOutWarning`. Raises `DataError` when nobody has the attribute or nothing is
    left.

    >>> prompts = [Prompt(str(t), "…", "x", {"toxicity": t}) for t in (0.2, 0.5, 0.9)]
    >>> [prompt.id for prompt in choose(prompts, {"toxicity": (0.5, 1)})]
    ['0.5', '0.9']
    """
    kept = list(prompts)
    for name, condition in where.items():
        _check_condition(name, condition)
        having = [prompt for prompt in kept if name in prompt.meta]
        if not having:
            raise DataError(
                f"no prompt has the attribute {name!r} to filter by",
                remedy=nearest_remedy(name, known_meta(prompts)),
            )
        left = [prompt for prompt in having if meets(prompt.meta[name], condition)]
        if not left:
            raise _nothing_left(name, condition, len(prompts), kept, having)
        if len(having) < len(kept):
            _warn(len(kept) - len(having), len(kept), name)
        kept = left
    return kept


def meets(value: Any, condition: Condition | list[Any]) -> bool:
    """Whether a meta value meets a condition, by the meaning of both, whatever their types.

    Files without types (CSV) and with types (JSON, Parquet) must be filtered alike, so a number
    may be written as text; yes, true and 1 mean the same, and so do no, false and 0.

    >>> meets(0.5, (0.5, None)), meets(["asian", "women"], "women"), meets("hate", True)
    (True, True, False)
    >>> meets("1", 1), meets(1.0, "1"), meets(True, "yes"), meets("no", False)
    (True, True, True, True)
    """
    if isinstance(value, list | tuple):
        return any(meets(item, condition) for item in value)
    if isinstance(condition, list | tuple):
        low, high = condition
        number = _number(value)
        if number is None:
            return False
        return bool((low is None or number >= low) and (high is None or number <= high))
    return same_meaning(value, condition)


def same_meaning(one: Any, other: Any) -> bool:
    """Whether two values mean the same, whether each is a text, a number or a boolean.

    >>> same_meaning("-1.0", -1), same_meaning(" N/A", "N/A"), same_meaning("x", "y")
    (True, True, False)
    """
    return bool(_meanings(one) & _meanings(other))


def _meanings(value: Any) -> set[tuple[str, Any]]:
    """All readings of a value: as a text, a number, a yes or no."""
    found: set[tuple[str, Any]] = {("text", value.strip())} if isinstance(value, str) else set()
    number = _number(value)
    if number is not None:
        found.add(("number", number))
    said = truth(value)
    return found if said is None else found | {("truth", said)}


def truth(value: Any) -> bool | None:
    """The yes or no that a value means (true, yes, 1; false, no, 0); None for other values.

    >>> truth(True), truth("No"), truth("1.0"), truth("hate")
    (True, False, True, None)
    """
    number = _number(value)
    if number is not None:
        return {0.0: False, 1.0: True}.get(number)
    return TRUTHS.get(str(value).strip().lower())


def _number(value: Any) -> float | None:
    """The number that a value is or spells; None for a boolean and for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    number = plain(value)
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    return float(number) if is_number else None


def _check_condition(name: str, condition: Any) -> None:
    if isinstance(condition, bool | str | int | float):
        return
    ends = list(condition) if isinstance(condition, list | tuple) else []
    numbers = [end for end in ends if isinstance(end, int | float) and not isinstance(end, bool)]
    if len(ends) != 2 or len(numbers) + ends.count(None) != 2:
        raise ConfigError(
            f"filter {name}={condition!r} is neither a range nor a value",
            remedy="Give [low, high], a text, true or false.",
        )
    if len(numbers) == 2 and numbers[0] > numbers[1]:
        raise ConfigError(
            f"filter {name}={condition!r}: the range is empty", remedy="Put the lower end first."
        )


def _nothing_left(
    name: str, condition: Any, read: int, before: list[Prompt], having: list[Prompt]
) -> DataError:
    without = len(before) - len(having)
    lacking = f", {without} of them without this attribute" if without else ""
    return DataError(
        f"no prompts left: of {read} read, {len(before)} came to the filter "
        f"{name}={condition!r}{lacking} and none passed it",
        remedy=_values([prompt.meta[name] for prompt in having]),
    )


def _values(values: Sequence[Any]) -> str:
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in flat):
        return f"Its values go from {min(flat):.4g} to {max(flat):.4g}."
    names = sorted({str(value) for value in flat})
    if len(names) > 20:
        return f"It has {len(names)} different values."
    return f"Its values are {', '.join(names)}."


def _warn(without: int, of: int, name: str) -> None:
    warnings.warn(
        f"{without} of {of} prompts have no {name!r} and were left out by the filter on it",
        LeftOutWarning,
        stacklevel=4,
    )
