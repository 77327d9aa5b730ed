"""The first section: all variants side by side, and those held against each other."""

from collections.abc import Sequence
from typing import Any

from detoxlab.measures.catalogue import DECIDING, MACRO_MEAN
from detoxlab.records import Comparison, to_json
from detoxlab.reports import words
from detoxlab.reports.parts import Cell, Column, Section, Table, ratio_cells, record, value_cell
from detoxlab.reports.published import to_plain
from detoxlab.reports.study import Measured, Study
from detoxlab.reports.summary import deciding_row
from detoxlab.reports.variants.cells import (
    MOVED,
    change,
    has_means,
    held,
    moved,
    perplexity,
    verdict_cell,
    with_void_note,
    worsened,
)
from detoxlab.reports.variants.table import published_of, variants_table

BENCH = "bench"  # the section that comes before the verdicts
DIFFERENCE = tuple(Column(title, numeric=True) for title in MOVED)
RATIO = (Column("Ratio", numeric=True), Column("95 % interval", numeric=True))
AGAINST_NOTE = (
    "On comparable responses, by the judge; a ratio below 1 is less toxic than the other variant. "
    "Perplexity is that of the responses under the untouched base model."
)


def all_variants(study: Study) -> Section:
    """The variants side by side; and, for CSV and JSON, all measurements of each run."""
    return Section(
        BENCH,
        "All variants",
        tuple(bench_tables(study)),
        records=tuple(
            record(row, run=run.name) for run in study.measured for row in run.measurements
        ),
        data={
            "runs": [_run(run) for run in study.measured],
            "variants": to_plain(rows) if (rows := published_of(study)) else None,
        },
    )


def _run(run: Measured) -> dict[str, Any]:
    return {
        "name": run.name,
        "info": run.info,
        "config": run.config,
        "measurements": [to_json(row) for row in run.measurements],
        "evaluations": {
            name: {
                "settings": one.settings,
                "measurements": [to_json(row) for row in one.measurements],
            }
            for name, one in run.evaluations.items()
        },
    }


def bench_tables(study: Study) -> list[Table]:
    """The table of all variants, if there are several, and that of comparisons between variants."""
    found = (variants_table(study), _against(study) if study.rivalries else None)
    return [table for table in found if table]


def _against(study: Study) -> Table:
    measures = (DECIDING, MACRO_MEAN) if has_means(study) else (DECIDING,)
    return Table(
        "against",
        "Variants against other variants",
        _against_columns(measures),
        tuple(_against_row(one, measures) for one in study.rivalries),
        with_void_note(AGAINST_NOTE, study.rivalries),
        first=len(study.rivalries),
    )


def _against_columns(measures: Sequence[str]) -> tuple[Column, ...]:
    macro = (Column("Mean over groups", numeric=True), *DIFFERENCE, *RATIO)
    return (
        Column("Against", merge=True),
        Column("Variant"),
        Column("Verdict"),
        Column("Toxic there", numeric=True),
        Column("Toxic here", numeric=True),
        *DIFFERENCE,
        *RATIO,
        *(macro if MACRO_MEAN in measures else ()),
        Column("Change, second scorer", numeric=True),
        Column("Perplexity, × there", numeric=True),
        Column("Guards that worsened"),
    )


def _against_row(comparison: Comparison, measures: Sequence[str]) -> tuple[Cell, ...]:
    judged = deciding_row(comparison, comparison.judge_id)
    macro = deciding_row(comparison, comparison.judge_id, MACRO_MEAN)
    there = judged.baseline if judged else None
    gained = (
        value_cell(there, words.number(there)),
        *moved(judged),
        *ratio_cells(judged),
        *((*moved(macro), *ratio_cells(macro)) if MACRO_MEAN in measures else ()),
        change(deciding_row(comparison, comparison.second_id)),
    )
    return (
        Cell(comparison.baseline),
        Cell(comparison.treated),
        verdict_cell(comparison),
        *held(comparison, gained),
        perplexity(comparison),
        worsened(comparison),
    )
