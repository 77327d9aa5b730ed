"""A source of prompts, dialogues or pairs: where its rows are and how they are read."""

import difflib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from detoxlab.data.files import find_files
from detoxlab.data.tabular import TableRow, read_rows, value_of
from detoxlab.errors import ConfigError, DataError, MissingFileError
from detoxlab.records import Dialogue, Preference, Prompt

T = TypeVar("T")
Items = TypeVar("Items")

Located = tuple[str, T]
"""A record with the place it was read from, `file:line`."""


class LeftOutWarning(UserWarning):
    """Rows that were read but not used; the message gives their number and the reason."""


@dataclass(frozen=True)
class DialogueSet:
    """The dialogues to learn from, and the odd ones left out, each as (id, reason)."""

    dialogues: list[Dialogue]
    rejected: list[tuple[str, str]]


@dataclass(frozen=True)
class PreferenceSet:
    """The preference pairs to learn from, and the odd ones left out, each as (id, reason)."""

    pairs: list[Preference]
    rejected: list[tuple[str, str]]


@dataclass(frozen=True)
class Source(Generic[Items]):
    """A data set by name.

    `parse` turns rows into records. `rows` reads one file. `patterns` match the names of its files
    in a folder; `many` says that they belong together. When the user gives no path, the rows are
    at `location`, or under the id `hub` on the Hugging Face hub; without either, `where` tells the
    user how to get them.
    """

    parse: Callable[[Sequence[TableRow]], Items]
    rows: Callable[[Path], list[TableRow]] = read_rows
    patterns: tuple[str, ...] = ()
    many: bool = False
    hub: str | None = None
    location: Path | None = None
    where: str = ""

    def files(self, name: str, path: Path | None) -> list[Path]:
        """The files to read; none for a source on the hub. Raises `MissingFileError`."""
        place = path or self.location
        if place is not None:
            return find_files(place.expanduser(), self.patterns, what=name, many=self.many)
        if self.hub is not None:
            return []
        raise MissingFileError(f"{name}: its files were not given", remedy=self.where)


PromptSource = Source[Iterable[Located[Prompt]]]
DialogueSource = Source[DialogueSet]
PreferenceSource = Source[PreferenceSet]


class Identified(Protocol):
    """A record with an id."""

    @property
    def id(self) -> str: ...


Record = TypeVar("Record", bound=Identified)


def sift(
    found: Sequence[tuple[str, Record, str]],
    oddity: Callable[[Record], str],
    *,
    kind: str,
    remedy: str,
) -> tuple[list[Record], list[tuple[str, str]]]:
    """The well-formed records, and (id, reason) of odd and of repeated ones.

    Each comes with its place and, from the layout, a reason already found or "". Raises
    `DataError` when two different records have one id, or when nothing is left.
    """
    first: dict[str, tuple[str, Record]] = {}
    good, rejected = [], []
    for place, record, found_reason in found:
        earlier_place, earlier = first.setdefault(record.id, (place, record))
        if earlier is not record and earlier != record:
            raise DataError(
                f"{place}: {kind} id {record.id!r} was already given at {earlier_place}",
                remedy="Ids must be distinct: repair them, or leave out the id column.",
            )
        repeated = "" if earlier is record else f"repeats an earlier {kind}"
        if reason := found_reason or repeated or oddity(record):
            rejected.append((record.id, reason))
        else:
            good.append(record)
    if not good:
        raise DataError(
            f"{found[0][0]}: no {kind} left, all {len(rejected)} are odd; "
            f"the first: {rejected[0][1]}",
            remedy=remedy,
        )
    return good, rejected


def with_text(rows: Sequence[TableRow], columns: Iterable[str], source: str) -> Sequence[TableRow]:
    """The rows with a text in each of the columns; a `LeftOutWarning` tells how many have none.

    All rows where none has a text: reading them is an error.
    """
    names = list(columns)
    filled = [row for row in rows if all(_is_filled(value_of(row, name)) for name in names)]
    if len(filled) < len(rows):
        warnings.warn(
            f"{source}: {len(rows) - len(filled)} of {len(rows)} rows have no text in column "
            f"{' or '.join(map(repr, names))} and were left out",
            LeftOutWarning,
            stacklevel=5,
        )
    return filled or rows


def _is_filled(text: object) -> bool:
    return bool(text.strip()) if isinstance(text, str) else text is not None


def check_limit(limit: int | None) -> None:
    """Raise `ConfigError` unless the limit is None or at least 1."""
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}", remedy="It must be at least 1.")


def sample(items: Sequence[T], limit: int | None, seed: int) -> list[T]:
    """`limit` of the items, drawn by the seed, in their own order; all when there are fewer.

    A smaller limit with the same seed gives a subset of a larger one.

    >>> sample("abcdef", 3, seed=0), sample("abcdef", 9, seed=0)
    (['c', 'd', 'f'], ['a', 'b', 'c', 'd', 'e', 'f'])
    """
    check_limit(limit)
    if limit is None or limit >= len(items):
        return list(items)
    import numpy as np

    chosen = np.random.default_rng(seed).permutation(len(items))[:limit]
    return [items[index] for index in sorted(chosen)]


def stratified_sample(
    items: Sequence[T], strata: Sequence[str], limit: int | None, seed: int
) -> list[T]:
    """`limit` of the items, as `sample`, but of each stratum its share, give or take one.

    Every item is as likely to be drawn as any other. `strata` names the stratum of each item. A
    smaller limit with the same seed gives a subset of a larger one.

    >>> sorted(stratified_sample("aaaaaabbb", "aaaaaabbb", 3, seed=0))
    ['a', 'a', 'b']
    """
    check_limit(limit)
    if limit is None or limit >= len(items):
        return list(items)
    import numpy as np

    rng = np.random.default_rng(seed)
    place_N = np.empty(len(items))
    for name in sorted(set(strata)):
        index = [at for at, stratum in enumerate(strata) if stratum == name]
        place_N[rng.permutation(index)] = (np.arange(len(index)) + rng.random()) / len(index)
    chosen = np.argsort(place_N, kind="stable")[:limit]
    return [items[index] for index in sorted(chosen)]


def check_ids(located: Iterable[Located[Prompt]], *, may_repeat: bool = False) -> list[Prompt]:
    """The prompts; `DataError` with both places when two have the same id.

    With `may_repeat`, prompts that also have the same text may share an id.
    """
    first: dict[str, Located[Prompt]] = {}
    prompts = []
    for place, prompt in located:
        earlier_place, earlier = first.setdefault(prompt.id, (place, prompt))
        same = earlier.text == prompt.text
        if earlier is not prompt and not (may_repeat and same):
            leave_out = "leave them out with deduplicate" if same else "leave out the id column"
            raise DataError(
                f"{place}: prompt id {prompt.id!r} was already given at {earlier_place}",
                remedy=f"Ids must be distinct: repair them, or {leave_out}.",
            )
        prompts.append(prompt)
    return prompts


def with_distinct_texts(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts without those whose text an earlier one has."""
    first: dict[str, Prompt] = {}
    for prompt in prompts:
        first.setdefault(prompt.text, prompt)
    return list(first.values())


def nearest_remedy(name: str, known: Sequence[str]) -> str:
    """The nearest of the known names, and all of them."""
    nearest = difflib.get_close_matches(name, known, n=1)
    guess = f"Did you mean {nearest[0]!r}? " if nearest else ""
    return f"{guess}Known: {', '.join(known) or 'none'}."


def known_meta(prompts: Iterable[Prompt]) -> list[str]:
    """The names of all meta attributes, sorted."""
    return sorted({name for prompt in prompts for name in prompt.meta})


def without_missing(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The entries whose value is not None."""
    return {name: value for name, value in meta.items() if value is not None}
