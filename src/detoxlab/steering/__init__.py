"""Methods that change decoding or activations rather than weights.

`STEERINGS` holds all kinds: name → loader, a function of the place of the data and the strength.
Packages add theirs by the entry point group `detoxlab.steerings` (docs/steering.md). A name is
KIND:WHERE, as `detoxlab measure MODEL --steer nado:RUN` takes it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from detoxlab.auxiliary.config import find_head
from detoxlab.registry import look_up, with_entry_points
from detoxlab.steering.base import Steering
from detoxlab.steering.names import SteeringName, with_place

Loader = Callable[[str, float], Steering]


def _nado(where: str, strength: float) -> Steering:
    from detoxlab.steering.nado import Nado

    return Nado.load(where, strength=strength)


STEERINGS: dict[str, Loader] = with_entry_points("detoxlab.steerings", {"nado": _nado})
CHECKS: dict[str, Callable[[Path], Any]] = {"nado": find_head}
"""By kind: raises what can be known to be wrong with a place without loading torch."""

__all__ = ["STEERINGS", "Steering", "check_steering", "load_steering", "with_place"]


def load_steering(name: str, *, strength: float = 1.0) -> Steering:
    """The steering that `name` means, at the name's strength or else this one; 0 changes nothing.

    Raises `ConfigError` for a name without kind or place, `UnknownNameError` for an unknown kind,
    and the kind's own errors.
    """
    named = SteeringName.parse(name)
    loader = look_up("steering", named.kind, STEERINGS)
    return loader(named.where, strength if named.strength is None else named.strength)


def check_steering(name: str) -> None:
    """Raises the errors of `load_steering` that can be found without torch."""
    named = SteeringName.parse(name)
    look_up("steering", named.kind, STEERINGS)
    if check := CHECKS.get(named.kind):
        check(Path(named.where))
