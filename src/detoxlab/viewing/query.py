"""The state of a page as the query string of its URL, which is hostile input."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args
from urllib.parse import parse_qs, urlencode

from detoxlab.viewing.rows.pairing import Choice, Moved, Order

MOST_TEXT = 200
MOST_PAGE = 1_000_000
Q = TypeVar("Q", bound="Query")

SORTS = ("run", "model", "status", "when", "responses", "toxic", "scored")
CHOICES: Mapping[str, Sequence[str]] = {
    "moved": get_args(Moved),
    "order": get_args(Order),
    "sort": SORTS,
}


@dataclass(frozen=True)
class Query:
    """The part of the state that every page has: the pinned baseline, and a text to look for."""

    baseline: str = ""
    text: str = ""

    @classmethod
    def of(cls: type[Q], query: str) -> Q:
        """The state in a query string; what is unknown or not valid is as if it were not there."""
        given = parse_qs(query, errors="surrogateescape", max_num_fields=100)
        fields = {field.name: field for field in dataclasses.fields(cls)}
        values = {
            name: value
            for name, texts in given.items()
            if name in fields
            and (value := _read(name, fields[name].default, texts[-1])) is not None
        }
        return cls(**values)

    def url(self, path: str, **changed: Any) -> str:
        """A URL of this state with changes; what is as usual is left out.

        >>> RowsQuery(run="ft", baseline="base", page=3).url("/run", moved="up", page=1)
        '/run?baseline=base&run=ft&moved=up'
        """
        state = dataclasses.replace(self, **changed)
        said = {
            field.name: getattr(state, field.name)
            for field in dataclasses.fields(state)
            if getattr(state, field.name) != field.default
        }
        text = urlencode(said, errors="surrogateescape")
        return f"{path}?{text}" if text else path


@dataclass(frozen=True)
class ListQuery(Query):
    """The state of the list of runs. `status` may also be "problem"."""

    kind: str = ""
    status: str = ""
    sort: str = "run"
    down: bool = False


@dataclass(frozen=True)
class RowsQuery(Query):
    """The state of the page of one run, or of two if a baseline is pinned."""

    run: str = ""
    moved: Moved = ""
    guard: str = ""
    group: str = ""
    low: float | None = None
    high: float | None = None
    order: Order = "file"
    page: int = 1

    @property
    def choice(self) -> Choice:
        """The choice among rows, but for the text."""
        return Choice(self.moved, self.guard, self.group, self.low, self.high, self.order)


def _read(name: str, usual: Any, text: str) -> Any:
    """The value of a field; None where the text is no such value."""
    if name in CHOICES:
        return text if text in CHOICES[name] else None
    if isinstance(usual, bool):
        return text in ("True", "1")
    if isinstance(usual, int):
        fits = text.isascii() and text.isdecimal() and len(text) < 9
        return max(1, min(int(text), MOST_PAGE)) if fits else None
    if usual is None:
        return _number(text)
    return text[:MOST_TEXT] if name == "text" else text


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
