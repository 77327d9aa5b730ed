"""Decides how rows that repeat a prompt are read: as samples, as prompts, or not at all."""

import itertools
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from detoxlab.data.source import LeftOutWarning
from detoxlab.errors import ConfigError

Repeats = Literal["auto", "samples", "apart", "first"]


class RepeatWarning(UserWarning):
    """Rows that repeat a prompt were read as prompts, since not every prompt has as many."""


@dataclass(frozen=True)
class Repetition:
    """How the rows that repeat an earlier row's prompt were read, and their number.

    `read_as` is "samples", "apart" or "first"; `names` are the prompt ids of the rows, None for
    a row that is left out.
    """

    read_as: str
    rows: int
    repeated: int
    names: tuple[str | None, ...]

    def facts(self) -> dict[str, Any]:
        """The run's record of repetitions; empty where no row repeats a prompt."""
        if not self.repeated:
            return {}
        return {"rows": self.rows, "repeated_rows": self.repeated, "repeats": self.read_as}

    def say(self, file: str) -> None:
        """Warn of rows that were told apart or left out."""
        count = f"{file}: {self.repeated} of {self.rows} rows repeat an earlier row's prompt and"
        if self.repeated and self.read_as == "apart":
            warnings.warn(
                f"{count} are read as prompts of their own (id#2); --repeats says otherwise",
                RepeatWarning,
                stacklevel=3,
            )
        if self.repeated and self.read_as == "first":
            warnings.warn(f"{count} were left out", LeftOutWarning, stacklevel=3)


def repetition(ids: Sequence[str], repeats: Repeats = "auto") -> Repetition:
    """How rows with these prompt ids are read.

    "samples": the rows that share an id are samples of one prompt. "apart": they are prompts of
    their own. "first": only the first row of a prompt is kept. "auto" is "samples" if every prompt
    has as many rows, because the measures of a prompt (its worst sample) need the same number of
    samples for all; else it is "apart".

    >>> repetition(["a", "b", "a", "b"]).names
    ('a', 'b', 'a', 'b')
    >>> repetition(["a", "b", "a"]).names
    ('a', 'b', 'a#2')
    """
    if repeats not in get_args(Repeats):
        raise ConfigError(
            f"repeats is {repeats!r}", remedy=f"It is one of {', '.join(get_args(Repeats))}."
        )
    read_as: str = repeats
    if repeats == "auto":
        read_as = "samples" if len(set(Counter(ids).values())) <= 1 else "apart"
    return Repetition(read_as, len(ids), len(ids) - len(set(ids)), tuple(_names(ids, read_as)))


def _names(ids: Sequence[str], read_as: str) -> list[str | None]:
    if read_as == "samples":
        return list(ids)
    taken, names = set(ids), list[str | None]()
    seen: Counter[str] = Counter()
    for name in ids:
        seen[name] += 1
        own = name if seen[name] == 1 else None
        if own is None and read_as == "apart":
            numbered = (f"{name}#{number}" for number in itertools.count(seen[name]))
            own = next(one for one in numbered if one not in taken)
            taken.add(own)
        names.append(own)
    return names
