"""The name of a steering in settings: KIND:WHERE, or KIND:WHERE@STRENGTH.

Nothing here imports torch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from detoxlab.errors import ConfigError
from detoxlab.models.adapters.load import Adapter, find_adapter

SEVERAL = "+"
EXPERTS = {"dexperts": ("EXPERT", "ANTI"), "anti-expert": ("ANTI",)}
"""The places that the name of a kind of experts holds, in order, with `SEVERAL` between them."""


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

    @property
    def places(self) -> list[str]:
        """The places of its data: one, or several where its kind has several.

        >>> SteeringName.parse("dexperts:good+bad@2").places
        ['good', 'bad']
        """
        several = len(EXPERTS.get(self.kind, ())) > 1
        return self.where.split(SEVERAL) if several else [self.where]

    def __str__(self) -> str:
        suffix = "" if self.strength is None else f"@{self.strength}"
        return f"{self.kind}:{self.where}{suffix}"


def with_place(name: str, place: Callable[[str], str]) -> str:
    """The name with another path to its data, or to each of them where its kind has several.

    >>> with_place("nado:aux@0.5", "runs/{}".format)
    'nado:runs/aux@0.5'
    >>> with_place("dexperts:good+bad", "runs/{}".format)
    'dexperts:runs/good+runs/bad'
    """
    parsed = SteeringName.parse(name)
    return str(replace(parsed, where=SEVERAL.join(map(place, parsed.places))))


def check_strength(strength: float) -> None:
    """Raises `ConfigError` for a strength below 0."""
    if strength < 0:
        raise ConfigError(f"strength is {strength:g}", remedy="It must be 0 or above.")


def find_experts(kind: str, where: str) -> tuple[Adapter, ...]:
    """The adapters that the name of a kind of experts holds.

    Raises `ConfigError` for another number of them, `ModelError` where there is no adapter.
    """
    wanted, places = EXPERTS[kind], where.split(SEVERAL)
    if len(places) != len(wanted) or not all(places):
        form = SEVERAL.join(wanted)
        raise ConfigError(f"steer {kind}:{where}: not of the form {kind}:{form}")
    return tuple(map(find_adapter, places))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
