"""The schedule of the regulariser: its iterations over a training, and their files.

Imports torch; only a trainer of TRL uses it.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detoxlab import processes
from detoxlab.auxiliary.config import AUXILIARY
from detoxlab.auxiliary.head import head_facts, publish_head
from detoxlab.methods.regularised.anchor import Anchor
from detoxlab.methods.regularised.config import RegularisedConfig
from detoxlab.methods.regularised.penalty import Penalty, RowDomains
from detoxlab.methods.regularised.worker import (
    LocalWorker,
    MainWorker,
    RemoteWorker,
    States,
    Work,
    Worker,
    load_states,
    save_states,
)
from detoxlab.models import LanguageModel
from detoxlab.progress import say
from detoxlab.runs import Run, append_rows, complete_lines, keep_lines

ITERATIONS = "iterations.jsonl"
STATE = "flow.json"
SETTLING_STEPS = 10  # of an iteration, before its KL is held against the budget


@dataclass(frozen=True)
class Flow:
    """The place in the schedule: the iteration, and the step at which it began."""

    iteration: int = 0
    began: int = -1


class Regulariser:
    """The schedule: it begins iterations and gives their states to the domains for `penalty`."""

    def __init__(
        self,
        config: RegularisedConfig,
        lm: LanguageModel,
        trainer: Any,
        row_domains: RowDomains,
        steps: int,
        run: Run,
        work: Work,
        exchange: Path | None,
    ) -> None:
        self.config, self.lm, self.run = config, lm, run
        self.output, self.domains = work.output, work.domains
        self.steps_each = max(1, -(-steps // config.iterations))
        self.anchor = Anchor(config.anchor, lm, trainer)
        self.penalty = Penalty(
            config, self.anchor, self.output, self.domains, row_domains, run.path
        )
        self.worker = self._worker(work, exchange)
        self.newest: States = self._states()
        self.is_pending = False
        self.flow = Flow()

    def _worker(self, work: Work, exchange: Path | None) -> Worker:
        """The worker of one process, of several that train, or of one that trains alone."""
        if exchange is None:
            return LocalWorker(work, self.anchor.drawing)
        if processes.shards_base():
            return MainWorker(work, self.anchor.drawing, exchange)
        return RemoteWorker(work, exchange)

    # --- iterations ---

    def step_begins(self, step: int) -> None:
        """Begin an iteration when one is due."""
        self.penalty.step_begins(step)
        if not self.domains or not self._is_due(step):
            return
        before = self.collected()
        self.flow = Flow(self.flow.iteration + 1, began=step)
        self.penalty.moved = 0.0
        self.anchor.snapshot.take()
        self._begin_work(before)
        self._read(before if self._is_stale() else self.collected())

    def resume(self) -> None:
        """Begin or resume a training: drop later iterations, and do pending work again."""
        self.cut_record()
        if self.is_pending:
            self._begin_work(self._states())

    def collected(self) -> States:
        """The newest states; the first call waits for the work of the iteration."""
        if self.is_pending:
            outcome = self.worker.result()
            self.newest, self.is_pending = outcome.states, False
            for row in outcome.rows:
                self._record({"step": self.flow.began, **row})
        return self.newest

    def _begin_work(self, before: States) -> None:
        self.worker.begin(self.flow.iteration, before, self.anchor.snapshot)
        self.is_pending = True

    def _is_stale(self) -> bool:
        """Whether this iteration reads the states of the one before it: schedule `parallel`."""
        return self.config.schedule == "parallel" and self.flow.iteration > 1

    def _read(self, states: States) -> None:
        """Give these states to the domains; stale ones lose their targets, of another anchor."""
        for name, domain in self.domains.items():
            state = states[name]
            domain.state = replace(state, targets=None) if self._is_stale() else state
            self.penalty.forget_targets(name)

    def _states(self) -> States:
        return {name: domain.state for name, domain in self.domains.items()}

    def _is_due(self, step: int) -> bool:
        flow, config = self.flow, self.config
        if flow.began < 0 or config.anchor == "reference":
            return flow.began < 0
        steps = step - flow.began
        is_spent = config.kl_budget is not None and self.penalty.moved > config.kl_budget
        return steps >= self.steps_each or (is_spent and steps >= SETTLING_STEPS)

    def _record(self, row: dict[str, Any]) -> None:
        append_rows(self.run.path / ITERATIONS, [json.dumps(row) + "\n"])
        share, required = row["acceptance"], "is met" if row["met"] else "is not met"
        say(
            f"iteration {row['iteration']}, {row['domain']}: {share:.3f} of {row['drawn']} "
            f"responses accepted, the constraint {required}, weight {row['weight']:.3g}"
        )

    # --- the disk ---

    def save(self, folder: Path) -> None:
        """Write all state that a resumed training needs."""
        folder.mkdir(parents=True, exist_ok=True)
        self.anchor.snapshot.save(folder)
        content = vars(self.flow) | {"moved": self.penalty.moved}
        (folder / STATE).write_text(json.dumps(content), encoding="utf-8")
        save_states(self._states(), folder)

    def load(self, folder: Path) -> None:
        """Take the state that `save` wrote. Work that was not yet collected begins anew."""
        self.anchor.snapshot.load(folder)
        content = json.loads((folder / STATE).read_text(encoding="utf-8"))
        self.penalty.moved = content.pop("moved")
        self.flow = Flow(**content)
        self.newest = load_states(self.domains, self.output, folder)
        for name, domain in self.domains.items():
            domain.state = self.newest[name]
        self.is_pending = self._is_stale()

    def cut_record(self) -> None:
        """Drop the iterations after the one from which the training goes on."""
        path = self.run.path / ITERATIONS
        if path.exists():
            rows = [json.loads(line) for line in complete_lines(path)]
            last = self.flow.iteration - self.is_pending
            keep_lines(path, sum(row["iteration"] <= last for row in rows))

    def publish(self) -> None:
        """Leave the newest heads in the run folder, for decoding."""
        for name, state in self.collected().items():
            if state.head is not None and processes.is_main():
                conditions = self.domains[name].settings.conditions or self.config.conditions
                publish_head(
                    state.head,
                    self.run.path / AUXILIARY / name,
                    head_facts(self.lm, conditions, state.acceptance)
                    | {"anchor": self.config.anchor, "iteration": self.flow.iteration},
                )
