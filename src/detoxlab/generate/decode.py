"""The decoding loop: each prompt is read once, its samples are drawn together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from detoxlab.generate.choice import draw, kept_tokens
from detoxlab.generate.noise import noise_key
from detoxlab.models import LanguageModel, Session, Tokens, evaluating
from detoxlab.models.cache import (
    compacted,
    forward_last,
    select_rows,
    shared_among_samples,
    step_inputs,
)
from detoxlab.models.finite import check_logits
from detoxlab.models.likelihood import left_padded
from detoxlab.models.packing import packed_language_model
from detoxlab.records import FinishReason, Sampling
from detoxlab.subject import Subject

NEAR_TIE = 1e-4


@dataclass(frozen=True)
class Job:
    """Samples to draw for one prompt."""

    prompt_id: str
    ids: tuple[int, ...]
    samples: tuple[int, ...]


@dataclass
class Draft:
    """One sample while it is being drawn. `near_ties` are its steps decided by < 1e-4 nats."""

    prompt_id: str
    sample: int
    prompt_ids: tuple[int, ...]
    token_ids: list[int] = field(default_factory=list)
    finish_reason: FinishReason = "length"
    near_ties: list[int] = field(default_factory=list)
    ended_by_token: bool = False

    @property
    def body_ids(self) -> list[int]:
        """The tokens of the response without the one that ended it."""
        return self.token_ids[:-1] if self.ended_by_token else self.token_ids


@dataclass(frozen=True)
class Ending:
    """The ends of responses: tokens, and `stopped(drafts)` where stop strings are asked for."""

    eos_ids: frozenset[int]
    stop_ids: frozenset[int] = frozenset()
    stopped: Callable[[Sequence[Draft]], list[bool]] | None = None


@dataclass
class Rows:
    """The rows still being drawn, in the order of the model's batch."""

    drafts: list[Draft]
    keys_R: tuple[Tensor, Tensor]
    samples_R: Tensor
    lengths_R: Tensor
    mask_RT: Tensor | None
    prompt_width: int

    def select(self, indices: Tensor) -> None:
        """Keep the rows in `indices`, in that order."""
        self.drafts = [self.drafts[i] for i in indices.tolist()]
        self.keys_R = (self.keys_R[0][indices], self.keys_R[1][indices])
        self.samples_R = self.samples_R[indices]
        self.lengths_R = self.lengths_R[indices]
        if self.mask_RT is not None:
            self.mask_RT = self.mask_RT[indices]

    def mask(self, step: int) -> Tensor | None:
        """The attention mask with which the token of `step` is read; None without padding."""
        return None if self.mask_RT is None else self.mask_RT[:, : self.prompt_width + step + 1]


def draw_samples(
    subject: Subject,
    jobs: Sequence[Job],
    sampling: Sampling,
    ending: Ending,
    iteration: int = 0,
) -> list[Draft]:
    """One finished draft per job and sample, in that order."""
    lm = subject.lm
    index_R = _rows_of(jobs).to(lm.device)
    with evaluating(lm), packed_language_model(lm.model), subject.session() as session:
        inputs = left_padded(lm, [job.ids for job in jobs])
        read = Tokens.of_texts(inputs, [0] * len(jobs))
        logits_BV, cache = _forward(lm, session, read, inputs)
        rows = _first_rows(jobs, inputs, index_R, sampling, iteration)
        drafts = list(rows.drafts)
        _check(logits_BV, lm, [job.prompt_id for job in jobs], 0)
        kept = kept_tokens(logits_BV, sampling, nucleus_BV=session.nucleus()).rows(index_R)
        for step in range(sampling.max_new_tokens):
            tokens_R, margins_R = draw(kept, rows.keys_R, rows.samples_R, step)
            active_R = _record(rows.drafts, tokens_R, margins_R, step, ending).to(lm.device)
            if step + 1 == sampling.max_new_tokens or not bool(active_R.any()):
                break
            if step == 0:
                going = active_R.nonzero()[:, 0]
                cache = shared_among_samples(cache, index_R[going], sampling.max_new_tokens - 1)
                session.select(index_R[going])
            elif len(going := compacted(active_R)) < len(active_R):
                select_rows(cache, going)
                session.select(going)
            rows.select(going)
            lengths_R = rows.lengths_R + step
            read = Tokens.of_step(tokens_R[going], lengths_R)
            inputs = step_inputs(lm, tokens_R[going], lengths_R, rows.mask(step))
            logits_RV, cache = _forward(lm, session, read, inputs, cache)
            _check(logits_RV, lm, [draft.prompt_id for draft in rows.drafts], step + 1)
            kept = kept_tokens(logits_RV, sampling, nucleus_BV=session.nucleus())
    return drafts


# --- inside ---


def _rows_of(jobs: Sequence[Job]) -> Tensor:
    """For each row the number of its job."""
    counts = torch.tensor([len(job.samples) for job in jobs])
    return torch.repeat_interleave(torch.arange(len(jobs)), counts)


def _first_rows(
    jobs: Sequence[Job],
    inputs: dict[str, Any],
    index_R: Tensor,
    sampling: Sampling,
    iteration: int,
) -> Rows:
    drafts = [Draft(job.prompt_id, sample, job.ids) for job in jobs for sample in job.samples]
    device = index_R.device
    keys_B2 = torch.tensor([noise_key(sampling.seed, job.prompt_id, iteration) for job in jobs])
    keys_R2 = keys_B2.to(device)[index_R]
    lengths_B = torch.tensor([len(job.ids) for job in jobs], device=device)
    mask_RT = None
    if "attention_mask" in inputs:
        room = (0, sampling.max_new_tokens)
        mask_RT = torch.nn.functional.pad(inputs["attention_mask"], room, value=1)[index_R]
    return Rows(
        drafts,
        (keys_R2[:, 0], keys_R2[:, 1]),
        torch.tensor([draft.sample for draft in drafts], device=device),
        lengths_B[index_R],
        mask_RT,
        inputs["input_ids"].shape[1],
    )


def _forward(
    lm: LanguageModel, session: Session, read: Tokens, inputs: dict[str, Any], cache: Any = None
) -> tuple[Tensor, Any]:
    """The logits (B, V) to draw from after the last token, and the cache to go on with."""
    session.reading(read)
    logits_BV, cache = forward_last(lm, inputs, cache)
    return session.logits(read, logits_BV), cache


def _check(logits_NV: Tensor, lm: LanguageModel, asked: Sequence[str], step: int) -> None:
    """Raises unless the logits are numbers; row n is a response to the prompt `asked[n]`."""
    check_logits(
        logits_NV, lm, lambda n: f"at token {step + 1} of a response to prompt {asked[n]!r}"
    )


def _record(
    drafts: Sequence[Draft], tokens_R: Tensor, margins_R: Tensor, step: int, ending: Ending
) -> Tensor:
    """Append each row's token to its draft; returns which rows go on."""
    for draft, token in zip(drafts, tokens_R.tolist(), strict=True):
        draft.token_ids.append(token)
        if token in ending.eos_ids or token in ending.stop_ids:
            draft.finish_reason = "eos" if token in ending.eos_ids else "stop"
            draft.ended_by_token = True
    for row in (margins_R < NEAR_TIE).nonzero()[:, 0].tolist():
        drafts[row].near_ties.append(step)
    going = [draft for draft in drafts if draft.finish_reason == "length"]
    if ending.stopped is not None:
        for draft, stopped in zip(going, ending.stopped(going), strict=True):
            if stopped:
                draft.finish_reason = "stop"
    return torch.tensor([draft.finish_reason == "length" for draft in drafts])
