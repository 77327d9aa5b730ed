"""Methods that change decoding or activations rather than weights.

`STEERINGS` holds all kinds: name → loader, a function of the place of the data and the strength.
Packages add theirs by the entry point group `detoxlab.steerings` (docs/steering.md). A name is
KIND:WHERE, as `detoxlab measure MODEL --steer nado:RUN` takes it.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from detoxlab.auxiliary.config import find_head
from detoxlab.registry import look_up, with_entry_points
from detoxlab.steering.activations.files import find_steering
from detoxlab.steering.base import Steering
from detoxlab.steering.names import EXPERTS, SteeringName, find_experts, with_place

Loader = Callable[[str, float], Steering]


def _nado(where: str, strength: float) -> Steering:
    from detoxlab.steering.nado import Nado

    return Nado.load(where, strength=strength)


def _activations(kind: str) -> Loader:
    def load(where: str, strength: float) -> Steering:
        from detoxlab.steering.activations.session import ActivationSteering

        return ActivationSteering.load(kind, where, strength=strength)

    return load


def _find(kind: str, where: str) -> Path:
    return find_steering(Path(where), kind)


ACTIVATIONS = ("ablation", "aura", "caa", "iti", "linear-act", "lineas", "mean-act")
"""Kinds that change activations, each by the name of the method that fits it."""


def _sasa(where: str, strength: float) -> Steering:
    from detoxlab.steering.sasa import Sasa

    return Sasa.load(where, strength=strength)


def _experts(where: str, strength: float, *, kind: str) -> Steering:
    from detoxlab.steering.experts import Experts

    return Experts.load(kind, where, strength=strength)


BUILT_IN: dict[str, Loader] = {
    "nado": _nado,
    "sasa": _sasa,
    **{kind: _activations(kind) for kind in ACTIVATIONS},
    **{kind: partial(_experts, kind=kind) for kind in EXPERTS},
}
STEERINGS: dict[str, Loader] = with_entry_points("detoxlab.steerings", BUILT_IN)
CHECKS: dict[str, Callable[[str], Any]] = {
    "nado": lambda where: find_head(Path(where)),
    **{kind: partial(_find, kind) for kind in ("sasa", *ACTIVATIONS)},
    **{kind: partial(find_experts, kind) for kind in EXPERTS},
}
"""By kind: raises what can be known to be wrong with a place without loading torch."""
FITTED_BY = {"nado": "auxiliary", "sasa": "sasa", **{kind: kind for kind in ACTIVATIONS}}
"""The method that fits the data of a kind."""

__all__ = ["FITTED_BY", "STEERINGS", "Steering", "check_steering", "load_steering", "with_place"]


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
        check(named.where)
