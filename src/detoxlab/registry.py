"""Plain visible dicts that third parties extend by entry points."""

import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any, TypeVar

from detoxlab.errors import ConfigError, UnknownNameError

T = TypeVar("T")


def with_entry_points(group: str, built_in: Mapping[str, T]) -> dict[str, T]:
    """The built-in entries and those that installed packages add under `group`.

    Raises `ConfigError` when a name is taken twice.
    """
    entries = dict(built_in)
    for point in importlib.metadata.entry_points(group=group):
        if point.name in entries:
            raise ConfigError(
                f"{group}: {point.name!r} is registered twice (again by {point.value})",
                remedy="Uninstall one of the packages that bring it.",
            )
        entries[point.name] = point.load()
    return entries


def found_at(place: str) -> Any:
    """The object at "package.module:name", whose module is imported now.

    >>> found_at("math:tau")
    6.283185307179586
    """
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def look_up(kind: str, name: str, entries: Mapping[str, T]) -> T:
    """The entry called `name`; `UnknownNameError` with the nearest name otherwise."""
    try:
        return entries[name]
    except KeyError:
        raise UnknownNameError(kind, name, entries) from None
