"""An explained run as the report reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detoxlab.errors import ConfigError
from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.measured.table import ExplainedPair, Side, Table, subset_of
from detoxlab.records import Measurement, Prompt, from_json
from detoxlab.runs import Run, read_json

KIND = "explain"


@dataclass(frozen=True)
class Explained:
    """Explanations of measured runs, the first of which is the baseline.

    `pairs` are the differences of the other runs from it, none where one run was explained.
    """

    name: str
    runs: tuple[str, ...]
    measurements: tuple[Measurement, ...]
    pairs: tuple[ExplainedPair, ...]
    table: Table
    info: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def baseline(self) -> str:
        """The run with which the others are compared."""
        return self.runs[0]

    @property
    def method(self) -> str:
        """The method of attribution."""
        return str(self.config["method"])

    def on_text(self, text: str) -> list[Side]:
        """Each model that explains the text of one run, the baseline first."""
        return [(model, text) for model in self.runs if (model, text) in self.table.rows]

    def of(self, side: Side) -> dict[tuple[str, str | None], Measurement]:
        """The measurements of a model on a text, by name and group."""
        subset = subset_of(side)
        rows = (row for row in self.measurements if row.subset == subset)
        return {(row.name, row.group): row for row in rows}


def is_explained(run: Run) -> bool:
    """Whether a run holds explanations."""
    return run.info.get("kind") == KIND


def read_explained(run: Run) -> Explained:
    """The explanations of a run folder.

    Raises `ConfigError` for another kind of run.
    """
    if not is_explained(run):
        raise ConfigError(
            f"{run.path}: a run of {run.info.get('kind')}, not of explain",
            remedy="Make one with `detoxlab explain`.",
        )
    pairs = run.path / "differences.json"
    return Explained(
        name=run.name,
        runs=tuple(str(name) for name in run.info["explained"]),
        measurements=tuple(run.measurements()),
        pairs=tuple(from_json(ExplainedPair, one) for one in read_json(pairs)),
        table=Table(run.read("attributions.jsonl", Attribution), run.read("prompts.jsonl", Prompt)),
        info=run.info,
        config=run.config,
    )
