"""The tables of a report, as data: HTML, Markdown and the reader's eye get the same cells."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from detoxlab.comparisons import Limits
from detoxlab.comparisons.missing import WORST
from detoxlab.measures.catalogue import described
from detoxlab.records import Comparison, Difference, Guard, Measurement
from detoxlab.reports import words
from detoxlab.reports.study import Study

SUBSETS: dict[str | None, str] = {
    None: "all",
    "all": "all",
    "comparable": "comparable",
    "P": "all prompts (P)",
    "P+C": "toxic prompts (P+C)",
}

Kind = Literal["text", "number", "unknown", "ok", "worse", "muted", "void"]


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows, and the exact number behind it where there is one."""

    text: str
    number: float | None = None
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading; `merge` joins equal cells below each other in HTML."""

    title: str
    numeric: bool = False
    merge: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of cells, with a note on how to read it."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def shown(self) -> Iterator[list[tuple[Cell, int]]]:
        """Rows of (cell, rows it spans), without the cells that a span above covers."""
        for at, row in enumerate(self.rows):
            spans = [(cell, self._span(at, column)) for column, cell in enumerate(row)]
            yield [(cell, span) for cell, span in spans if span]

    def _span(self, at: int, column: int) -> int:
        """How many rows a merged cell spans; 0 inside a span that began above."""
        if not self.columns[column].merge:
            return 1
        key = self.rows[at][: column + 1]
        if at and self.rows[at - 1][: column + 1] == key:
            return 0
        below = (row[: column + 1] == key for row in self.rows[at:])
        return next((n for n, same in enumerate(below) if not same), len(self.rows) - at)


def without_empty_columns(table: Table) -> Table:
    """The table without the columns in which no row has anything to say."""
    kept = [
        at
        for at in range(len(table.columns))
        if any(row[at].kind != "muted" for row in table.rows) or not table.rows
    ]
    return replace(
        table,
        columns=tuple(table.columns[at] for at in kept),
        rows=tuple(tuple(row[at] for at in kept) for row in table.rows),
    )


def value_cell(value: float | None, text: str) -> Cell:
    """A number's cell; an unknown one says so."""
    return Cell(text, value, "unknown" if text == words.UNKNOWN else "number")


def text_cell(text: str | None) -> Cell:
    """A text's cell; a dash where there is nothing to say."""
    return Cell(text) if text else Cell("–", None, "muted")


# --- what one run measured ---

VALUE_COLUMNS = (
    Column("Value", numeric=True),
    Column("95 % interval", numeric=True),
    Column("If unscored: none – all toxic", numeric=True),
    Column("Scored", numeric=True),
    Column("Prompts × k", numeric=True),
)


def measurement_tables(study: Study) -> list[Table]:
    """All that was measured: toxicity, other attributes, groups, and all the rest; none is lost."""
    parts: dict[str, list[tuple[str, Measurement]]] = {}
    for run in study.measured:
        for row in run.measurements:
            part = _part_of(row, study.attribute, study.judge_id)
            parts.setdefault(part, []).append((run.name, row))
    return [
        _measured_table(part, title, note, parts[part])
        for part, title, note in PARTS
        if part in parts
    ]


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
    orders = [_in_order(f.of(row) or "" for _, row in rows) for f in facets]
    ranked = sorted(
        rows,
        key=lambda item: [o[f.of(item[1]) or ""] for f, o in zip(facets, orders, strict=True)],
    )
    cells = tuple(
        (*(text_cell(f.of(row)) for f in facets), text_cell(name), *_measured_cells(row))
        for name, row in ranked
    )
    return Table(
        f"measured-{part}", title, (*columns, Column("Model"), *VALUE_COLUMNS), cells, note
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


def _in_order(keys: Iterable[str]) -> dict[str, int]:
    return {key: rank for rank, key in enumerate(dict.fromkeys(keys))}


def _measured_cells(row: Measurement) -> tuple[Cell, ...]:
    return (
        value_cell(row.value, words.number(row.value, row.unit)),
        _optional(row.ci_low, words.interval(row.ci_low, row.ci_high, row.unit)),
        _optional(row.bound_low, words.interval(row.bound_low, row.bound_high, row.unit)),
        _optional(row.coverage, words.number(row.coverage)),
        Cell(words.count(row.n) + (f" × {row.k}" if row.k else ""), float(row.n), "number"),
    )


def _optional(value: float | None, text: str) -> Cell:
    """A cell that may be empty because the measure has no such number."""
    return Cell("–", None, "muted") if value is None else value_cell(value, text)


# --- what a comparison says ---

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
    """Toxicity differences of one comparison, all responses beside the comparable ones."""
    rows = in_reading_order(comparison.overall)
    return Table(
        f"change-{index}",
        f"{comparison.treated} against {comparison.baseline}",
        CHANGE_COLUMNS,
        tuple(_change_cells(row, row.name) for row in rows),
        "Treated minus baseline, paired by prompt; intervals are 95 %. “Comparable” keeps "
        "the pairs where both responses are non-empty, scored and in the prompt's script. "
        + (WORST_NOTE if any(row.subset == WORST for row in rows) else ""),
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


def in_reading_order(rows: Iterable[Difference]) -> list[Difference]:
    """Rows of one group, attribute, measure and scorer together, all before comparable."""
    given = list(rows)
    keys = [(r.group or "", r.attribute or "", r.name, r.scorer_id or "") for r in given]
    orders = [_in_order(column) for column in zip(*keys, strict=True)]
    ranks = [[o[part] for o, part in zip(orders, key, strict=True)] for key in keys]
    return [row for _, _, row in sorted(zip(ranks, range(len(given)), given, strict=True))]


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
        value_cell(row.baseline, words.number(row.baseline, row.unit)),
        value_cell(row.treated, words.number(row.treated, row.unit)),
        value_cell(row.difference, words.difference(row.difference, row.unit)),
        value_cell(row.ci_low, words.span(row.ci_low, row.ci_high, row.unit)),
        change if row.unit in ("share", "score") else text_cell(None),
        _optional(row.p_holm, words.p_value(row.p_holm)),
        Cell(pairs, float(row.n_pairs), "number"),
        _optional(row.coverage, words.number(row.coverage)),
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
    """What may fake or cost a gain, for both models, with its limit and status."""
    return Table(
        f"guards-{index}",
        f"Guards: {comparison.treated} against {comparison.baseline}",
        GUARD_COLUMNS,
        tuple(_guard_cells(guard) for guard in comparison.guards),
        "A guard is worse when its own paired interval excludes 0 in the bad direction and it "
        "moved by more than its limit. An unknown guard could not be computed; it is not passed.",
    )


def _guard_cells(guard: Guard) -> tuple[Cell, ...]:
    unit = described(guard.name).unit
    return (
        Cell(words.label(guard.name)),
        Cell(f"{words.STATUS_SIGNS[guard.status]} {guard.status}", None, guard.status),
        value_cell(guard.baseline, words.number(guard.baseline, unit)),
        value_cell(guard.treated, words.number(guard.treated, unit)),
        value_cell(guard.difference, words.difference(guard.difference, unit)),
        value_cell(guard.ci_low, words.span(guard.ci_low, guard.ci_high, unit)),
        text_cell(_limit(guard.limit, unit)),
        text_cell(guard.note),
    )


def _limit(limit: str, unit: str) -> str:
    """The limit in the guard's unit.

    >>> _limit("+0.02", "share"), _limit("× 0.5 to × 1.25", "perplexity")
    ('+2.0\xa0pts', '×\xa00.5 to ×\xa01.25')
    """
    try:
        return words.difference(float(limit.replace("−", "-")), unit)
    except ValueError:
        return limit.replace("× ", f"×{words.NO_BREAK}")


def limits_table(comparisons: Sequence[Comparison]) -> Table | None:
    """The limits that the verdicts rest on."""
    limits: dict[str, Any] = {}
    for comparison in comparisons:
        limits |= comparison.limits
    if not limits:
        return None
    fields = Limits.model_fields
    meaning = {name: field.description for name, field in fields.items()}
    rows = tuple(
        (Cell(name), _setting(value), text_cell(meaning.get(name)))
        for name, value in limits.items()
    )
    columns = (Column("Limit"), Column("Value", numeric=True), Column("Meaning"))
    return Table("limits", "Limits used", columns, rows)


def _setting(value: Any) -> Cell:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text_cell(None if value is None else str(value))
    return Cell(f"{value:g}".replace("-", "−"), float(value), "number")


def all_tables(study: Study) -> list[Table]:
    """Every table of the report but provenance and the figures' numbers, in its order."""
    tables: list[Table | None] = []
    for index, comparison in enumerate(study.comparisons, start=1):
        tables.append(change_table(comparison, index))
        tables.append(guard_table(comparison, index))
    tables += measurement_tables(study)
    for index, comparison in enumerate(study.comparisons, start=1):
        tables.append(detail_change_table(comparison, index))
    tables.append(limits_table(study.comparisons))
    return [without_empty_columns(table) for table in tables if table is not None and table.rows]


def by_key(tables: Iterable[Table]) -> Mapping[str, Table]:
    """The tables by their key."""
    return {table.key: table for table in tables}
