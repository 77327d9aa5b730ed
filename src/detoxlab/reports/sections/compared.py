"""Sections of comparisons: differences, guards, and differences by group and attribute."""

from typing import Any

from detoxlab.comparisons.evidence import limit_shown
from detoxlab.comparisons.missing import WORST
from detoxlab.measures.catalogue import described
from detoxlab.records import Comparison, Difference, Guard, to_json
from detoxlab.reports import words
from detoxlab.reports.figures.changes import changes
from detoxlab.reports.figures.guards import guard_pictures
from detoxlab.reports.figures.sensitivity import sensitivity
from detoxlab.reports.order import in_reading_order
from detoxlab.reports.parts import (
    Cell,
    Column,
    Section,
    Table,
    filled,
    optional_cell,
    paired_cells,
    record,
    text_cell,
    value_cell,
)
from detoxlab.reports.study import Study

SUBSETS: dict[str | None, str] = {
    None: "all",
    "all": "all",
    "comparable": "comparable",
    "P": "all prompts (P)",
    "P+C": "toxic prompts (P+C)",
    "P+H": "hateful prompts (P+H)",
}


def what_changed(study: Study) -> Section:
    """The differences of toxicity; and, for CSV and JSON, all rows of the comparisons."""
    return Section(
        "change",
        "What changed",
        filled(change_table(one, at) for at, one in enumerate(study.comparisons, start=1)),
        tuple(filter(None, [changes(study), sensitivity(study)])),
        records=tuple(row for one in study.comparisons for row in _records(one)),
        data={"comparisons": [to_json(one) for one in study.comparisons]},
    )


def guards(study: Study) -> Section:
    """The guards of each comparison; and of several variants, a picture of each guard."""
    tables = (guard_table(one, at) for at, one in enumerate(study.comparisons, start=1))
    drawn = guard_pictures(study)
    return Section("guards", "Guards", filled(tables), drawings=(("", drawn),) if drawn else ())


def detail_tables(study: Study) -> tuple[Table, ...]:
    """The differences of each comparison by group and attribute, where it has any."""
    numbered = enumerate(study.comparisons, start=1)
    return filled(detail_change_table(one, at) for at, one in numbered)


def _records(comparison: Comparison) -> list[dict[str, Any]]:
    names = {"run": comparison.treated, "against": comparison.baseline}
    return [
        *(record(row, **names) for row in comparison.differences),
        *(record(row, **names) for row in comparison.guards),
        *(record(row, "sensitivity", **names) for row in comparison.sensitivity),
    ]


CHANGE_COLUMNS = (
    Column("Measure", merge=True),
    Column("Scorer", merge=True),
    Column("Responses"),
    Column("Baseline", numeric=True),
    Column("Treated", numeric=True),
    Column("Difference", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Change", numeric=True),
    Column("p (Holm)", numeric=True),
    Column("Prompts / pairs", numeric=True),
    Column("Scored", numeric=True),
)


WORST_NOTE = (
    "“Worst case” counts all pairs, with every response that was not scored taken against what the "
    "comparable pairs show."
)


def change_table(comparison: Comparison, index: int) -> Table:
    """Toxicity differences of one comparison, on all and on comparable responses."""
    rows = in_reading_order(comparison.overall)
    return Table(
        f"change-{index}",
        f"{comparison.treated} against {comparison.baseline}",
        CHANGE_COLUMNS,
        tuple(_change_cells(row, row.name) for row in rows),
        "Treated minus baseline, paired by prompt; intervals are 95 %. “Comparable” keeps "
        "the pairs where both responses are non-empty, scored and in the prompt's script. "
        + (f"{WORST_NOTE} " if any(row.subset == WORST for row in rows) else "")
        + words.subset_notes(row.subset for row in rows),
    )


def detail_change_table(comparison: Comparison, index: int) -> Table | None:
    """The differences per group and per attribute, if the comparison has any."""
    main = comparison.overall
    rows = in_reading_order(d for d in comparison.differences if d not in main)
    if not rows:
        return None
    columns = (Column("Group or attribute", merge=True), *CHANGE_COLUMNS)
    cells = tuple(
        (text_cell(_detail_of(row, comparison.attribute)), *_change_cells(row, row.name))
        for row in rows
    )
    title = f"{comparison.treated} against {comparison.baseline}, by group and attribute"
    return Table(f"change-detail-{index}", title, columns, cells)


def _detail_of(row: Difference, attribute: str | None) -> str:
    is_other = row.attribute not in (None, attribute or "toxicity")
    parts = (row.group, words.label(row.attribute or "") if is_other else None)
    return " · ".join(part for part in parts if part)


def _change_cells(row: Difference, name: str) -> tuple[Cell, ...]:
    share = words.relative(row.baseline, row.difference)
    change = value_cell(share, words.percent_change(share))
    pairs = f"{words.count(row.n_prompts)} / {words.count(row.n_pairs)}"
    return (
        Cell(words.label(name)),
        text_cell(row.scorer_id),
        Cell(SUBSETS.get(row.subset, row.subset or "all")),
        *paired_cells(row, row.unit),
        change if row.unit in ("share", "score") else text_cell(None),
        optional_cell(row.p_holm, words.p_value(row.p_holm)),
        Cell(pairs, float(row.n_pairs), "number"),
        optional_cell(row.coverage, words.number(row.coverage)),
    )


GUARD_COLUMNS = (
    Column("Guard"),
    Column("Status"),
    Column("Baseline", numeric=True),
    Column("Treated", numeric=True),
    Column("Difference", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Limit"),
    Column("Note"),
)


def guard_table(comparison: Comparison, index: int) -> Table:
    """The guards of one comparison for both models, with limit and status."""
    return Table(
        f"guards-{index}",
        f"Guards: {comparison.treated} against {comparison.baseline}",
        GUARD_COLUMNS,
        tuple(_guard_cells(guard) for guard in comparison.guards),
        "A guard is worse when its own paired interval excludes 0 in the bad direction and it "
        "moved by more than its limit. An unknown guard could not be computed; it is not passed.",
        first=len(comparison.guards),
    )


def _guard_cells(guard: Guard) -> tuple[Cell, ...]:
    unit = described(guard.name).unit
    return (
        Cell(words.label(guard.name)),
        Cell(f"{words.STATUS_SIGNS[guard.status]} {guard.status}", None, guard.status),
        *paired_cells(guard, unit),
        text_cell(limit_shown(guard.limit, unit)),
        text_cell(guard.note),
    )
