"""The regulariser's term of a batch: the policy's divergence from the projected anchor.

Imports torch; only a trainer of TRL uses it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detoxlab import processes
from detoxlab.methods.regularised.anchor import Anchor
from detoxlab.methods.regularised.config import RegularisedConfig
from detoxlab.methods.regularised.domain import ConstrainedDomain, Opening
from detoxlab.methods.regularised.losses import Tilt, divergence
from detoxlab.methods.regularised.targets import (
    PrefixIndex,
    Projection,
    ResponseSpan,
    TargetCache,
    Targets,
    of_prompts,
)
from detoxlab.models.hidden import OutputLayer
from detoxlab.processes.sharding import in_step
from detoxlab.progress import say


@dataclass(frozen=True)
class RowDomains:
    """The domain of each training row and the span of its response, None without a response."""

    domains: tuple[str, ...]
    spans: tuple[ResponseSpan | None, ...]

    def openings(self) -> dict[str, list[Opening]]:
        """The beginnings of each domain's rows, which the anchor is asked to continue."""
        found: dict[str, list[Opening]] = {}
        for number, (domain, span) in enumerate(zip(self.domains, self.spans, strict=True)):
            if span is not None:
                opening = (f"{domain}/{number:07d}", span.ids[: span.start])
                found.setdefault(domain, []).append(opening)
        return found

    def counts(self) -> dict[str, int]:
        """The number of rows of each domain."""
        return {name: self.domains.count(name) for name in dict.fromkeys(self.domains)}


@dataclass
class Terms:
    """Sums of one step for the log: nats and prefixes of the regulariser."""

    kl: float = 0.0
    moved: float = 0.0
    prefixes: int = 0

    def of_all(self) -> "Terms":
        """The sums over all processes, all of which must call this."""
        every = processes.gathered([(self.kl, self.moved, self.prefixes)])
        return Terms(*(sum(column) for column in zip(*every, strict=True)))


class Penalty:
    """The weighted divergences of a batch, and of drawn responses read with it, from their targets.

    `moved` is a moving mean of the policy's KL from its anchor, nats per prefix.
    """

    def __init__(
        self,
        config: RegularisedConfig,
        anchor: Anchor,
        output: OutputLayer,
        domains: Mapping[str, ConstrainedDomain],
        row_domains: RowDomains,
        folder: Path,
    ) -> None:
        self.config, self.anchor, self.output = config, anchor, output
        self.domains, self.row_domains, self.folder = domains, row_domains, folder
        self.retained = {
            name: settings.retention
            for name in row_domains.counts()
            if (settings := config.of_domain(name)) is not None and settings.retention
        }
        self.caches: dict[str, TargetCache] = {}
        self.terms = Terms()
        self.moved = 0.0
        self.step = self.passes = 0

    def step_begins(self, step: int) -> None:
        """Note that the next passes belong to this optimizer step."""
        self.step, self.passes = step, 0

    def pick_anchor_samples(self) -> dict[str, Sequence[int]]:
        """The responses to read with the next batch: their numbers in the newest draw, by domain.

        Each call is for the next pass of the step. A resumed training picks the same responses.
        Of several processes, each reads a share of them.
        """
        key = [self.config.seed, self.step, self.passes]
        self.passes += 1
        chosen = {}
        for name, domain in self.domains.items():
            fresh = len(domain.state.fresh) if domain.is_active else 0
            if count := min(self.config.sampled_rows, fresh):
                picked = np.random.default_rng(key).choice(fresh, size=count, replace=False)
                chosen[name] = processes.share(sorted(picked.tolist()))
        return chosen

    def rows_of(self, beside: Mapping[str, Sequence[int]]) -> dict[str, Tensor] | None:
        """The rows of these responses as a batch; None for none."""
        spans = [s for name, numbers in beside.items() for s in self._drawn(name, numbers)]
        return self.anchor.inputs(spans) if spans else None

    def term(
        self,
        numbers: Sequence[int],
        beside: Mapping[str, Sequence[int]],
        outputs: Any,
        hidden: Tensor,
    ) -> Tensor:
        """The weighted sum of divergences over a batch and the drawn responses after it, nats.

        `numbers` are those of the batch's rows in the data; the rows `beside` follow them.
        """
        total, row = hidden.new_zeros((), dtype=torch.float32), len(numbers)
        for name, domain in self.domains.items():
            if not domain.is_active:
                continue
            spans, drawn = self._spans(numbers, name), beside.get(name, ())
            weight = domain.state.weight
            if spans:
                total = total + weight * self._of_batch(domain, outputs, hidden, spans)
            if drawn:
                total = total + weight * self._of_samples(domain, drawn, row, outputs, hidden)
            row += len(drawn)
        for name, weight in self.retained.items():
            if spans := self._spans(numbers, name):
                total = total + weight * self._retention(outputs, hidden, spans)
        return total

    def _drawn(self, name: str, numbers: Sequence[int]) -> list[ResponseSpan]:
        """The rows of a domain's responses of the newest draw."""
        fresh, length = self.domains[name].state.fresh, self.config.draws.max_new_tokens
        return [ResponseSpan.of_sample(fresh[number], length) for number in numbers]

    def _spans(self, numbers: Sequence[int], domain: str) -> list[tuple[int, int, ResponseSpan]]:
        """(row of the batch, number in the data, response) of the domain's rows."""
        return [
            (row, number, span)
            for row, number in enumerate(numbers)
            if self.row_domains.domains[number] == domain
            and (span := self.row_domains.spans[number]) is not None
        ]

    def _of_batch(
        self,
        domain: ConstrainedDomain,
        outputs: Any,
        hidden: Tensor,
        spans: list[tuple[int, int, ResponseSpan]],
    ) -> Tensor:
        places = PrefixIndex.of([(row, span) for row, _, span in spans], hidden.device)
        if cache := self.caches.get(domain.name):
            targets = cache.of([number for _, number, _ in spans])
        else:
            responses = [span for _, _, span in spans]
            targets = self._targets(domain, responses, places.of_batch(hidden))
        return self._divergence(targets, places, outputs, hidden, None)

    def _of_samples(
        self,
        domain: ConstrainedDomain,
        numbers: Sequence[int],
        row: int,
        outputs: Any,
        hidden: Tensor,
    ) -> Tensor:
        """The divergence on drawn responses, weighted so that prefixes count as under q.

        Their rows in the batch begin at `row`.
        """
        spans = self._drawn(domain.name, numbers)
        places = PrefixIndex.of(list(enumerate(spans, start=row)), hidden.device)
        if cache := domain.state.targets:
            targets = cache.of(numbers)
        else:
            targets = self._targets(domain, spans, places.of_batch(hidden))
        log_prompt_P = of_prompts(targets.log_accept_P, places.first_P)
        weights_P = domain.tilt(domain.state).prefix_weights(targets.log_accept_P, log_prompt_P)
        return self._divergence(targets, places, outputs, hidden, weights_P)

    def _retention(
        self,
        outputs: Any,
        hidden: Tensor,
        spans: list[tuple[int, int, ResponseSpan]],
    ) -> Tensor:
        """KL(base || policy): the same divergence, from the base without a constraint."""
        places = PrefixIndex.of([(row, span) for row, _, span in spans], hidden.device)
        plain = Projection(self.output, None, Tilt(), self.config.top_k)
        with self.anchor.without_adapter():
            targets = self.anchor.of_model(plain, [span for _, _, span in spans])
        return self._divergence(targets, places, outputs, hidden, None, counts=False)

    def _divergence(
        self,
        targets: Targets,
        places: PrefixIndex,
        outputs: Any,
        hidden: Tensor,
        weights_P: Tensor | None,
        *,
        counts: bool = True,
    ) -> Tensor:
        """The sum over prefixes of weight times KL(q || policy), nats."""
        hidden_PD = places.of_batch(hidden)
        chosen_P = self.output.at(hidden_PD, places.next_P[:, None])[:, 0]
        log_norm_P = chosen_P - places.of_batch(outputs.log_probs).float()
        log_p_PB = targets.policy_log_probs(self.output, hidden_PD, log_norm_P)
        kl_P = divergence(targets.log_q_PB, log_p_PB).masked_fill(~targets.asked_P, 0.0)
        if counts:
            self._count(kl_P.detach(), targets, log_p_PB.detach())
        return (kl_P if weights_P is None else weights_P * kl_P).sum()

    def _count(self, kl_P: Tensor, targets: Targets, log_p_PB: Tensor) -> None:
        """Count, for log and budget, the KL to the target and the policy's KL from its anchor."""
        moved_P = (log_p_PB.exp() * (log_p_PB - targets.log_p_PB)).sum(dim=-1)
        self.terms.kl += float(kl_P.sum())
        self.terms.moved += float(moved_P.sum())
        self.terms.prefixes += len(kl_P)
        self.moved = 0.9 * self.moved + 0.1 * float(moved_P.mean())

    # --- targets ---

    def _targets(
        self,
        domain: ConstrainedDomain,
        spans: Sequence[ResponseSpan],
        policy_PD: Tensor | None = None,
    ) -> Targets:
        state = domain.state
        projection = Projection(self.output, state.head, domain.tilt(state), self.config.top_k)
        return self.anchor.targets(projection, spans, policy_PD)

    def forget_targets(self, name: str) -> None:
        """Drop the kept targets of a domain, which are no longer right."""
        self.caches.pop(name, None)
        if processes.is_main():
            self._cache_path(name).unlink(missing_ok=True)

    def keep_targets(self) -> None:
        """Make the targets of all rows once, on disk: with anchor `reference`, which stays.

        All processes must call this before each pass.
        """
        if self.config.anchor != "reference" or self.config.top_k is None:
            return
        for domain in self.domains.values():
            if not domain.is_active or domain.name in self.caches:
                continue
            path = self._cache_path(domain.name)
            with in_step(self.anchor.lm.bare):
                if processes.is_main() and not path.is_file():
                    self._fill_cache(domain).save(path)
            processes.barrier()
            self.caches[domain.name] = TargetCache.load(path, self.anchor.lm.device)

    def _cache_path(self, name: str) -> Path:
        return self.folder / f"targets-{name}.safetensors"

    def _fill_cache(self, domain: ConstrainedDomain) -> TargetCache:
        size, numbers = self.config.batch_size, range(len(self.row_domains.domains))
        parts, counts = list[Targets](), [0] * len(numbers)
        mine = self._spans(numbers, domain.name)
        say(f"targets of {len(mine)} texts of {domain.name} to make, once")
        for start in range(0, len(mine), size):
            spans = [span for _, _, span in mine[start : start + size]]
            parts.append(self._targets(domain, spans))
        for _, number, span in mine:
            counts[number] = span.stop - span.start
        offsets = np.concatenate([[0], np.cumsum(counts)])
        return TargetCache(Targets.joined(parts), tuple(int(o) for o in offsets))
