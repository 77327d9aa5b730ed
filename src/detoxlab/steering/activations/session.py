"""The steering of activations by the maps of a run, at every site in each forward pass."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from detoxlab.errors import ConfigError, ModelError
from detoxlab.models.language_model import LanguageModel, evaluating
from detoxlab.models.layouts.hooks import visiting
from detoxlab.models.layouts.sites import Site, sites_of
from detoxlab.models.session import Session, Tokens
from detoxlab.steering.activations.files import (
    Content,
    Positions,
    SiteMap,
    find_steering,
    read_content,
    read_maps,
    steering_sha256,
)
from detoxlab.steering.activations.maps import MAPS


@dataclass(frozen=True)
class Placed:
    """The sites of a steering in one model, in order, and their maps by key, on its device."""

    sites: tuple[Site, ...]
    maps: Mapping[str, SiteMap]


@dataclass(frozen=True)
class ActivationSteering:
    """The steering in `folder`, as a `Steering` of any model with its sites and widths.

    Strength 0 puts no hook on the model.
    """

    folder: Path
    strength: float = 1.0
    _placed: WeakKeyDictionary[Any, Placed] = field(
        default_factory=WeakKeyDictionary, compare=False, repr=False
    )

    @classmethod
    def load(cls, kind: str, where: str | Path, *, strength: float = 1.0) -> "ActivationSteering":
        """The steering that a run of the method `kind` left.

        Raises `ModelError` where there is none, `ConfigError` for another kind and for a strength
        below 0.
        """
        if strength < 0:
            raise ConfigError(f"strength is {strength:g}", remedy="It must be 0 or above.")
        return cls(find_steering(Path(where), kind), strength)

    @cached_property
    def content(self) -> Content:
        """The content of its `steering.json`."""
        return read_content(self.folder)

    @cached_property
    def id(self) -> str:
        """KIND@HASH*STRENGTH, with one hash for vectors, sites and data."""
        sha256 = steering_sha256(self.folder)
        return f"{self.content.kind}@{sha256[:8]}*{self.strength:g}"

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """The scorers that chose its texts; none where the texts' own labels did."""
        return self.content.training_scorers

    @contextlib.contextmanager
    def on(self, lm: LanguageModel) -> Iterator[Session]:
        """Hooks at the sites. Raises `ModelError` for a model without them, or of other widths."""
        placed = self.on_model(lm)
        if self.strength == 0:
            yield Session()
            return
        session = ActivationSession(placed.maps, self.content.positions, self.strength)
        with visiting(placed.sites, session.steer):
            yield session

    def on_model(self, lm: LanguageModel) -> Placed:
        """The sites in the model and their maps, found once; errors as `on`."""
        if lm.model not in self._placed:
            self._placed[lm.model] = self._place(lm)
        return self._placed[lm.model]

    def _place(self, lm: LanguageModel) -> Placed:
        maps = {
            key: SiteMap(one.map, {n: v.to(lm.device) for n, v in one.vectors.items()})
            for key, one in read_maps(self.folder).items()
        }
        keys = [key.partition(".") for key in maps]
        names = list(dict.fromkeys(name for _, _, name in keys))
        layers = sorted({int(layer) for layer, _, _ in keys})
        sites = tuple(site for site in sites_of(lm, names, layers) if site.key in maps)
        missing = maps.keys() - {site.key for site in sites}
        if missing:
            raise ModelError(
                f"{lm.id}: has no site {min(missing)}",
                remedy=f"The steering was fitted on {self.content.facts.get('model')}.",
            )
        _check_widths(lm, sites, maps, str(self.content.facts.get("model")))
        return Placed(sites, maps)


class ActivationSession(Session):
    """Steers the tokens of one batch: those that are read at a time, never the padding."""

    def __init__(self, maps: Mapping[str, SiteMap], positions: Positions, strength: float) -> None:
        self.maps, self.positions, self.strength = maps, positions, strength
        self.chosen_BT1: Tensor | None = None

    def reading(self, tokens: Tokens) -> None:
        """Note which tokens of the coming pass are steered."""
        chosen_BT = tokens.is_text_BT if self.positions == "all" else tokens.is_response_BT
        self.chosen_BT1 = None if bool(chosen_BT.all()) else chosen_BT[:, :, None]

    def steer(self, site: Site, z_BTD: Tensor) -> Tensor:
        """The activation of a site, changed at the tokens that are steered."""
        one = self.maps[site.key]
        moved_BTD = MAPS[one.map](z_BTD, self.strength, one.vectors).to(z_BTD.dtype)
        if self.chosen_BT1 is None:
            return moved_BTD
        return torch.where(self.chosen_BT1, moved_BTD, z_BTD)


def _check_widths(
    lm: LanguageModel, sites: tuple[Site, ...], maps: Mapping[str, SiteMap], fitted_on: str
) -> None:
    """Raise `ModelError` at the first site whose activation is not as wide as its vectors."""

    def check(site: Site, z_BTD: Tensor) -> None:
        for vector in maps[site.key].vectors.values():
            if vector.shape != z_BTD.shape[-1:]:
                raise ModelError(
                    f"{lm.id}: {site.key} is {z_BTD.shape[-1]} wide, its vectors {len(vector)}",
                    remedy=f"The steering was fitted on {fitted_on}.",
                )

    ids = torch.tensor([lm.prompt_ids("Hello", chat=False)], device=lm.device)
    with evaluating(lm), visiting(sites, check):
        lm.model(input_ids=ids, use_cache=False)
