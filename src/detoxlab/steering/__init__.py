"""Methods that change decoding rather than weights.

A name is KIND:WHAT, as `detoxlab measure MODEL --steer nado:RUN` takes it.
"""

from collections.abc import Callable
from typing import Any

from detoxlab.errors import ConfigError
from detoxlab.generate import Steering
from detoxlab.registry import look_up, with_entry_points


def _nado(where: str, strength: float) -> Steering:
    from detoxlab.steering.nado import Nado

    return Nado.load(where, strength=strength)


STEERINGS: dict[str, Callable[..., Any]] = with_entry_points("detoxlab.steering", {"nado": _nado})

__all__ = ["STEERINGS", "load_steering"]


def load_steering(name: str, *, strength: float = 1.0) -> Steering:
    """The steering that `name` (KIND:WHAT) means, at a strength; 0 changes nothing.

    Raises `ConfigError` for a name without kind, `UnknownNameError` for an unknown kind, and
    the kind's own errors.
    """
    kind, colon, where = name.partition(":")
    if not (colon and where):
        raise ConfigError(f"steer {name!r}: not of the form KIND:WHAT", remedy="E.g. nado:RUN.")
    steering: Steering = look_up("steering", kind, STEERINGS)(where, strength)
    return steering
