"""The usefulness of each model: its evaluations, compared with the baseline's item by item."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from detoxlab.evaluations import Evaluated, GroupToxicity
from detoxlab.records import Difference, Measurement, to_json
from detoxlab.reports import words
from detoxlab.reports.parts import (
    Cell,
    Column,
    Section,
    Table,
    estimate_cells,
    moved_cells,
    paired_cells,
    ratio_cells,
    record,
    text_cell,
    value_cell,
)
from detoxlab.reports.study import EvaluationChange, Measured, Study

GROUPS = GroupToxicity.model_fields["kind"].default
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
    Column("p", numeric=True),
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
    "alike. p is McNemar's exact test of the questions that changed, for shares of questions."
)
GROUP_NOTE = "As above; p is corrected over the tasks of one evaluation (Holm)."
AGAINST_NOTE = "As above, held against another variant than the baseline."


def usefulness(study: Study) -> Section:
    """The evaluations of each model, and their differences between models.

    Toxicity by group has a section of its own.
    """
    study = study.with_evaluations(lambda one: not is_by_group(one))
    return Section(
        "usefulness",
        "Usefulness",
        tuple(usefulness_tables(study.measured, study.usefulness)),
        records=(*values(study), *changes(study)),
        data={"usefulness": [to_json(change) for change in study.usefulness]},
    )


def is_by_group(evaluated: Evaluated) -> bool:
    """Whether an evaluation is one of toxicity by group, which is not usefulness."""
    return bool(evaluated.settings["kind"] == GROUPS)


def values(study: Study) -> Iterator[dict[str, Any]]:
    """Records of all measurements of evaluations."""
    for run in study.measured:
        for name, one in run.evaluations.items():
            yield from (record(row, run=run.name, evaluation=name) for row in one.measurements)


def changes(study: Study) -> Iterator[dict[str, Any]]:
    """Records of all differences of evaluations."""
    for change in study.usefulness:
        names = {
            "run": change.treated,
            "against": change.against,
            "evaluation": change.evaluation,
        }
        yield from (record(row, **names) for row in change.differences)


def usefulness_tables(runs: Sequence[Measured], found: Sequence[EvaluationChange]) -> list[Table]:
    """All evaluations of all models against the baseline's; then those against other variants."""
    base = runs[0].name
    others = [one for one in found if one.against != base]
    valued = [
        (row.group is not None, name, _label(row), run, row)
        for run in runs
        for name, evaluated in run.evaluations.items()
        for row in evaluated.measurements
    ]
    rows, grouped = (
        _in_order(
            (
                name,
                label,
                (*_value_cells(name, run.name, row), *held_cells(found, name, run, row, base)),
            )
            for in_group, name, label, run, row in valued
            if in_group == wanted
        )
        for wanted in (False, True)
    )
    against = _in_order(
        (one.evaluation, _label(row), _against_row(one, row))
        for one in others
        for row in one.differences
        if row.group is None
    )
    columns = (*VALUES, *CHANGES)
    tables = (
        Table("usefulness-all", "Usefulness", columns, rows, NOTE),
        Table("usefulness-groups", "Usefulness by task or group", columns, grouped, GROUP_NOTE),
        Table(
            "usefulness-against",
            "Usefulness against other variants",
            AGAINST,
            against,
            AGAINST_NOTE,
        ),
    )
    return [table for table in tables if table.rows]


def held_cells(
    found: Sequence[EvaluationChange], name: str, run: Measured, row: Measurement, base: str
) -> tuple[Cell, ...]:
    """The difference of one measure from the baseline; dashes for the baseline itself."""
    if run.name == base:
        return (text_cell(None),) * len(CHANGES)
    key = name, base, run.name
    differences = (
        difference
        for one in found
        if (one.evaluation, one.against, one.treated) == key
        for difference in one.differences
    )
    same = (one for one in differences if _which(one) == _which(row))
    return _change_cells(next(same, None))


def _which(row: Measurement | Difference) -> tuple[str | None, ...]:
    """The three names by which the measures of one evaluation differ."""
    return row.name, row.attribute, row.group


def _label(row: Measurement | Difference) -> str:
    """The measure's label, with the group, and the name of another program's metric."""
    shown = f"{words.label(row.name)} ({row.attribute})" if row.attribute else words.label(row.name)
    return f"{row.group}: {shown}" if row.group else shown


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
        Cell(_label(row)),
        Cell(model),
        *estimate_cells(row),
        Cell(words.count(row.n), float(row.n), "number"),
        value_cell(row.coverage, words.number(row.coverage)),
    )


def _against_row(one: EvaluationChange, row: Difference) -> tuple[Cell, ...]:
    return (
        Cell(one.evaluation),
        Cell(_label(row)),
        Cell(one.against),
        Cell(one.treated),
        *paired_cells(row, row.unit),
        *ratio_cells(row),
        _p_cell(row),
        Cell(words.count(row.n_pairs), float(row.n_pairs), "number"),
    )


def _change_cells(row: Difference | None) -> tuple[Cell, ...]:
    if row is None:
        return (value_cell(None, words.UNKNOWN),) * len(CHANGES)
    return (*moved_cells(row, row.unit), *ratio_cells(row), _p_cell(row))


def _p_cell(row: Difference) -> Cell:
    p_value = row.p_value if row.p_holm is None else row.p_holm
    return text_cell(None) if p_value is None else value_cell(p_value, words.p_value(p_value))
