"""One table of all variants on one bench: what each gained, what it cost, what it took."""

from typing import Any

from detoxlab.records import Comparison, Difference, Guard
from detoxlab.report import words
from detoxlab.report.study import Study, Trained
from detoxlab.report.summary import MAIN
from detoxlab.report.tables import Cell, Column, Table, text_cell, value_cell

PERPLEXITY = "perplexity"
COLUMNS = (
    Column("Variant"),
    Column("Method"),
    Column("Verdict"),
    Column("Toxic, judge", numeric=True),
    Column("Difference", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Change", numeric=True),
    Column("Change, second scorer", numeric=True),
    Column("Perplexity, × base", numeric=True),
    Column("Guards that worsened"),
    Column("Training time", numeric=True),
    Column("Peak memory", numeric=True),
)
NOTE = (
    "On comparable responses. Perplexity is that of the responses under the untouched base model. "
    "Training time includes drawing and scoring the model's own responses; peak memory is that of "
    "the whole process while it trained, so on a CPU it holds Python and its libraries too."
)


def bench_table(study: Study) -> Table | None:
    """The variants side by side; None where there are fewer than two."""
    if len(study.gains) < 2:
        return None
    trained = {run.name: run for run in study.trained}
    rows = tuple(_row(one, trained.get(one.treated)) for one in study.gains)
    return Table("variants", "All variants on one bench", COLUMNS, rows, NOTE)


def _row(comparison: Comparison, trained: Trained | None) -> tuple[Cell, ...]:
    judged = _deciding(comparison, comparison.judge_id)
    checked = _deciding(comparison, comparison.second_id)
    info: Any = trained.info if trained else {}
    treated = judged.treated if judged else None
    moved = judged.difference if judged else None
    low, high = (judged.ci_low, judged.ci_high) if judged else (None, None)
    worse = [words.label(guard.name) for guard in comparison.guards if guard.status == "worse"]
    return (
        Cell(comparison.treated),
        text_cell(info.get("method")),
        Cell(f"{words.VERDICTS[comparison.verdict][0]} {comparison.verdict}"),
        value_cell(treated, words.number(treated)),
        value_cell(moved, words.difference(moved)),
        value_cell(low, words.span(low, high)),
        _change(judged),
        _change(checked),
        _perplexity(comparison.guards),
        text_cell(", ".join(worse) or None),
        _measured(info.get("training_seconds"), words.duration),
        _measured(info.get("peak_memory_bytes"), words.size),
    )


def _deciding(comparison: Comparison, scorer_id: str | None) -> Difference | None:
    key = (MAIN, scorer_id, "comparable", None)
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
