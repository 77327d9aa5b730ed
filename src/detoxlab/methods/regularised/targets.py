"""The targets of the regulariser: the anchor's projected next tokens at prefixes of responses."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import logsigmoid

from detoxlab.auxiliary.features import POSITIONS, Features, Sample
from detoxlab.auxiliary.fit import expected_acceptance
from detoxlab.auxiliary.head import AuxiliaryHead
from detoxlab.methods.regularised.losses import (
    Tilt,
    bucketed_target,
    full_target,
    with_tail,
)
from detoxlab.methods.rows.dialogue import IGNORED, TokenRow
from detoxlab.models.hidden import OutputLayer


@dataclass(frozen=True)
class ResponseSpan:
    """A row of tokens and the part of it, `start` to `stop`, that is the response."""

    ids: tuple[int, ...]
    start: int
    stop: int

    @classmethod
    def of_row(cls, row: TokenRow, start: int, length: int) -> "ResponseSpan | None":
        """The first `length` learnt tokens from `start` on; None where there are none.

        A question about a text, and its answer, are not among them.
        """
        stop, end = start, len(row.labels) - row.closing
        while stop < min(start + length, end) and row.labels[stop] != IGNORED:
            stop += 1
        return cls(row.input_ids, start, stop) if stop > start else None

    @classmethod
    def of_sample(cls, sample: Sample, length: int) -> "ResponseSpan":
        """A response as it was drawn."""
        ids = (*sample.prompt_ids, *sample.ids[:length])
        return cls(ids, len(sample.prompt_ids), len(ids))


@dataclass(frozen=True)
class PrefixIndex:
    """P prefixes in a batch (B, T): row, column of the last token read, the token that follows.

    `first_P` marks prefixes that have read the prompt alone. Prefixes of one response stand side
    by side.
    """

    rows_P: Tensor
    columns_P: Tensor
    next_P: Tensor
    first_P: Tensor

    @classmethod
    def of(cls, spans: Sequence[tuple[int, ResponseSpan]], device: torch.device) -> "PrefixIndex":
        """The prefixes of spans that lie in the numbered rows of a batch."""
        prefixes = [(row, column, s) for row, s in spans for column in range(s.start, s.stop)]
        table_P4 = torch.tensor(
            [(row, column - 1, s.ids[column], column == s.start) for row, column, s in prefixes],
            dtype=torch.long,
            device=device,
        ).reshape(-1, 4)
        rows_P, columns_P, next_P, first_P = table_P4.unbind(dim=1)
        return cls(rows_P, columns_P, next_P, first_P.bool())

    def __len__(self) -> int:
        return len(self.rows_P)

    def of_batch(self, values_BT: Tensor) -> Tensor:
        """The values at these prefixes, (P, ...)."""
        return values_BT[self.rows_P, self.columns_P]


@dataclass(frozen=True)
class Targets:
    """Targets at P prefixes, over the whole vocabulary, or over candidates and a tail.

    `log_q_PB` is the projected anchor, `log_p_PB` the anchor itself, `log_accept_P` log R of
    the prefix. `ids_PK` are the candidates; it has no columns for the whole vocabulary.
    `asked_P` is False where the prompt meets its requirement, so that nothing is required.
    """

    ids_PK: Tensor
    log_q_PB: Tensor
    log_p_PB: Tensor
    log_accept_P: Tensor
    asked_P: Tensor

    def __len__(self) -> int:
        return len(self.log_q_PB)

    def part(self, begin: int, end: int) -> "Targets":
        """The targets of the prefixes from `begin` to `end`."""
        return Targets(*(getattr(self, f.name)[begin:end] for f in fields(self)))

    @staticmethod
    def joined(parts: Sequence["Targets"]) -> "Targets":
        """The targets of all parts in order."""
        names = [f.name for f in fields(Targets)]
        return Targets(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    def policy_log_probs(
        self, output: OutputLayer, hidden_PD: Tensor, log_norm_P: Tensor
    ) -> Tensor:
        """log p (P, B) of the model with these hidden states, over the same buckets.

        `log_norm_P` is the logarithm of its normaliser, so that candidates need no second pass over
        the vocabulary.
        """
        if not self.ids_PK.shape[1]:
            return torch.log_softmax(output(hidden_PD), dim=-1)
        return with_tail(output.at(hidden_PD, self.ids_PK) - log_norm_P[:, None])


@dataclass(frozen=True)
class TargetCache:
    """Targets of a fixed anchor, made once: those of span i lie between offsets i and i + 1."""

    targets: Targets
    offsets: tuple[int, ...]

    def of(self, numbers: Sequence[int]) -> Targets:
        """The targets of these spans in order."""
        return Targets.joined(
            [self.targets.part(self.offsets[i], self.offsets[i + 1]) for i in numbers]
        )

    def save(self, path: Path) -> None:
        """Write the cache in one atomic step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.tmp")
        tensors = {f.name: getattr(self.targets, f.name).cpu() for f in fields(Targets)}
        tensors["ids_PK"] = tensors["ids_PK"].int()
        save_file({**tensors, "offsets": torch.tensor(self.offsets)}, draft)
        draft.replace(path)

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "TargetCache":
        """The cache in a file."""
        tensors = load_file(path, device=str(device))
        offsets = tuple(tensors.pop("offsets").tolist())
        tensors["ids_PK"] = tensors["ids_PK"].long()
        return cls(Targets(**tensors), offsets)


@dataclass(frozen=True)
class Projection:
    """Turns an anchor's hidden states into targets; without a head these are the anchor itself."""

    output: OutputLayer
    head: AuxiliaryHead | None
    tilt: Tilt
    top_k: int | None

    @torch.no_grad()
    def targets(self, hidden_PD: Tensor, next_P: Tensor, first_P: Tensor) -> Targets:
        """The targets at prefixes with these hidden states of the anchor."""
        log_accept_P = self._log_acceptance(hidden_PD, next_P, first_P)
        log_prompt_P = of_prompts(log_accept_P, first_P)
        parts = [
            self._targets(*part)
            for part in zip(
                torch.split(hidden_PD, POSITIONS),
                torch.split(log_accept_P, POSITIONS),
                torch.split(log_prompt_P, POSITIONS),
                strict=True,
            )
        ]
        return Targets.joined(parts)

    def of_samples(self, features: Features, first: int) -> TargetCache:
        """The targets of the samples from number `first` on, whose hidden states were kept."""
        mask_NL = features.mask_NL[first:]
        rows, columns = mask_NL.nonzero(as_tuple=True)
        hidden_PD = features.hidden_NLD[first:][rows, columns]
        next_P = features.ids_NL[first:][rows, columns]
        offsets = [0, *mask_NL.sum(dim=1).cumsum(dim=0).tolist()]
        return TargetCache(self.targets(hidden_PD, next_P, columns == 0), tuple(offsets))

    def _log_acceptance(self, hidden_PD: Tensor, next_P: Tensor, first_P: Tensor) -> Tensor:
        """log R of each prefix, from the step before it; of a prompt alone, the expected R."""
        if self.head is None:
            return torch.zeros(len(hidden_PD), device=hidden_PD.device)
        log_next_P = logsigmoid(self.head.at(hidden_PD, next_P[:, None])[:, 0])
        log_accept_P = log_next_P.roll(1)
        if bool(first_P.any()):
            log_s, _ = expected_acceptance(self.head, self.output, hidden_PD[first_P])
            log_accept_P[first_P] = log_s
        return log_accept_P

    def _targets(self, hidden_PD: Tensor, log_accept_P: Tensor, log_prompt_P: Tensor) -> Targets:
        tilt, asked_P = self.tilt.of_prompts(log_prompt_P), self.tilt.is_constrained(log_prompt_P)
        log_p_PV = torch.log_softmax(self.output(hidden_PD), dim=-1)
        if self.top_k is None or self.top_k >= log_p_PV.shape[1]:
            none_P0 = torch.empty(len(hidden_PD), 0, dtype=torch.long, device=hidden_PD.device)
            log_q_PV = log_p_PV
            if self.head is not None:
                log_q_PV = full_target(log_p_PV, self.head(hidden_PD), tilt)
            return Targets(none_P0, log_q_PV, log_p_PV, log_accept_P, asked_P)
        best_PK = log_p_PV.topk(self.top_k, dim=-1)
        log_p_PB = with_tail(best_PK.values)
        log_q_PB = log_p_PB
        if self.head is not None:
            r_PK = self.head.at(hidden_PD, best_PK.indices)
            log_q_PB = bucketed_target(log_p_PB, r_PK, log_accept_P, tilt)
        return Targets(best_PK.indices, log_q_PB, log_p_PB, log_accept_P, asked_P)


def of_prompts(log_accept_P: Tensor, first_P: Tensor) -> Tensor:
    """log R of each prefix's prompt: that of the latest prefix that has read a prompt alone.

    >>> of_prompts(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([True, False, True, False]))
    tensor([1., 1., 3., 3.])
    """
    return log_accept_P[first_P][first_P.cumsum(dim=0) - 1]
