"""SASA: the model's own states say which candidates for the next token lead away from toxic text.

    z_v  <-  z_v + strength * softmax_v(margin_v)        over the K likeliest tokens v
    margin_v = w . (h_v - mid)                           h_v: the last state after reading v

w and mid are those of a linear discriminant between toxic and other texts, in the last hidden
states that the model itself has at their ends; `detoxlab train sasa` fits them.

Which tokens may be drawn is up to the logits before: top-k and top-p are applied to these. A token
that ends the response keeps its probability: no text follows it that its state could judge, its
margin is high, and half of the fall in toxicity would come from responses that end at once.

Source: Ko et al. 2025, "Large Language Models can be Strong Self-Detoxifiers" (arXiv 2410.03818).
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor

from detoxlab.errors import ModelError
from detoxlab.models import LanguageModel, Session, Tokens
from detoxlab.models.hidden import Watched, watching_hidden_states
from detoxlab.steering.activations.files import (
    WEIGHTS,
    find_steering,
    read_content,
    steering_sha256,
)
from detoxlab.steering.candidates import (
    candidate_states,
    candidate_tokens,
    check_candidates,
    read_whole,
)
from detoxlab.steering.names import check_strength

LINE = "line"
NEVER = float("-inf")
LEAVES = 256
"""Candidates of one row in one pass, at most, unless one token has more of them."""


@dataclass(frozen=True)
class Line:
    """A linear discriminant: `normal_D` points from toxic to other texts, `mid_D` lies between.

    Margins are log odds in nats where both kinds of text are normal and of equal covariance.
    """

    normal_D: Tensor
    mid_D: Tensor

    def margins(self, states: Tensor) -> Tensor:
        """w . (h - mid) of states (..., D), float32; positive on the side of other texts."""
        margins: Tensor = (states.float() - self.mid_D) @ self.normal_D
        return margins


@dataclass(frozen=True)
class Sasa:
    """The discriminant in `folder`, as a `Steering` of the model on which it was fitted."""

    folder: Path
    strength: float = 1.0
    _checked: "WeakSet[Any]" = field(default_factory=WeakSet, compare=False, repr=False)

    @classmethod
    def load(cls, where: str | Path, *, strength: float = 1.0) -> "Sasa":
        """The discriminant that a run of `train sasa` left.

        Raises `ModelError` when there is none, `ConfigError` for a strength below 0.
        """
        check_strength(strength)
        return cls(find_steering(Path(where), "sasa"), strength)

    @property
    def id(self) -> str:
        """sasa@HASH*STRENGTH, with the hash of both files."""
        return f"sasa@{steering_sha256(self.folder)[:8]}*{self.strength:g}"

    @property
    def candidates(self) -> int:
        """The number of likeliest tokens that are read at each step."""
        return int(read_content(self.folder).facts["candidates"])

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """None: it is fitted on texts with labels of their own."""
        return ()

    @property
    def passes_per_token(self) -> int:
        """Two, of which the second reads the candidates; strength 0 reads none."""
        return 2 if self.strength else 1

    @contextlib.contextmanager
    def on(self, lm: LanguageModel) -> Iterator[Session]:
        """Adds the candidates' margins. Raises `ModelError` for a model that it does not fit."""
        from safetensors.torch import load_file

        if not self.strength:
            yield Session()
            return
        weights = load_file(self.folder / WEIGHTS, device=str(lm.device))
        line = Line(weights[f"{LINE}.normal"], weights[f"{LINE}.mid"])
        if line.normal_D.shape[0] != lm.model.config.get_text_config(decoder=True).hidden_size:
            raise ModelError(
                f"{self.folder}: fitted on a model of width {line.normal_D.shape[0]}, not {lm.id}",
                remedy="Give the model on which it was fitted.",
            )
        if lm.model not in self._checked:
            check_candidates(lm)
            self._checked.add(lm.model)
        with watching_hidden_states(lm) as watched:
            yield SasaSession(lm, watched, line, self.strength, self.candidates)


@dataclass
class SasaSession(Session):
    """Adds what the states after each candidate say; the cache is that of the model's own pass.

    `is_text_BT` covers all tokens so far.
    """

    lm: LanguageModel
    watched: Watched
    line: Line
    strength: float
    candidates: int
    others: Sequence[Session] = ()
    is_text_BT: Tensor | None = None
    base_BV: Tensor | None = None

    def beside(self, others: Sequence[Session]) -> None:
        self.others = others

    def reading(self, tokens: Tokens) -> None:
        before = [] if self.is_text_BT is None else [self.is_text_BT]
        self.is_text_BT = torch.cat([*before, tokens.is_text_BT], dim=1)

    def trying(self, tokens: Tokens) -> None:
        """Tokens that do not stay are not in the cache."""

    def select(self, rows_R: Tensor) -> None:
        if self.is_text_BT is not None:
            self.is_text_BT = self.is_text_BT[rows_R]

    def logits(self, tokens: Tokens, logits: Tensor) -> Tensor:
        """z + strength * softmax(margins) at the likeliest tokens, in nats, not normalised."""
        cache = self.watched.cache or read_whole(self.lm, tokens)
        logits_BSV = logits[:, None] if logits.ndim == 2 else logits
        ids_BSK = logits_BSV.topk(min(self.candidates, logits.shape[-1]), dim=-1).indices
        margins_BSK = self._margins(cache, tokens, ids_BSK)
        bonus_BSK = self.strength * margins_BSK.softmax(dim=-1)
        made_BSV = self._with_ends(logits_BSV, logits_BSV.scatter_add(-1, ids_BSK, bonus_BSK))
        self.base_BV = logits if logits.ndim == 2 else None
        return made_BSV[:, 0] if logits.ndim == 2 else made_BSV

    def nucleus(self) -> Tensor | None:
        """The logits before the candidates' margins."""
        return self.base_BV

    # --- inside ---

    def _with_ends(self, logits: Tensor, made: Tensor) -> Tensor:
        """The new logits (..., V), where end tokens are as likely as before."""
        ends_E = torch.tensor(sorted(self.lm.end_of_turn_ids), device=made.device)
        before, after = (one.index_fill(-1, ends_E, NEVER) for one in (logits, made))
        grown = after.logsumexp(-1, keepdim=True) - before.logsumexp(-1, keepdim=True)
        return made.index_copy(-1, ends_E, logits[..., ends_E] + grown)

    def _margins(self, cache: Any, tokens: Tokens, ids_BSK: Tensor) -> Tensor:
        """The margins (B, S, K) of candidates after the last S tokens, some places at a time."""
        count, candidates = ids_BSK.shape[1:]
        size, found = max(1, LEAVES // candidates), []
        for start in range(0, count, size):
            part = ids_BSK[:, start : start + size]
            found.append(self._part(cache, tokens, part, start - count))
        for session in self.others:
            session.trying(tokens)  # what the pass before was told
        return torch.cat(found, dim=1)

    def _part(self, cache: Any, tokens: Tokens, ids_BSK: Tensor, first: int) -> Tensor:
        """The margins after S tokens; `first`, below 0, is the place of the first of them."""
        assert self.is_text_BT is not None
        stop = (first + ids_BSK.shape[1]) or None
        leaves = candidate_tokens(tokens, slice(first, stop), ids_BSK)
        for session in self.others:
            session.trying(leaves)
        states_BSKD = candidate_states(
            self.lm, cache, self.is_text_BT, leaves, ids_BSK.shape[2], stop or 0
        )
        return self.line.margins(states_BSKD)
