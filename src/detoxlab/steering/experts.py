"""DExperts: the logits move towards an expert's and away from an anti-expert's.

    z = z_base + strength * (z_expert - z_anti)
    z = z_base + strength * (z_base - z_anti)      the anti-expert alone

Experts are LoRA adapters of the model's own base, which stays in memory once. Which tokens may be
drawn is up to the base: top-k and top-p are applied to its logits, not to the sum.

Source: Liu et al. 2021, "DExperts: Decoding-Time Controlled Text Generation with Experts and
Anti-Experts" (arXiv 2105.03023), equations 2 and 3. There the experts are models of their own.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from detoxlab.models import LanguageModel, Session, Tokens
from detoxlab.models.adapters.factors import Factors, read_factors
from detoxlab.models.adapters.load import Adapter
from detoxlab.models.cache import (
    forward_last,
    select_rows,
    shared_among_samples,
    step_inputs,
    whole_inputs,
)
from detoxlab.models.hidden import unwatched
from detoxlab.models.sources import weights_sha256
from detoxlab.steering.names import check_strength, find_experts

ROOM = 32
"""Tokens for which an expert's cache has room at first; it grows."""


@dataclass(frozen=True)
class Experts:
    """An expert and an anti-expert, or an anti-expert alone, as a `Steering` of their base."""

    expert: Adapter | None
    anti: Adapter
    strength: float = 1.0
    _factors: WeakKeyDictionary[Any, list[Factors]] = field(
        default_factory=WeakKeyDictionary, compare=False, repr=False
    )

    @classmethod
    def load(cls, kind: str, where: str, *, strength: float = 1.0) -> "Experts":
        """`dexperts` at EXPERT+ANTI, or `anti-expert` at ANTI: adapter folders or train runs.

        Raises `ConfigError` for another number of places or a strength below 0, and `ModelError`
        where there is no adapter.
        """
        check_strength(strength)
        *expert, anti = find_experts(kind, where)
        return cls(expert[0] if expert else None, anti, strength)

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """The expert, where there is one, and the anti-expert."""
        return (self.expert, self.anti) if self.expert else (self.anti,)

    @property
    def id(self) -> str:
        """dexperts@HASH-HASH*STRENGTH or anti-expert@HASH*STRENGTH, by the adapters' weights."""
        hashes = "-".join(weights_sha256(one.folder)[:8] for one in self.adapters)
        kind = "dexperts" if self.expert else "anti-expert"
        return f"{kind}@{hashes}*{self.strength:g}"

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """The scorers of the experts' trainings."""
        return tuple(dict.fromkeys(name for one in self.adapters for name in one.train_scorers))

    @property
    def passes_per_token(self) -> int:
        """One of the base and one of each expert; strength 0 asks no expert."""
        return 1 + (len(self.adapters) if self.strength else 0)

    @contextlib.contextmanager
    def on(self, lm: LanguageModel) -> Iterator[Session]:
        """Adds the experts' difference. Raises `ModelError` unless all have one base."""
        if lm.model not in self._factors:
            with lm.as_base():
                self._factors[lm.model] = [read_factors(lm, one) for one in self.adapters]
        readers = [Reader(lm, factors) for factors in self._factors[lm.model]]
        yield ExpertSession(readers, self.strength) if self.strength else Session()


@dataclass
class Reader:
    """One expert, which reads the same tokens as the base with a cache of its own."""

    lm: LanguageModel
    factors: Factors
    cache: Any = None
    is_shared: bool = False

    def logits(self, tokens: Tokens, mask_RT: Tensor | None, like: Tensor) -> Tensor:
        """The expert's logits after the same tokens as those of the base, `like`."""
        inputs = self._inputs(tokens, mask_RT)
        with self.factors.added(self.lm), unwatched():
            if like.ndim == 2:
                found, self.cache = forward_last(self.lm, inputs, self.cache)
                return found
            kept = like.shape[1]
            last = self.lm.last_logits(kept)
            whole: Tensor = self.lm.model(**inputs, **last, use_cache=False).logits
            return whole[:, -kept:].float()

    def select(self, rows_R: Tensor) -> None:
        """Follow the batch: a prompt becomes its samples, finished rows leave."""
        if self.is_shared:
            select_rows(self.cache, rows_R)
        else:
            self.cache, self.is_shared = shared_among_samples(self.cache, rows_R, ROOM), True

    def _inputs(self, tokens: Tokens, mask_RT: Tensor | None) -> dict[str, Any]:
        if self.cache is None:
            return whole_inputs(self.lm, tokens.ids_BT, tokens.positions_BT, mask_RT)
        return step_inputs(self.lm, tokens.ids_BT[:, 0], tokens.positions_BT[:, 0], mask_RT)


@dataclass
class ExpertSession(Session):
    """Adds the difference of the experts' logits; `readers` are the expert, if any, and its anti.

    `mask_RT` covers all tokens so far; None where there is no padding.
    """

    readers: list[Reader]
    strength: float
    mask_RT: Tensor | None = None
    base_BV: Tensor | None = None
    _is_begun: bool = False

    def trying(self, tokens: Tokens) -> None:
        """Tokens that do not stay are not read by the experts."""

    def logits(self, tokens: Tokens, logits: Tensor) -> Tensor:
        """z + strength * (z_expert - z_anti), in nats, not normalised."""
        self._cover(tokens)
        found = [reader.logits(tokens, self.mask_RT, logits) for reader in self.readers]
        expert, anti = found if len(found) == 2 else (logits, found[0])
        self.base_BV = logits if logits.ndim == 2 else None
        return logits + self.strength * (expert - anti)

    def nucleus(self) -> Tensor | None:
        """The logits before the experts' difference."""
        return self.base_BV

    def select(self, rows_R: Tensor) -> None:
        for reader in self.readers:
            reader.select(rows_R)
        if self.mask_RT is not None:
            self.mask_RT = self.mask_RT[rows_R]

    def _cover(self, tokens: Tokens) -> None:
        """Let the mask cover these tokens too."""
        if not self._is_begun:
            self.mask_RT = None if bool(tokens.is_text_BT.all()) else tokens.is_text_BT.long()
        elif self.mask_RT is not None:
            self.mask_RT = torch.cat([self.mask_RT, tokens.is_text_BT.long()], dim=1)
        self._is_begun = True
