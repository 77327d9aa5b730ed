"""Turns keywords into settings: each goes to the field of its name, also in a group."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from detoxlab.errors import UnknownNameError


def placed(
    given: Mapping[str, Any], kind: type[BaseModel], groups: Mapping[str, type[BaseModel]]
) -> dict[str, Any]:
    """`given` as settings of `kind`; other keywords go into the first group that has the field.

    A group may be given too: as a mapping, as settings, or as a text that names its `source`.
    Raises `UnknownNameError` with the nearest name.

    >>> from detoxlab.recipe.measuring import MeasureSettings, SamplingSettings
    >>> from detoxlab.data.settings import PromptSettings
    >>> groups = {"prompts": PromptSettings, "sampling": SamplingSettings}
    >>> placed({"prompts": "embedded", "limit": 5, "seed": 1, "k": 2}, MeasureSettings, groups)
    {'prompts': {'source': 'embedded', 'limit': 5}, 'seed': 1, 'sampling': {'k': 2}}
    """
    own = {name: value for name, value in given.items() if name in kind.model_fields}
    made = {name: _group(value) if name in groups else value for name, value in own.items()}
    for name, value in given.items():
        if name not in own:
            made.setdefault(_home(name, kind, groups), {})[name] = value
    return made


def _group(value: Any) -> Any:
    if isinstance(value, str):
        return {"source": value}
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_unset=True)
    return dict(value) if isinstance(value, Mapping) else value


def _home(name: str, kind: type[BaseModel], groups: Mapping[str, type[BaseModel]]) -> str:
    for group, inner in groups.items():
        if name in inner.model_fields:
            return group
    inside = [field for inner in groups.values() for field in inner.model_fields]
    raise UnknownNameError("setting", name, {*kind.model_fields, *inside})
