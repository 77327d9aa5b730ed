"""One table of all variants on one bench: gains, and costs in other measures."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from detoxlab.measures.catalogue import DECIDING, MACRO_MEAN
from detoxlab.records import Comparison, Difference, Guard, Measurement, to_json
from detoxlab.reports import words
from detoxlab.reports.changed import changes_of
from detoxlab.reports.parts import (
    Cell,
    Column,
    Section,
    Table,
    moved_cells,
    ratio_cells,
    record,
    text_cell,
    value_cell,
)
from detoxlab.reports.study import Measured, Study
from detoxlab.reports.summary import deciding_row
from detoxlab.reports.tradeoff.axes import total

BENCH = "bench"  # the section that comes before the verdicts
PERPLEXITY = "perplexity"
DIFFERENCE = (Column("Difference", numeric=True), Column("95 % interval", numeric=True))
RATIO = (Column("Ratio", numeric=True), Column("95 % interval", numeric=True))
NOTE = (
    "On comparable responses; the baseline's own share is of all of its responses. "
    "Perplexity is that of the responses under the untouched base model."
)
VOID_NOTE = " In parentheses: the two runs cannot be compared, and the number shows no gain."
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
        data={"runs": [_run(run) for run in study.measured]},
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
    measures = (DECIDING, MACRO_MEAN) if _has_macro_mean(study) else (DECIDING,)
    tables = []
    if len(study.gains) > 1:
        by_name = {run.name: run for run in study.measured}
        rows = (
            _baseline_row(study, measures),
            *(_row(one, changes_of(study, by_name[one.treated]), measures) for one in study.gains),
        )
        title = "All variants on one bench"
        tables.append(
            Table(
                "variants",
                title,
                _columns(measures),
                rows,
                _note(NOTE, study.gains),
                first=len(rows),
            )
        )
    if study.rivalries:
        rows = tuple(_against_row(one, measures) for one in study.rivalries)
        title = "Variants against other variants"
        tables.append(
            Table(
                "against",
                title,
                _against_columns(measures),
                rows,
                _note(AGAINST_NOTE, study.rivalries),
                first=len(rows),
            )
        )
    return tables


def _has_macro_mean(study: Study) -> bool:
    return any(row.name == MACRO_MEAN for one in study.comparisons for row in one.differences)


def _columns(measures: Sequence[str]) -> tuple[Column, ...]:
    macro = (Column("Mean over groups", numeric=True), *DIFFERENCE)
    return (
        Column("Variant"),
        Column("Method"),
        Column("Verdict"),
        Column("Toxic, judge", numeric=True),
        *DIFFERENCE,
        Column("Change", numeric=True),
        *(macro if MACRO_MEAN in measures else ()),
        Column("Change, second scorer", numeric=True),
        Column("Perplexity, × base", numeric=True),
        Column("Guards that worsened"),
    )


def _baseline_row(study: Study, measures: Sequence[str]) -> tuple[Cell, ...]:
    """The baseline's own shares; what is measured against it has no number."""
    nothing = text_cell(None)
    judged, mean = (
        total(study.baseline, name, study.judge_id, study.attribute)
        for name in (DECIDING, MACRO_MEAN)
    )
    means = (_share(mean), nothing, nothing) if MACRO_MEAN in measures else ()
    return (
        Cell(study.baseline.name),
        Cell("baseline"),
        nothing,
        _share(judged),
        *(nothing,) * len(DIFFERENCE),
        nothing,
        *means,
        nothing,
        Cell("1.00", 1.0, "number"),
        nothing,
    )


def _share(row: Measurement | None) -> Cell:
    value = row.value if row else None
    return value_cell(value, words.number(value))


def _row(
    comparison: Comparison, changes: Sequence[str], measures: Sequence[str]
) -> tuple[Cell, ...]:
    judged = deciding_row(comparison, comparison.judge_id)
    checked = deciding_row(comparison, comparison.second_id)
    macro = deciding_row(comparison, comparison.judge_id, MACRO_MEAN)
    means = _moved(macro) if MACRO_MEAN in measures else ()
    gained = (*_moved(judged), _change(judged), *means, _change(checked))
    return (
        Cell(comparison.treated),
        text_cell(" + ".join(changes) or None),
        _verdict(comparison),
        *_held(comparison, gained),
        _perplexity(comparison.guards),
        _worsened(comparison),
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
        *_moved(judged),
        *ratio_cells(judged),
        *((*_moved(macro), *ratio_cells(macro)) if MACRO_MEAN in measures else ()),
        _change(deciding_row(comparison, comparison.second_id)),
    )
    return (
        Cell(comparison.baseline),
        Cell(comparison.treated),
        _verdict(comparison),
        *_held(comparison, gained),
        _perplexity(comparison.guards),
        _worsened(comparison),
    )


def _verdict(comparison: Comparison) -> Cell:
    text = f"{words.VERDICTS[comparison.verdict][0]} {comparison.verdict}"
    return Cell(text, None, "worse" if comparison.verdict in ("worse", "invalid") else "text")


def _held(comparison: Comparison, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The numbers of a gain; greyed and in parentheses where the comparison is invalid."""
    if comparison.verdict != "invalid":
        return tuple(cells)
    return tuple(replace(cell, text=f"({cell.text})", kind="void") for cell in cells)


def _note(note: str, comparisons: Sequence[Comparison]) -> str:
    return note + (VOID_NOTE if any(one.verdict == "invalid" for one in comparisons) else "")


def _worsened(comparison: Comparison) -> Cell:
    worse = [words.label(guard.name) for guard in comparison.guards if guard.status == "worse"]
    return text_cell(", ".join(worse) or None)


def _moved(row: Difference | None) -> tuple[Cell, Cell, Cell]:
    """The treated model's value, its difference from the baseline's, and that one's interval."""
    if row is None:
        unknown = value_cell(None, words.UNKNOWN)
        return unknown, unknown, unknown
    return (value_cell(row.treated, words.number(row.treated)), *moved_cells(row, row.unit))


def _change(row: Difference | None) -> Cell:
    share = words.relative(row.baseline, row.difference) if row else None
    return value_cell(share, words.percent_change(share))


def _perplexity(guards: tuple[Guard, ...]) -> Cell:
    guard = next((guard for guard in guards if guard.name == PERPLEXITY), None)
    if guard is None or not guard.baseline or guard.treated is None:
        return value_cell(None, words.UNKNOWN)
    ratio = guard.treated / guard.baseline
    return Cell(f"{ratio:.2f}", ratio, "number")
