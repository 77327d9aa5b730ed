"""The section of an explained run: sentences, curves, distributions, heat maps and tables."""

from typing import Any

from detoxlab.explanations.measured.sentences import told
from detoxlab.records import to_json
from detoxlab.reports.explained.heat import heat_maps, word_tables
from detoxlab.reports.explained.pictures import spreads, step_curves
from detoxlab.reports.explained.study import ExplainedRun
from detoxlab.reports.explained.tables import tables
from detoxlab.reports.parts import Section, record
from detoxlab.reports.study import Study

KEY = "explained"
TITLE = "How much the model listens to its prompt"


def listening(study: Study) -> Section:
    """The section of a report; empty where its study has no explained run."""
    return explained_section(study.explained) if study.explained else Section(KEY, TITLE)


def explained_section(explained: ExplainedRun) -> Section:
    """Everything about one explained run; its texts are covered as those of examples are."""
    return Section(
        KEY,
        TITLE,
        tuple(tables(explained)),
        note=_note(explained),
        statements=tuple(told(explained)),
        drawings=(
            ("Step by step", step_curves(explained)),
            ("Prompt by prompt", spreads(explained)),
        ),
        maps=(*heat_maps(explained), *word_tables(explained)),
        records=tuple(_records(explained)),
        data={KEY: _data(explained)},
    )


def _note(explained: ExplainedRun) -> str:
    config = explained.config
    return (
        f"{explained.method} attributes the {config['target']} of each of the first "
        f"{config['steps']} tokens of a response to the tokens before it; "
        f"{len(explained.table.prompts)} prompts. Compare models on the same text: on their own "
        "texts both models and texts differ."
    )


def _records(explained: ExplainedRun) -> list[dict[str, Any]]:
    measured = [record(row, explained=explained.name) for row in explained.measurements]
    compared = [
        record(
            row, run=pair.treated, against=pair.baseline, view=pair.view, explained=explained.name
        )
        for pair in explained.pairs
        for row in pair.differences
    ]
    return measured + compared


def _data(explained: ExplainedRun) -> dict[str, Any]:
    return {
        "name": explained.name,
        "info": explained.info,
        "config": explained.config,
        "measurements": [to_json(row) for row in explained.measurements],
        "differences": [to_json(pair) for pair in explained.pairs],
    }
