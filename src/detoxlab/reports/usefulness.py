"""What each model can still do: its evaluations, held against the baseline's item by item."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from detoxlab.evaluations import EVALUATIONS, Evaluated, load_evaluation
from detoxlab.records import Difference, Measurement
from detoxlab.reports import words
from detoxlab.reports.study import Measured
from detoxlab.reports.tables import Cell, Column, Table, text_cell, value_cell

VALUES = (
    Column("Evaluation", merge=True),
    Column("Measure", merge=True),
    Column("Model"),
    Column("Value", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Items", numeric=True),
    Column("Known", numeric=True),
)
CHANGES = (
    Column("Difference", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Ratio", numeric=True),
    Column("95 % interval", numeric=True),
)
AGAINST = (
    Column("Evaluation", merge=True),
    Column("Measure", merge=True),
    Column("Against", merge=True),
    Column("Model"),
    Column("There", numeric=True),
    Column("Here", numeric=True),
    *CHANGES,
    Column("Items", numeric=True),
)
NOTE = (
    "Intervals are bootstrapped over items. Differences and ratios are to the baseline, on the "
    "items that both models have a result for; they are unknown where the models were not asked "
    "alike."
)
AGAINST_NOTE = "As above, held against another variant than the baseline."


@dataclass(frozen=True)
class Change:
    """The differences of one evaluation between two models."""

    evaluation: str
    against: str
    treated: str
    differences: tuple[Difference, ...]


def useful_changes(
    pairs: Iterable[tuple[Measured, Measured]], *, seed: int, resamples: int
) -> tuple[Change, ...]:
    """Every evaluation that the two runs of a pair share, the second held against the first."""
    return tuple(
        Change(
            name,
            there.name,
            here.name,
            _differences(there.evaluations[name], evaluated, seed, resamples),
        )
        for there, here in pairs
        for name, evaluated in here.evaluations.items()
        if name in there.evaluations
    )


def _differences(
    there: Evaluated, here: Evaluated, seed: int, resamples: int
) -> tuple[Difference, ...]:
    """None where the two models were not asked alike, or the kind is not installed here."""
    asked = [(one.settings, one.data) for one in (there, here)]
    if asked[0] != asked[1] or here.settings["kind"] not in EVALUATIONS:
        return ()
    evaluation = load_evaluation(here.settings)
    found = evaluation.differences(there.results, here.results, seed=seed, resamples=resamples)
    return tuple(found)


def usefulness_tables(runs: Sequence[Measured], found: Sequence[Change]) -> list[Table]:
    """All evaluations of all models beside the baseline's; then those against other variants."""
    base = runs[0].name
    others = [one for one in found if one.against != base]
    rows = _in_order(
        (name, row.name, (*_value_cells(name, run.name, row), *_held(found, name, run, row, base)))
        for run in runs
        for name, evaluated in run.evaluations.items()
        for row in evaluated.measurements
    )
    against = _in_order(
        (one.evaluation, row.name, _against_row(one, row))
        for one in others
        for row in one.differences
    )
    tables = (
        Table("usefulness-all", "Usefulness", (*VALUES, *CHANGES), rows, NOTE),
        Table(
            "usefulness-against",
            "Usefulness against other variants",
            AGAINST,
            against,
            AGAINST_NOTE,
        ),
    )
    return [table for table in tables if table.rows]


def _held(
    found: Sequence[Change], name: str, run: Measured, row: Measurement, base: str
) -> tuple[Cell, ...]:
    """The difference of one measure to the baseline; dashes for the baseline itself."""
    if run.name == base:
        return (text_cell(None),) * len(CHANGES)
    key = name, base, run.name
    differences = (
        difference
        for one in found
        if (one.evaluation, one.against, one.treated) == key
        for difference in one.differences
    )
    return _change_cells(next((one for one in differences if one.name == row.name), None))


def _in_order(
    keyed: Iterable[tuple[str, str, tuple[Cell, ...]]],
) -> tuple[tuple[Cell, ...], ...]:
    """The rows of one evaluation and measure together, in the order of their first row."""
    groups: dict[tuple[str, str], list[tuple[Cell, ...]]] = {}
    for evaluation, measure, row in keyed:
        groups.setdefault((evaluation, measure), []).append(row)
    names = list(dict.fromkeys(evaluation for evaluation, _ in groups))
    ranked = sorted(groups, key=lambda key: names.index(key[0]))
    return tuple(row for key in ranked for row in groups[key])


def _value_cells(name: str, model: str, row: Measurement) -> tuple[Cell, ...]:
    return (
        Cell(name),
        Cell(words.label(row.name)),
        Cell(model),
        value_cell(row.value, words.number(row.value, row.unit)),
        value_cell(row.ci_low, words.interval(row.ci_low, row.ci_high, row.unit)),
        Cell(words.count(row.n), float(row.n), "number"),
        value_cell(row.coverage, words.number(row.coverage)),
    )


def _against_row(one: Change, row: Difference) -> tuple[Cell, ...]:
    return (
        Cell(one.evaluation),
        Cell(words.label(row.name)),
        Cell(one.against),
        Cell(one.treated),
        value_cell(row.baseline, words.number(row.baseline, row.unit)),
        value_cell(row.treated, words.number(row.treated, row.unit)),
        *_change_cells(row),
        Cell(words.count(row.n_pairs), float(row.n_pairs), "number"),
    )


def _change_cells(row: Difference | None) -> tuple[Cell, ...]:
    if row is None:
        return (value_cell(None, words.UNKNOWN),) * len(CHANGES)
    return (
        value_cell(row.difference, words.difference(row.difference, row.unit)),
        value_cell(row.ci_low, words.span(row.ci_low, row.ci_high, row.unit)),
        *ratio_cells(row),
    )


def ratio_cells(row: Difference | None) -> tuple[Cell, Cell]:
    """Treated over baseline and its interval; a dash where the measure has no ratio."""
    if row is None or row.ratio is None:
        return text_cell(None), text_cell(None)
    return (
        Cell(words.times(row.ratio), row.ratio, "number"),
        value_cell(row.ratio_low, words.interval(row.ratio_low, row.ratio_high, "ratio")),
    )
