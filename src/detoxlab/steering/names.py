"""The name of a steering in settings: KIND:WHERE, or KIND:WHERE@STRENGTH."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from detoxlab.errors import ConfigError


@dataclass(frozen=True)
class SteeringName:
    """A kind of steering, the place of its data, and its strength where the name has one.

    >>> str(SteeringName.parse("nado:runs/aux@0.5"))
    'nado:runs/aux@0.5'
    """

    kind: str
    where: str
    strength: float | None = None

    @classmethod
    def parse(cls, text: str) -> "SteeringName":
        """The parts of a name; raises `ConfigError` unless both kind and place are there.

        >>> SteeringName.parse("nado:me@work/aux")
        SteeringName(kind='nado', where='me@work/aux', strength=None)
        """
        kind, _, rest = text.partition(":")
        where, at, number = rest.rpartition("@")
        strength = _number(number) if at else None
        if strength is None:
            where = rest
        if not (kind and where):
            raise ConfigError(f"steer {text!r}: not of the form KIND:WHAT", remedy="E.g. nado:RUN.")
        return cls(kind, where, strength)

    def __str__(self) -> str:
        suffix = "" if self.strength is None else f"@{self.strength}"
        return f"{self.kind}:{self.where}{suffix}"


def with_place(name: str, place: Callable[[str], str]) -> str:
    """The name with another path to its data.

    >>> with_place("nado:aux@0.5", "runs/{}".format)
    'nado:runs/aux@0.5'
    """
    parsed = SteeringName.parse(name)
    return str(replace(parsed, where=place(parsed.where)))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
