"""Benchmarks of lm-evaluation-harness: a model's usefulness, in the field's own numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field

from detoxlab.data.source import sample
from detoxlab.evaluations.base import Evaluation
from detoxlab.evaluations.benchmark import asking, local, numbers
from detoxlab.evaluations.benchmark.suites import Suite, suite_of
from detoxlab.measures.statistics import FloatArray
from detoxlab.records import RESAMPLES, Difference, ItemResult, Measurement
from detoxlab.subject import Subject

if TYPE_CHECKING:
    from detoxlab.evaluations.benchmark.asking import Tasks

QUESTIONS = 64  # of a batch, which share what is read of their examples; what a kill can cost


@dataclass(frozen=True)
class Question:
    """One question: its task, and its place in the task's data."""

    task: str
    at: int

    @property
    def id(self) -> str:
        """Its name in results."""
        return asking.item_id(self.task, self.at)


class Benchmark(Evaluation):
    """One benchmark of lm-evaluation-harness, with its prompts and metrics, asked by our model.

    Accuracy is the share of questions whose right answer is the likeliest: by log-probability
    (`accuracy`), and by log-probability per character (`normalised_accuracy`) where the task has
    that too. A benchmark of several tasks has the mean over tasks (`macro_accuracy`), by the
    normalised number where there is one; MMLU also the share over all questions.

    Source: Gao et al. 2024, A framework for few-shot language model evaluation.

    Departures: where the harness draws examples at random, one draw stands before all questions;
    with local files, the questions are those of the file.
    """

    kind: Literal["benchmark"] = Field("benchmark", description="of evaluation")
    task: str = Field(description="mmlu, commonsense, lambada, or any task of the harness")
    data: str | None = Field(
        None, description="folder with the benchmarks' files; None: the harness asks the hub"
    )
    limit: int | None = Field(None, ge=1, description="a seeded sample of that many, of each task")
    shots: int | None = Field(
        None, ge=0, description="examples before each question; None: as is usual"
    )
    harness: str | None = Field(None, description="version of lm-evaluation-harness; found out")

    @property
    def protocol(self) -> str:
        """Kind, version, task, examples and the harness.

        >>> Benchmark(task="mmlu").protocol
        'benchmark@1 (mmlu, shots=5, lm_eval=None)'
        """
        shots = self.suite.shots if self.shots is None else self.shots
        return f"benchmark@1 ({self.task}, shots={shots}, lm_eval={self.harness})"

    @property
    def suite(self) -> Suite:
        """The tasks of the harness that make up the benchmark."""
        return suite_of(self.task)

    def resolved(self, subject: Subject) -> Self:
        """With the examples before each question, and the version of the harness."""
        del subject
        shots = max(task.config.num_fewshot for task in self._tasks().values())
        changes = {"shots": shots, "harness": asking.harness_version()}
        return type(self).model_validate(self.model_dump() | changes)

    def describe(self) -> dict[str, Any]:
        """The files by name and hash, or the hub's data sets; metrics that are left out."""
        tasks = self._tasks()
        left = {name: found for name, task in tasks.items() if (found := asking.left_out(task))}
        without = {"left_out": left} if left else {}
        if self.data is not None:
            return {"files": local.described(self.suite.tasks, Path(self.data)), **without}
        hub = {
            name: [task.config.dataset_path, task.config.dataset_name]
            for name, task in tasks.items()
        }
        return {"hub": hub, **without}

    def items(self, seed: int) -> Sequence[Question]:
        """The questions, task by task; `limit` draws so many of each by the seed."""
        return [
            question
            for name, task in self._tasks().items()
            for question in sample(
                [Question(name, at) for at in range(len(task.eval_docs))], self.limit, seed
            )
        ]

    def batches(self, items: Sequence[Question]) -> list[Sequence[Question]]:
        """Questions of one task together."""
        parts = [list(found) for _, found in groupby(items, key=lambda one: one.task)]
        return [
            part[start : start + QUESTIONS]
            for part in parts
            for start in range(0, len(part), QUESTIONS)
        ]

    def results(self, subject: Subject, items: Sequence[Question]) -> list[ItemResult]:
        """The numbers of the task's metrics for each question."""
        from detoxlab.evaluations.benchmark.lm import SubjectLM

        lm, tasks = SubjectLM(subject), self._tasks()
        return [
            result
            for name, found in groupby(items, key=lambda one: one.task)
            for result in asking.ask(tasks[name], [one.at for one in found], lm)
        ]

    def measurements(
        self, results: Sequence[ItemResult], *, seed: int = 0, resamples: int = RESAMPLES
    ) -> list[Measurement]:
        """The means over all tasks, if there are several, and each task's own numbers."""
        return numbers.measurements(
            results,
            protocol=self.protocol,
            pooled=self.suite.pooled,
            seed=seed,
            resamples=resamples,
        )

    def differences(
        self,
        baseline: Sequence[ItemResult],
        treated: Sequence[ItemResult],
        *,
        seed: int = 0,
        resamples: int = RESAMPLES,
    ) -> list[Difference]:
        """The same, treated minus baseline, on the questions that both have a result for."""
        return numbers.differences(
            baseline, treated, pooled=self.suite.pooled, seed=seed, resamples=resamples
        )

    def resampled(
        self,
        name: str,
        models: Sequence[Sequence[ItemResult]],
        *,
        seed: int = 0,
        resamples: int = RESAMPLES,
    ) -> FloatArray | None:
        """The measure of this name over all questions, on the same resamples within each task."""
        return numbers.resampled(name, models, seed=seed, resamples=resamples)

    def _tasks(self) -> "Tasks":
        shots = self.suite.shots if self.shots is None else self.shots
        return asking.load_tasks(self.suite.tasks, self.data, shots)
