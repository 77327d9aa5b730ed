"""What rows that repeat a prompt are: further samples of it, prompts of their own, or left out."""

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
    """Rows that repeat a prompt were told apart, since not every prompt has as many."""


@dataclass(frozen=True)
class Repetition:
    """How the rows of a file that repeat an earlier row's prompt were read, and how many they are.

    `read_as` is "samples", "apart" or "first"; `names` are the prompt ids that the rows stand
    under, None for a row that is left out.
    """

    read_as: str
    rows: int
    repeated: int
    names: tuple[str | None, ...]

    def facts(self) -> dict[str, Any]:
        """What a run records of it; nothing where no row repeats a prompt."""
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

    "samples" of one prompt are the rows that share its id. Unless told otherwise ("auto") they
    are that only if every prompt has as many rows: the measures of a prompt (its worst sample)
    need the same number of samples for all. Else they are told "apart". "first" leaves out all
    but the first row of a prompt.

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
