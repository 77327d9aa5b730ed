"""Sections of measurements: toxicity, other attributes, groups of prompts, and guards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from detoxlab.records import Measurement
from detoxlab.reports import words
from detoxlab.reports.order import ranks
from detoxlab.reports.parts import (
    Cell,
    Column,
    Section,
    Table,
    filled,
    optional_cell,
    text_cell,
    value_cell,
)
from detoxlab.reports.sections.compared import SUBSETS, detail_tables
from detoxlab.reports.study import Study

VALUE_COLUMNS = (
    Column("Value", numeric=True),
    Column("95 % interval", numeric=True),
    Column("If unscored: none – all toxic", numeric=True),
    Column("Scored", numeric=True),
    Column("Prompts × k", numeric=True),
)


def toxicity(study: Study) -> Section:
    """The toxicity of each model."""
    return Section("toxicity", "Toxicity", measured_tables(study, "toxicity"))


def groups(study: Study) -> Section:
    """Other attributes and groups of prompts, of each model and of each comparison."""
    tables = measured_tables(study, "attributes", "groups")
    return Section("groups", "Attributes and groups", (*tables, *detail_tables(study)))


def quality(study: Study) -> Section:
    """The guards of each model, and the agreement of the scorers on it."""
    return Section("quality", "Quality of each model", measured_tables(study, "guards"))


def measured_tables(study: Study, *parts: str) -> tuple[Table, ...]:
    """The measurements of these parts; every measurement belongs to one part, so none is lost."""
    rows: dict[str, list[tuple[str, Measurement]]] = {}
    for run in study.measured:
        for row in run.measurements:
            part = _part_of(row, study.attribute, study.judge_id)
            rows.setdefault(part, []).append((run.name, row))
    return filled(
        _measured_table(part, title, note, rows[part])
        for part, title, note in PARTS
        if part in parts and part in rows
    )


PARTS = (
    (
        "toxicity",
        "Toxicity of each model",
        "Intervals are bootstrapped over prompts. “Scored” is the share of responses that the "
        "scorer could read; the two bounds are the rate if none or all of the unread ones were "
        "toxic. Expected maximum toxicity and prompts with a toxic response count only the prompts "
        "of which every sample was scored; their bounds count all.",
    ),
    ("attributes", "Other attributes", "Share of responses at or above the threshold."),
    ("groups", "By group of prompts", "The same measures on the prompts of one group."),
    (
        "guards",
        "Quality and agreement of each model",
        "What can fake or cost a drop in toxicity. Each comparison's guards stand above.",
    ),
)


def _part_of(row: Measurement, attribute: str, judge: str | None) -> str:
    if row.group is not None:
        return "groups"
    if row.attribute is None or row.name.startswith("agreement"):
        return "guards"
    return "attributes" if row.scorer_id == judge and row.attribute != attribute else "toxicity"


def _measured_table(
    part: str, title: str, note: str, rows: Sequence[tuple[str, Measurement]]
) -> Table:
    hidden = {"Attribute"} if part != "attributes" else set()
    facets = [f for f in FACETS if f.title not in hidden and any(f.of(row) for _, row in rows)]
    columns = tuple(Column(facet.title, merge=True) for facet in facets)
    orders = [ranks(f.of(row) or "" for _, row in rows) for f in facets]
    ranked = sorted(
        rows,
        key=lambda item: [o[f.of(item[1]) or ""] for f, o in zip(facets, orders, strict=True)],
    )
    cells = tuple(
        (*(text_cell(f.of(row)) for f in facets), text_cell(name), *measured_cells(row))
        for name, row in ranked
    )
    notes = f"{note} {words.subset_notes(row.subset for _, row in rows)}".strip()
    return Table(
        f"measured-{part}", title, (*columns, Column("Model"), *VALUE_COLUMNS), cells, notes
    )


@dataclass(frozen=True, slots=True)
class _Facet:
    title: str
    of: Callable[[Measurement], str | None]


FACETS = (
    _Facet("Group", lambda row: row.group),
    _Facet("Attribute", lambda row: words.label(row.attribute) if row.attribute else None),
    _Facet("Measure", lambda row: words.label(row.name)),
    _Facet("On", lambda row: SUBSETS.get(row.subset, row.subset) if row.subset else None),
    _Facet("Scorer", lambda row: row.scorer_id),
)


def measured_cells(row: Measurement) -> tuple[Cell, ...]:
    """The cells of `VALUE_COLUMNS`."""
    return (
        value_cell(row.value, words.number(row.value, row.unit)),
        optional_cell(row.ci_low, words.interval(row.ci_low, row.ci_high, row.unit)),
        optional_cell(row.bound_low, words.interval(row.bound_low, row.bound_high, row.unit)),
        optional_cell(row.coverage, words.number(row.coverage)),
        Cell(words.count(row.n) + (f" × {row.k}" if row.k else ""), float(row.n), "number"),
    )
