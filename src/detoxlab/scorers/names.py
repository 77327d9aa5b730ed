"""The grammar of scorers' names: `name`, `mean(a, 2*b)`, `normalised(a)`, `worst_window(a, 40)`.

Ids have the same form, with revisions: `normalised@1(rtp-neural@1)`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from detoxlab.errors import ConfigError, UnknownNameError
from detoxlab.scorers.guards.names import PREFIX as GUARD
from detoxlab.scorers.guards.names import guard_model

ENSEMBLES = ("mean", "max")
REREADINGS = ("normalised", "worst_window", "mean_window")
EMBEDDED = {
    "rtp-neural": "toxicity and its kinds as Perspective scores them",
    "human-neural": "toxicity as people labelled it",
    "hate-neural": "hate against protected groups",
    "rtp-linear": "Perspective's scores from words alone, the fastest",
    "toxicity-multilingual": "toxicity in eleven languages (needs `make encoders`)",
}
"""The scorers of the package, and what each of them scores."""


class Composed(NamedTuple):
    """A name with brackets: `head`, without a revision, and the parts between its commas."""

    head: str
    parts: list[str]

    @property
    def members(self) -> list[tuple[str, float]]:
        """The scorers' names in the brackets, with their weights.

        >>> Composed("mean", ["2*a", "mean(b, c)"]).members
        [('a', 2.0), ('mean(b, c)', 1.0)]
        >>> Composed("worst_window", ["a", "40"]).members
        [('a', 1.0)]
        """
        if self.head in REREADINGS:
            return [(self.parts[0], 1.0)]
        return [_weighted(part) for part in self.parts]


def composed(name: str) -> Composed | None:
    """The parts of a name or id with brackets; None for the name of a single scorer.

    Raises `UnknownNameError` when nothing is called like the word before the brackets.

    >>> composed("max(a, mean(b, c))"), composed("rtp-linear")
    (Composed(head='max', parts=['a', 'mean(b, c)']), None)
    """
    head, bracket, rest = name.strip().partition("(")
    if not bracket or not rest.endswith(")") or head.startswith(GUARD):
        return None
    head = head.partition("@")[0]
    if head not in (*ENSEMBLES, *REREADINGS):
        raise UnknownNameError("way to combine scorers", head, (*ENSEMBLES, *REREADINGS))
    return Composed(head, _split(rest[:-1]))


def single_scorers(identifier: str) -> frozenset[str]:
    """The names, without revision, of the scorers in an id; an ensemble has several.

    >>> sorted(single_scorers("mean(2*rtp-neural@1,max(rtp-linear@1, org/model@3f2a#hate))"))
    ['org/model', 'rtp-linear', 'rtp-neural']
    >>> single_scorers("worst_window@1(normalised@1(rtp-neural@1),40)")
    frozenset({'rtp-neural'})
    """
    if identifier.strip().startswith(GUARD):
        return frozenset({guard_model(identifier)})
    found = composed(identifier)
    if found is None:
        return frozenset({identifier.partition("@")[0].partition("#")[0].strip()})
    return frozenset().union(*(single_scorers(name) for name, _ in found.members))


def _weighted(part: str) -> tuple[str, float]:
    weight, star, name = part.partition("*")
    return (name, _number(weight, part)) if star and "(" not in weight else (part, 1.0)


def _number(text: str, part: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"ensemble member {part.strip()!r}: {text.strip()!r} is not a weight",
            remedy="Write it as NUMBER*SCORER, for instance mean(2*rtp-neural, rtp-linear).",
        ) from None


def learnt_from(identifier: str, training: Iterable[str]) -> str:
    """The scorers in an id that are also in the ids of `training`; empty for none.

    >>> learnt_from("mean(rtp-neural@1,a@2)", ["max(a@1,b@1)"]), learnt_from("a@1", [])
    ('a', '')
    """
    known = [single_scorers(name) for name in training]
    return ", ".join(sorted(single_scorers(identifier) & frozenset().union(*known)))


def _split(inside: str) -> list[str]:
    """The parts between commas that stand outside of brackets.

    >>> _split("a, mean(b, c), d")
    ['a', 'mean(b, c)', 'd']
    """
    parts, depth = [""], 0
    for character in inside:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
