"""One table of all variants on one bench: gains, costs in other measures, time and memory."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from detoxlab.measures.catalogue import DECIDING, MACRO_MEAN
from detoxlab.records import Comparison, Difference, Guard, to_json
from detoxlab.reports import words
from detoxlab.reports.figures.tradeoff import trade_off
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
from detoxlab.reports.study import Measured, Study, Trained

BENCH = "bench"  # the section that comes before the verdicts
PERPLEXITY = "perplexity"
DIFFERENCE = (Column("Difference", numeric=True), Column("95 % interval", numeric=True))
RATIO = (Column("Ratio", numeric=True), Column("95 % interval", numeric=True))
NOTE = (
    "On comparable responses. Perplexity is that of the responses under the untouched base model. "
    "Training time includes drawing and scoring the model's own responses; peak memory is that of "
    "the whole process while it trained, so on a CPU it holds Python and its libraries too."
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
        tuple(filter(None, [trade_off(study)])),
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
        trained = {run.name: run for run in study.trained}
        rows = tuple(_row(one, trained.get(one.treated), measures) for one in study.gains)
        title = "All variants on one bench"
        tables.append(Table("variants", title, _columns(measures), rows, _note(NOTE, study.gains)))
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
        Column("Training time", numeric=True),
        Column("Peak memory", numeric=True),
    )


def _row(
    comparison: Comparison, trained: Trained | None, measures: Sequence[str]
) -> tuple[Cell, ...]:
    judged = _deciding(comparison, comparison.judge_id)
    checked = _deciding(comparison, comparison.second_id)
    macro = _deciding(comparison, comparison.judge_id, MACRO_MEAN)
    means = _moved(macro) if MACRO_MEAN in measures else ()
    gained = (*_moved(judged), _change(judged), *means, _change(checked))
    info: Any = trained.info if trained else {}
    return (
        Cell(comparison.treated),
        text_cell(info.get("method")),
        _verdict(comparison),
        *_held(comparison, gained),
        _perplexity(comparison.guards),
        _worsened(comparison),
        _measured(info.get("training_seconds"), words.duration),
        _measured(info.get("peak_memory_bytes"), words.size),
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
    judged = _deciding(comparison, comparison.judge_id)
    macro = _deciding(comparison, comparison.judge_id, MACRO_MEAN)
    there = judged.baseline if judged else None
    gained = (
        value_cell(there, words.number(there)),
        *_moved(judged),
        *ratio_cells(judged),
        *((*_moved(macro), *ratio_cells(macro)) if MACRO_MEAN in measures else ()),
        _change(_deciding(comparison, comparison.second_id)),
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


def _deciding(
    comparison: Comparison, scorer_id: str | None, name: str = DECIDING
) -> Difference | None:
    key = (name, scorer_id, "comparable", None)
    rows = (r for r in comparison.differences if (r.name, r.scorer_id, r.subset, r.group) == key)
    return next(rows, None)


def _change(row: Difference | None) -> Cell:
    share = words.relative(row.baseline, row.difference) if row else None
    return value_cell(share, words.percent_change(share))


def _perplexity(guards: tuple[Guard, ...]) -> Cell:
    guard = next((guard for guard in guards if guard.name == PERPLEXITY), None)
    if guard is None or not guard.baseline or guard.treated is None:
        return value_cell(None, words.UNKNOWN)
    ratio = guard.treated / guard.baseline
    return Cell(f"{ratio:.2f}", ratio, "number")


def _measured(value: Any, shown: Any) -> Cell:
    return text_cell(None) if value is None else Cell(shown(value), float(value), "number")
