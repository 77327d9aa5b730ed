"""The work of an iteration: the anchor draws, scorers label, heads are fitted.

The process that trains does it (`LocalWorker`), or a second process while the first trains on
(`RemoteWorker` and `run_worker`), or the main process of several that train with a base in parts
(`MainWorker`). The outcome is the same.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from detoxlab import processes
from detoxlab.errors import DetoxlabError, TrainingError
from detoxlab.methods.regularised.anchor import Snapshot
from detoxlab.methods.regularised.domain import ConstrainedDomain, DomainState
from detoxlab.models import LanguageModel
from detoxlab.models.hidden import OutputLayer
from detoxlab.processes.sharding import in_step

States = Mapping[str, DomainState]
TASK, OUTCOME, STATES = "task.json", "outcome.json", "domains"


@dataclass(frozen=True)
class Outcome:
    """The state of each domain after the work of an iteration, and its records."""

    states: States
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Work:
    """The work of an iteration on all constrained domains; `lm` as it is serves as the anchor."""

    domains: Mapping[str, ConstrainedDomain]
    lm: LanguageModel
    output: OutputLayer

    def __call__(self, iteration: int, states: States) -> Outcome:
        """The outcome that follows on `states`. Raises `TrainingError` when nothing is accepted."""
        new, rows = dict[str, DomainState](), list[dict[str, Any]]()
        for name, domain in self.domains.items():
            new[name], row = domain.run_iteration(self.lm, self.output, states[name], iteration)
            rows.append(row)
        return Outcome(new, rows)


class Worker(Protocol):
    """Does the work of one iteration after another; `result` is the outcome of the last `begin`."""

    def begin(self, iteration: int, states: States, snapshot: Snapshot) -> None: ...

    def result(self) -> Outcome: ...


@dataclass
class LocalWorker:
    """Does the work in this process at once; `anchor` makes the model the anchor meanwhile."""

    work: Work
    anchor: Callable[[], AbstractContextManager[None]]
    outcome: Outcome | None = None

    def begin(self, iteration: int, states: States, _snapshot: Snapshot) -> None:
        """Do the work of the iteration."""
        with self.anchor():
            self.outcome = self.work(iteration, states)

    def result(self) -> Outcome:
        """The outcome of the last `begin`."""
        if self.outcome is None:
            raise RuntimeError("no iteration was begun")
        return self.outcome


@dataclass
class MainWorker:
    """Lets the main process do the work at once, while others make its forward passes with it.

    They read the outcome from `folder`. `anchor` makes the model the anchor meanwhile.
    """

    work: Work
    anchor: Callable[[], AbstractContextManager[None]]
    folder: Path
    outcome: Outcome | None = None

    def begin(self, iteration: int, states: States, _snapshot: Snapshot) -> None:
        """Do the work of the iteration; all processes must call this."""
        with self.anchor(), in_step(self.work.lm.bare):
            if processes.is_main():
                self.outcome = self.work(iteration, states)
                self._write(self.outcome)
        processes.barrier()
        if not processes.is_main():
            self.outcome = _read_outcome(self.work, self.folder)

    def result(self) -> Outcome:
        """The outcome of the last `begin`."""
        if self.outcome is None:
            raise RuntimeError("no iteration was begun")
        return self.outcome

    def _write(self, outcome: Outcome) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        save_states(outcome.states, self.folder)
        _write_outcome({"rows": outcome.rows}, self.folder)


@dataclass(frozen=True)
class RemoteWorker:
    """Lets another process do the work in `run_worker`; the two exchange files in a folder."""

    work: Work
    folder: Path

    def begin(self, iteration: int, states: States, snapshot: Snapshot) -> None:
        """Leave the task in the folder: the iteration, the states and the weights."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        snapshot.save(self.folder)
        save_states(states, self.folder)
        self._ask({"iteration": iteration})

    def result(self) -> Outcome:
        """Wait until the work is done. Raises the error that ended it."""
        processes.barrier_all()
        return _read_outcome(self.work, self.folder)

    def close(self) -> None:
        """Tell the other process that there is no more work."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._ask({"iteration": None})

    def _ask(self, task: dict[str, Any]) -> None:
        (self.folder / TASK).write_text(json.dumps(task), encoding="utf-8")
        processes.barrier_all()


def run_worker(work: Work, snapshot: Snapshot, folder: Path) -> None:
    """Do the work that `RemoteWorker` asks for, on the weights it sends, until it is closed."""
    while True:
        processes.barrier_all()
        iteration = json.loads((folder / TASK).read_text(encoding="utf-8"))["iteration"]
        if iteration is None:
            return
        snapshot.load(folder)
        content: dict[str, Any]
        try:
            with snapshot.active():
                outcome = work(iteration, load_states(work.domains, work.output, folder))
        except DetoxlabError as error:
            content = {"error": error.message, "remedy": error.remedy}
        else:
            save_states(outcome.states, folder)
            content = {"rows": outcome.rows}
        _write_outcome(content, folder)
        processes.barrier_all()


def save_states(states: States, folder: Path) -> None:
    """Write the states of all domains into `folder`."""
    for name, state in states.items():
        state.save(folder / STATES / name)


def load_states(names: Iterable[str], output: OutputLayer, folder: Path) -> dict[str, DomainState]:
    """The states that `save_states` wrote."""
    return {name: DomainState.load(folder / STATES / name, output) for name in names}


# --- inside ---


def _write_outcome(content: Mapping[str, Any], folder: Path) -> None:
    (folder / OUTCOME).write_text(json.dumps(content), encoding="utf-8")


def _read_outcome(work: Work, folder: Path) -> Outcome:
    """The outcome in the folder. Raises the error that is there instead."""
    content = json.loads((folder / OUTCOME).read_text(encoding="utf-8"))
    if "error" in content:
        raise TrainingError(content["error"], remedy=content["remedy"])
    return Outcome(load_states(work.domains, work.output, folder), content["rows"])
