"""The regulariser over a training: its iterations, and its term of each batch.

Imports torch, and is used by a trainer of TRL alone.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detoxlab.methods.auxiliary import AUXILIARY
from detoxlab.methods.auxiliary_training import facts, publish_head
from detoxlab.methods.regularised import RegularisedConfig
from detoxlab.methods.regularised_anchor import Snapshot, hidden_states, untouched
from detoxlab.methods.regularised_domain import ConstrainedDomain, Opening
from detoxlab.methods.regularised_losses import Tilt, divergence
from detoxlab.methods.regularised_targets import (
    Places,
    Projection,
    Stretch,
    TargetCache,
    Targets,
)
from detoxlab.methods.regularised_work import (
    Elsewhere,
    Here,
    States,
    Work,
    Worker,
    load_states,
    save_states,
)
from detoxlab.methods.rows import IGNORED
from detoxlab.models import LanguageModel
from detoxlab.progress import say
from detoxlab.runs import Run, append_rows, complete_lines, keep_lines

ITERATIONS = "iterations.jsonl"
STATE = "flow.json"
SETTLING_STEPS = 10  # of an iteration, before its KL is held against the budget


@dataclass(frozen=True)
class Tagged:
    """Of each training row the domain and where its response is, None where it has none."""

    domains: tuple[str, ...]
    stretches: tuple[Stretch | None, ...]

    def openings(self) -> dict[str, list[Opening]]:
        """The beginnings of each domain's rows, by which the anchor is asked to go on."""
        found: dict[str, list[Opening]] = {}
        for number, (domain, stretch) in enumerate(zip(self.domains, self.stretches, strict=True)):
            if stretch is not None:
                opening = (f"{domain}/{number:07d}", stretch.ids[: stretch.start])
                found.setdefault(domain, []).append(opening)
        return found

    def counts(self) -> dict[str, int]:
        """How many rows each domain has."""
        return {name: self.domains.count(name) for name in dict.fromkeys(self.domains)}


@dataclass
class Flow:
    """Where the schedule stands: the iteration, the step it began at, KL to its snapshot."""

    iteration: int = 0
    began: int = -1
    kl: float = 0.0


@dataclass
class Terms:
    """Sums of one step for the log: nats and prefixes of the regulariser."""

    kl: float = 0.0
    moved: float = 0.0
    prefixes: int = 0


class Regulariser:
    """The regulariser over a training: refreshes its parts, and gives the term of each batch."""

    def __init__(
        self,
        config: RegularisedConfig,
        lm: LanguageModel,
        trainer: Any,
        tagged: Tagged,
        steps: int,
        run: Run,
        work: Work,
        exchange: Path | None,
    ) -> None:
        self.config, self.lm, self.trainer, self.run = config, lm, trainer, run
        self.tagged = tagged
        self.output, self.domains = work.output, work.domains
        self.retained = {
            name: settings.retention
            for name in tagged.counts()
            if (settings := config.of_domain(name)) is not None and settings.retention
        }
        self.steps_each = max(1, -(-steps // config.iterations))
        self.snapshot = Snapshot(lm.model)
        self.worker: Worker = (
            Here(work, self._as_drawing) if exchange is None else Elsewhere(work, exchange)
        )
        self.newest: States = self._states()
        self.is_pending = False
        self.flow = Flow()
        self.terms = Terms()
        self.caches: dict[str, TargetCache] = {}
        self.pass_number = 0

    # --- iterations ---

    def step_begins(self, step: int) -> None:
        """Begin an iteration when one is due."""
        self.pass_number = 0
        if not self.domains or not self._is_due(step):
            return
        before = self.collected()
        self.flow = Flow(self.flow.iteration + 1, began=step)
        self.snapshot.take()
        self._begin_work(before)
        self._read(before if self._is_stale() else self.collected())

    def goes_on(self) -> None:
        """At the beginning of a training, or where it was killed: drop what was past it."""
        self.cut_record()
        if self.is_pending:
            self._begin_work(self._states())

    def collected(self) -> States:
        """The newest states; the first who asks waits for the work of the iteration."""
        if self.is_pending:
            outcome = self.worker.result()
            self.newest, self.is_pending = outcome.states, False
            for row in outcome.rows:
                self._record({"step": self.flow.began, **row})
        return self.newest

    def _begin_work(self, before: States) -> None:
        self.worker.begin(self.flow.iteration, before, self.snapshot)
        self.is_pending = True

    def _is_stale(self) -> bool:
        """Whether this iteration reads what came of the one before it: schedule `parallel`."""
        return self.config.schedule == "parallel" and self.flow.iteration > 1

    def _read(self, states: States) -> None:
        """Let the regulariser read these; another anchor has made the targets of stale ones."""
        for name, domain in self.domains.items():
            state = states[name]
            domain.state = replace(state, targets=None) if self._is_stale() else state
            self._cache_path(name).unlink(missing_ok=True)

    def _states(self) -> States:
        return {name: domain.state for name, domain in self.domains.items()}

    def _is_due(self, step: int) -> bool:
        flow, config = self.flow, self.config
        if flow.began < 0 or config.anchor == "reference":
            return flow.began < 0
        steps = step - flow.began
        if config.kl_budget is not None and steps >= SETTLING_STEPS and flow.kl > config.kl_budget:
            return True
        return steps >= self.steps_each

    def _record(self, row: dict[str, Any]) -> None:
        append_rows(self.run.path / ITERATIONS, [json.dumps(row) + "\n"])
        share, required = row["acceptance"], "is met" if row["met"] else "is not met"
        say(
            f"iteration {row['iteration']}, {row['domain']}: {share:.3f} of {row['drawn']} "
            f"responses accepted, the constraint {required}, weight {row['weight']:.3g}"
        )

    # --- the term of a batch ---

    def beside(self) -> dict[str, list[int]]:
        """Of each active domain the responses of the newest draw, by number, beside this batch.

        They are the same after a resumption.
        """
        key = [self.config.seed, self.trainer.state.global_step, self.pass_number]
        chosen = {}
        for name, domain in self.domains.items():
            fresh = len(domain.state.fresh) if domain.is_active else 0
            if count := min(self.config.sampled_rows, fresh):
                picked = np.random.default_rng(key).choice(fresh, size=count, replace=False)
                chosen[name] = sorted(picked.tolist())
        return chosen

    def rows_of(self, beside: Mapping[str, Sequence[int]]) -> dict[str, Tensor] | None:
        """The rows of these responses as a batch; None for none."""
        stretches = [s for name, numbers in beside.items() for s in self._drawn(name, numbers)]
        return self._inputs(stretches) if stretches else None

    def term(
        self,
        numbers: Sequence[int],
        beside: Mapping[str, Sequence[int]],
        outputs: Any,
        hidden: Tensor,
    ) -> Tensor:
        """The weighted sum of divergences over a batch and what was drawn beside it, nats.

        `numbers` are those of the batch's rows in the data; the rows `beside` are behind them.
        """
        total, row = hidden.new_zeros((), dtype=torch.float32), len(numbers)
        for name, domain in self.domains.items():
            if not domain.is_active:
                continue
            stretches, drawn = self._stretches(numbers, name), beside.get(name, ())
            weight = domain.state.weight
            total = total + weight * self._of_batch(domain, outputs, hidden, stretches)
            if drawn:
                total = total + weight * self._of_samples(domain, drawn, row, outputs, hidden)
            row += len(drawn)
        for name, weight in self.retained.items():
            stretches = self._stretches(numbers, name)
            total = total + weight * self._retention(outputs, hidden, stretches)
        return total

    def _drawn(self, name: str, numbers: Sequence[int]) -> list[Stretch]:
        """The rows of a domain's responses of the newest draw."""
        fresh, length = self.domains[name].state.fresh, self.config.draws.max_new_tokens
        return [Stretch.of_sample(fresh[number], length) for number in numbers]

    def _stretches(self, numbers: Sequence[int], domain: str) -> list[tuple[int, int, Stretch]]:
        """(row of the batch, number in the data, response) of the domain's rows."""
        return [
            (row, number, stretch)
            for row, number in enumerate(numbers)
            if self.tagged.domains[number] == domain
            and (stretch := self.tagged.stretches[number]) is not None
        ]

    def _of_batch(
        self,
        domain: ConstrainedDomain,
        outputs: Any,
        hidden: Tensor,
        stretches: list[tuple[int, int, Stretch]],
    ) -> Tensor:
        if not stretches:
            return hidden.new_zeros((), dtype=torch.float32)
        places = Places.of([(row, stretch) for row, _, stretch in stretches], hidden.device)
        if cache := self._cache(domain):
            targets = cache.of([number for _, number, _ in stretches])
        else:
            responses = [stretch for _, _, stretch in stretches]
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
        """The same on responses of the anchor, weighted so that prefixes count as under q.

        They stand in the batch from `row` on.
        """
        stretches = self._drawn(domain.name, numbers)
        places = Places.of(list(enumerate(stretches, start=row)), hidden.device)
        if cache := domain.state.targets:
            targets = cache.of(numbers)
        else:
            targets = self._targets(domain, stretches, places.of_batch(hidden))
        spans = torch.tensor([s.stop - s.start for s in stretches], device=hidden.device)
        log_prompt_P = targets.log_accept_P[places.first_P].repeat_interleave(spans)
        weights_P = domain.tilt(domain.state).prefix_weights(targets.log_accept_P, log_prompt_P)
        return self._divergence(targets, places, outputs, hidden, weights_P)

    def _retention(
        self,
        outputs: Any,
        hidden: Tensor,
        stretches: list[tuple[int, int, Stretch]],
    ) -> Tensor:
        """KL(base || policy): the same divergence, of the base as it is."""
        if not stretches:
            return hidden.new_zeros((), dtype=torch.float32)
        places = Places.of([(row, stretch) for row, _, stretch in stretches], hidden.device)
        plain = Projection(self.output, None, Tilt(), self.config.top_k)
        with self.trainer.model.disable_adapter():
            targets = self._projected(plain, [stretch for _, _, stretch in stretches])
        return self._divergence(targets, places, outputs, hidden, None, counts=False)

    def _divergence(
        self,
        targets: Targets,
        places: Places,
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
        kl_P = divergence(targets.log_q_PB, log_p_PB)
        if counts:
            self._count(kl_P.detach(), targets, log_p_PB.detach())
        return (kl_P if weights_P is None else weights_P * kl_P).sum()

    def _count(self, kl_P: Tensor, targets: Targets, log_p_PB: Tensor) -> None:
        """For the log and the budget: KL to the target, and of the policy from its anchor."""
        moved_P = (log_p_PB.exp() * (log_p_PB - targets.log_p_PB)).sum(dim=-1)
        self.terms.kl += float(kl_P.sum())
        self.terms.moved += float(moved_P.sum())
        self.terms.prefixes += len(kl_P)
        self.flow.kl = 0.9 * self.flow.kl + 0.1 * float(moved_P.mean())

    # --- the anchor ---

    def _targets(
        self,
        domain: ConstrainedDomain,
        stretches: Sequence[Stretch],
        policy_PD: Tensor | None = None,
    ) -> Targets:
        """Targets over the responses; `policy_PD` are the policy's own hidden states there."""
        state = domain.state
        projection = Projection(self.output, state.head, domain.tilt(state), self.config.top_k)
        if self.config.anchor == "current" and policy_PD is not None:
            places = Places.of(list(enumerate(stretches)), policy_PD.device)
            return projection.targets(policy_PD.detach(), places.next_P, places.first_P)
        with self._anchor_in_place():
            return self._projected(projection, stretches)

    def _projected(self, projection: Projection, stretches: Sequence[Stretch]) -> Targets:
        """Targets from the model as it stands; what follows the responses is not read."""
        inputs = self._inputs(stretches)
        places = Places.of(list(enumerate(stretches)), self.lm.device)
        with untouched(self.lm.model), self.trainer.accelerator.autocast():
            hidden_BTD = hidden_states(self.lm.model, inputs)
        return projection.targets(places.of_batch(hidden_BTD), places.next_P, places.first_P)

    def _anchor_in_place(self) -> AbstractContextManager[None]:
        """The model is the anchor while the block lasts."""
        is_current = self.config.anchor == "current"
        return contextlib.nullcontext() if is_current else self._as_drawing()

    def _as_drawing(self) -> AbstractContextManager[None]:
        """The model draws while the block lasts: the base, or the policy as an iteration began."""
        if self.config.anchor == "reference":
            without: AbstractContextManager[None] = self.trainer.model.disable_adapter()
            return without
        return self.snapshot.active()

    def _cache(self, domain: ConstrainedDomain) -> TargetCache | None:
        """Targets of all the domain's rows, made once and kept on disk: anchor `reference`."""
        if self.config.anchor != "reference" or self.config.top_k is None:
            return None
        if domain.name not in self.caches:
            path = self._cache_path(domain.name)
            if not path.is_file():
                self._fill_cache(domain).save(path)
            self.caches[domain.name] = TargetCache.load(path, self.lm.device)
        return self.caches[domain.name]

    def _cache_path(self, name: str) -> Path:
        return self.run.path / f"targets-{name}.safetensors"

    def _fill_cache(self, domain: ConstrainedDomain) -> TargetCache:
        size, numbers = self.config.batch_size, range(len(self.tagged.domains))
        parts, counts = list[Targets](), [0] * len(numbers)
        mine = self._stretches(numbers, domain.name)
        for start in range(0, len(mine), size):
            stretches = [stretch for _, _, stretch in mine[start : start + size]]
            parts.append(self._targets(domain, stretches))
        for _, number, stretch in mine:
            counts[number] = stretch.stop - stretch.start
        offsets = np.concatenate([[0], np.cumsum(counts)])
        return TargetCache(Targets.joined(parts), tuple(int(o) for o in offsets))

    def _inputs(self, stretches: Sequence[Stretch]) -> dict[str, Tensor]:
        """A batch of these rows, in which their responses are labelled."""
        rows = [
            {
                "input_ids": list(s.ids[: s.stop]),
                "labels": [IGNORED] * s.start + list(s.ids[s.start : s.stop]),
            }
            for s in stretches
        ]
        batch = self.trainer.data_collator(rows)
        return {name: value.to(self.lm.device) for name, value in batch.items()}

    # --- the disk ---

    def save(self, folder: Path) -> None:
        """Write all that a resumed training needs."""
        folder.mkdir(parents=True, exist_ok=True)
        self.snapshot.save(folder)
        (folder / STATE).write_text(json.dumps(vars(self.flow)), encoding="utf-8")
        save_states(self._states(), folder)

    def load(self, folder: Path) -> None:
        """Take the state that `save` wrote. What an iteration has not waited for begins anew."""
        self.snapshot.load(folder)
        self.flow = Flow(**json.loads((folder / STATE).read_text(encoding="utf-8")))
        self.newest = load_states(self.domains, self.output, folder)
        for name, domain in self.domains.items():
            domain.state = self.newest[name]
        self.is_pending = self._is_stale()

    def cut_record(self) -> None:
        """Drop the iterations past the one the training goes on from."""
        path = self.run.path / ITERATIONS
        if path.exists():
            rows = [json.loads(line) for line in complete_lines(path)]
            last = self.flow.iteration - self.is_pending
            keep_lines(path, sum(row["iteration"] <= last for row in rows))

    def publish(self) -> None:
        """Leave the newest heads in the run folder, for decoding."""
        for name, state in self.collected().items():
            if state.head is not None:
                conditions = self.domains[name].settings.conditions or self.config.conditions
                publish_head(
                    state.head,
                    self.run.path / AUXILIARY / name,
                    facts(conditions, self.lm, state.acceptance),
                )
