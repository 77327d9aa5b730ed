"""Cells of comparisons, for the table of all variants and that of variants against each other."""

from collections.abc import Sequence
from dataclasses import replace

from detoxlab.measures.catalogue import MACRO_MEAN
from detoxlab.records import Comparison, Difference, Guard
from detoxlab.reports import words
from detoxlab.reports.parts import Cell, moved_cells, text_cell, value_cell
from detoxlab.reports.study import Study
from detoxlab.runs.usage import Usage

MOVED = ("Difference", "95 % interval")
VOID_NOTE = " In parentheses: the two runs cannot be compared, and the number shows no gain."


def has_means(study: Study) -> bool:
    """Whether any comparison has the mean over groups."""
    return any(row.name == MACRO_MEAN for one in study.comparisons for row in one.differences)


def guard_of(comparison: Comparison, name: str) -> Guard | None:
    """The guard of this name."""
    return next((guard for guard in comparison.guards if guard.name == name), None)


def usage_cells(usage: Usage | None) -> tuple[Cell, Cell]:
    """Seconds and peak memory of a stage; lower bounds say so, dashes are not recorded."""
    if usage is None:
        return text_cell(None), text_cell(None)
    least = "" if usage.is_complete else "≥\u00a0"
    seconds, peak = usage.wall_seconds, usage.peak_working_bytes
    return (
        Cell(least + words.duration(seconds), seconds, "number"),
        Cell(least + words.size(peak), float(peak), "number"),
    )


def verdict_cell(comparison: Comparison) -> Cell:
    """The verdict with its sign."""
    text = f"{words.VERDICTS[comparison.verdict][0]} {comparison.verdict}"
    return Cell(text, None, "worse" if comparison.verdict in ("worse", "invalid") else "text")


def held(comparison: Comparison, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The numbers of a gain; greyed and in parentheses where the comparison is invalid."""
    if comparison.verdict != "invalid":
        return tuple(cells)
    return tuple(replace(cell, text=f"({cell.text})", kind="void") for cell in cells)


def with_void_note(note: str, comparisons: Sequence[Comparison]) -> str:
    """The note, and what parentheses say where there are any."""
    return note + (VOID_NOTE if any(one.verdict == "invalid" for one in comparisons) else "")


def worsened(comparison: Comparison) -> Cell:
    """The guards that worsened."""
    worse = [words.label(one.name) for one in comparison.guards if one.status == "worse"]
    return text_cell(", ".join(worse) or None)


def moved(row: Difference | None) -> tuple[Cell, Cell, Cell]:
    """The treated model's value, its difference from the baseline's, and that one's interval."""
    if row is None:
        unknown = value_cell(None, words.UNKNOWN)
        return unknown, unknown, unknown
    return (value_cell(row.treated, words.number(row.treated)), *moved_cells(row, row.unit))


def change(row: Difference | None) -> Cell:
    """The difference as a share of the baseline's value."""
    share = words.relative(row.baseline, row.difference) if row else None
    return value_cell(share, words.percent_change(share))


def perplexity(comparison: Comparison) -> Cell:
    """The perplexity of the responses as a multiple of the baseline's."""
    guard = guard_of(comparison, "perplexity")
    if guard is None or not guard.baseline or guard.treated is None:
        return value_cell(None, words.UNKNOWN)
    ratio = guard.treated / guard.baseline
    return Cell(f"{ratio:.2f}", ratio, "number")
