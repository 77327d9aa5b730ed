"""An explained run as the report reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detoxlab.explanations.measured.explained import Explained
from detoxlab.explanations.measured.prompt_words import PromptWord
from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.measured.table import Side, Table, subset_of
from detoxlab.records import Measurement, Prompt, from_json
from detoxlab.runs import Run, check_kind, read_json

KIND = "explain"


@dataclass(frozen=True, kw_only=True)
class ExplainedRun(Explained):
    """The results with their rows, and the words of prompts behind toxic words."""

    name: str
    table: Table
    prompt_words: tuple[PromptWord, ...] = ()
    info: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def baseline(self) -> str:
        """The run with which the others are compared."""
        return self.runs[0]

    def on_text(self, text: str) -> list[Side]:
        """Each model that explains the text of one run, the baseline first."""
        return [(model, text) for model in self.runs if (model, text) in self.table.rows]

    def rows_of(self, side: Side) -> dict[tuple[str, str | None], Measurement]:
        """The measurements of a model on a text, by name and group."""
        subset = subset_of(side)
        rows = (row for row in self.measurements if row.subset == subset)
        return {(row.name, row.group): row for row in rows}


def is_explained(run: Run) -> bool:
    """Whether a run holds explanations."""
    return run.info.get("kind") == KIND


def read_explained(run: Run) -> ExplainedRun:
    """The explanations of a run folder.

    Raises `ConfigError` for another kind of run, and `MissingFileError` where nothing is measured
    yet.
    """
    check_kind(run, KIND)
    words = run.path / "prompt_words.json"
    found = read_json(words) if words.is_file() else []
    results = Explained.of(run)
    return ExplainedRun(
        runs=results.runs,
        method=results.method,
        measurements=results.measurements,
        pairs=results.pairs,
        name=run.name,
        table=Table(run.read("attributions.jsonl", Attribution), run.read("prompts.jsonl", Prompt)),
        prompt_words=tuple(from_json(PromptWord, one) for one in found),
        info=run.info,
        config=run.config,
    )
