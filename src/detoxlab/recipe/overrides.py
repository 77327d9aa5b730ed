"""Settings written as `a.b=c`: reads `--set` for every command and for recipes."""

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from detoxlab.errors import ConfigError

EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def with_overrides(content: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of `content` with each `key.sub=value` set; see `value_of` for the values.

    An entry of a list is named by its index or its `name`; a missing group is made. Raises
    `ConfigError` for a text that is no `key=value`, and for a key that is in no group.

    >>> with_overrides({"a": {"b": 1}, "v": [{"name": "ft"}]}, ["a.b=2e-3", "v.ft.c=[x]"])
    {'a': {'b': 0.002}, 'v': [{'name': 'ft', 'c': ['x']}]}
    """
    result = copy.deepcopy(dict(content))
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise ConfigError(
                f"--set {override}: not of the form key=value",
                remedy=f"Write --set {override.strip('=') or 'KEY'}=VALUE.",
            )
        *groups, last = key.split(".")
        node: Any = result
        for group in groups:
            node = _enter(node, group, override)
        if not isinstance(node, dict):
            raise ConfigError(f"--set {override}: {'.'.join(groups)} takes no keys")
        node[last] = value_of(value)
    return result


def value_of(text: str) -> Any:
    """A value as YAML reads it, except that `1e-3`, a text in YAML 1.1, is a number.

    >>> value_of("4"), value_of("1e-3"), value_of("none"), value_of("[a, b]"), value_of("")
    (4, 0.001, 'none', ['a', 'b'], None)
    """
    if EXPONENT.fullmatch(text):
        return float(text)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{text!r} is no YAML value", remedy="Put it in quotes.") from None


def _enter(node: Any, key: str, override: str) -> Any:
    if isinstance(node, list):
        for position, item in enumerate(node):
            if key == str(position) or (isinstance(item, dict) and item.get("name") == key):
                return item
        names = ", ".join(str(item.get("name")) for item in node if isinstance(item, dict))
        raise ConfigError(f"--set {override}: no entry {key!r}", remedy=f"Known: {names}.")
    if not isinstance(node, dict):
        raise ConfigError(f"--set {override}: {key!r} is no group of keys")
    if node.get(key) is None:
        node[key] = {}
    return node[key]
