"""The differences between the settings of a run and those with which it is resumed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile, zip_longest
from pathlib import Path
from typing import Any

UNSET = "unset"
SHOWN = 6


def changes(
    then: Mapping[str, Any], now: Mapping[str, Any], folder: Path | None = None
) -> list[str]:
    """The settings that differ, each with both values; empty when none does.

    A setting that one side leaves out counts as None. With `folder`, the folder in which `then` was
    written, two relative paths are the same when they lead to the same file.

    >>> changes({"sampling": {"k": 5, "top_p": 1}}, {"sampling": {"k": 4, "top_p": 1}})
    ['sampling.k: 5 then, 4 now']
    """
    return list(_changes(then, now, "", folder))


def listed(found: Sequence[str]) -> str:
    """The changes on one line, the first few of many.

    >>> listed(["k: 5 then, 4 now", "seed: 0 then, 1 now"])
    'k: 5 then, 4 now; seed: 0 then, 1 now'
    """
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more


def canonical(value: Any) -> str:
    """The value as JSON with sorted keys: equal settings give equal text.

    >>> canonical({"b": (1, 2), "a": None})
    '{"a": null, "b": [1, 2]}'
    """
    return json.dumps(value, sort_keys=True, default=str)


def shortened(value: Any, limit: int = 80) -> str:
    """The value for an error message, cut to `limit` characters."""
    return _cut(canonical(value), limit)


# --- inside ---


def _changes(then: Any, now: Any, name: str, folder: Path | None) -> Iterator[str]:
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*then, *now]):
            inner = f"{name}.{key}" if name else str(key)
            yield from _changes(then.get(key), now.get(key), inner, folder)
    elif _is_list(then) and _is_list(now):
        for at, (one, other) in enumerate(zip_longest(then, now)):
            yield from _changes(one, other, f"{name}.{at}", folder)
    elif canonical(then) != canonical(now) and not _same_file(then, now, folder):
        yield f"{name}: {_shown(then, now)} then, {_shown(now, then)} now"


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _same_file(then: Any, now: Any, folder: Path | None) -> bool:
    if folder is None or not (isinstance(then, str) and isinstance(now, str)):
        return False
    before, after = folder / then, Path(now)
    return before.exists() and after.exists() and before.samefile(after)


def _shown(value: Any, other: Any, limit: int = 80) -> str:
    """The value; for a long text, the part in which it differs from the other one."""
    if value is None:
        return UNSET
    text, against = canonical(value), canonical(other)
    if len(text) <= limit:
        return text
    same = takewhile(lambda pair: pair[0] == pair[1], zip(text, against, strict=False))
    start = max(0, len(list(same)) - limit // 2)
    return ("…" if start else "") + _cut(text[start:], limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
