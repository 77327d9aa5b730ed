"""The tables of an explained run: differences, values, and the check of its method."""

from collections.abc import Iterator, Sequence

from detoxlab.explanations.measured.catalogue import DIVERGENCE, EXPLAIN_MEASURES, FAITHFULNESS
from detoxlab.explanations.measured.table import ExplainedPair
from detoxlab.records import Difference, Measurement
from detoxlab.reports import words
from detoxlab.reports.explained.pictures import PICTURED
from detoxlab.reports.explained.study import ExplainedRun
from detoxlab.reports.parts import (
    Cell,
    Column,
    Kind,
    Table,
    estimate_cells,
    paired_cells,
    text_cell,
    value_cell,
)

BEATS, FAILS = "✓ beats random", "✗ not shown to beat random on this model"
PAIRED = (
    Column("Baseline", numeric=True),
    Column("Treated", numeric=True),
    Column("Difference", numeric=True),
    Column("95 % interval", numeric=True),
    Column("p (Holm)", numeric=True),
    Column("Prompts", numeric=True),
)
DIFFERENCES_NOTE = (
    "Treated minus baseline, paired by prompt. On the same text nothing differs but the models; on "
    "their own texts the texts differ too. p-values come from random sign flips and are corrected "
    "by Holm's method over the steps or over the levels of toxicity where there are several."
)
LEVELS_NOTE = "By the toxicity of the prompt itself: low below .33, medium, high above .66."
FAITHFULNESS_NOTE = (
    "Nats by which the answer's log-probability falls beyond random choices of as many tokens, "
    "when the prompt's tokens with the largest scores are taken out (deletion), and is spared when "
    "they alone are kept (sufficiency). More is better. Where the interval reaches 0 the method "
    "is not shown to beat random choices: do not rely on its scores of that model."
)


def tables(explained: ExplainedRun) -> list[Table]:
    """All tables that have rows."""
    found = (
        faithfulness(explained),
        differences(explained),
        by_level(explained),
        divergences(explained),
        values(explained),
    )
    return [table for table in found if table.rows]


def differences(explained: ExplainedRun) -> Table:
    """Every measure of each other model against the baseline, on each view."""
    rows = tuple(
        (Cell(pair.treated), Cell(pair.view), Cell(_label(row)), *_paired(row))
        for pair in explained.pairs
        for row in pair.differences
        if row.group is None
    )
    columns = (Column("Model", merge=True), Column("On the", merge=True), Column("Measure"))
    return Table(
        "explained-differences",
        f"Differences from {explained.baseline}",
        (*columns, *PAIRED),
        rows,
        DIFFERENCES_NOTE,
    )


def by_level(explained: ExplainedRun) -> Table:
    """The main measures on the baseline's text, by the toxicity of the prompt itself."""
    rows = tuple(
        (Cell(pair.treated), Cell(_label(row)), Cell(str(row.group)), *_paired(row))
        for pair in _same_text(explained)
        for name in PICTURED
        for row in pair.differences
        if row.name == name and row.group in explained.table.level_groups.values()
    )
    columns = (Column("Model", merge=True), Column("Measure", merge=True), Column("Prompts with"))
    title = f"By the prompt's own toxicity, on the text of {explained.baseline}"
    return Table("explained-levels", title, (*columns, *PAIRED), rows, LEVELS_NOTE)


def divergences(explained: ExplainedRun) -> Table:
    """How differently two models divide their scores over one text."""
    found = [row for row in explained.measurements if row.name == DIVERGENCE.name]
    rows = tuple(
        (text_cell(row.subset), *estimate_cells(row), _count(row.n))
        for row in found
        if row.group is None
    )
    columns = (Column("Models and text"), Column("Divergence", numeric=True), *_ENDS)
    note = f"{DIVERGENCE.description}: from 0, where both divide their scores alike, to 1 bit."
    return Table("explained-divergences", DIVERGENCE.label, columns, rows, note)


def values(explained: ExplainedRun) -> Table:
    """Every measure of each model on each text."""
    left_out = {DIVERGENCE.name, *FAITHFULNESS}
    rows = tuple(
        (
            text_cell(row.subset),
            Cell(_label(row)),
            *estimate_cells(row),
            _count(row.n),
        )
        for row in explained.measurements
        if row.group is None and row.name not in left_out
    )
    columns = (
        Column("Model and text", merge=True),
        Column("Measure"),
        Column("Value", numeric=True),
        Column("95 % interval", numeric=True),
        Column("Prompts", numeric=True),
    )
    note = "Means over steps, then over samples, then over prompts."
    return Table("explained-values", "Every measure", columns, rows, note)


def faithfulness(explained: ExplainedRun) -> Table:
    """Whether the method found the tokens that matter, for each model."""
    rows = tuple(
        (
            Cell(run),
            Cell(_label(row)),
            *estimate_cells(row),
            _count(row.n),
            Cell(mark, None, kind),
        )
        for run, row in _checked(explained)
        for mark, kind in [_mark(row)]
    )
    columns = (
        Column("Model", merge=True),
        Column("Check"),
        Column("Gain", numeric=True),
        *_ENDS,
        Column("Mark"),
    )
    title = f"Is {explained.method} right about these models?"
    return Table("explained-faithfulness", title, columns, rows, FAITHFULNESS_NOTE)


# --- inside ---

_ENDS = (Column("95 % interval", numeric=True), Column("Prompts", numeric=True))


def _checked(explained: ExplainedRun) -> Iterator[tuple[str, Measurement]]:
    for run in explained.runs:
        found = explained.rows_of((run, run))
        yield from ((run, found[name, None]) for name in FAITHFULNESS if (name, None) in found)


def _mark(row: Measurement) -> tuple[str, Kind]:
    if row.ci_low is None:
        return words.UNKNOWN, "unknown"
    return (BEATS, "ok") if row.ci_low > 0 else (FAILS, "worse")


def _same_text(explained: ExplainedRun) -> Sequence[ExplainedPair]:
    view = f"text of {explained.baseline}"
    return [pair for pair in explained.pairs if pair.view == view]


def _paired(row: Difference) -> tuple[Cell, ...]:
    p_value = row.p_holm if row.p_holm is not None else row.p_value
    return (
        *paired_cells(row, row.unit),
        value_cell(p_value, words.p_value(p_value)),
        _count(row.n_prompts),
    )


def _label(row: Measurement | Difference) -> str:
    """The measure and its unit; shares have theirs in each cell."""
    measure = EXPLAIN_MEASURES.get(row.name)
    label = measure.label if measure else words.label(row.name)
    return label if row.unit == "share" else f"{label}, {row.unit}"


def _count(number: int) -> Cell:
    return Cell(words.count(number), float(number), "number")
