"""The parts of a report: sections, which hold tables, figures and examples.

Every format renders the same sections: HTML all of them, Markdown their tables, CSV their
records, JSON their data.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from detoxlab.records import Difference, Guard, Measurement, to_json
from detoxlab.reports import words

Trace = dict[str, Any]
"""A trace of a Plotly figure."""

Kind = Literal["text", "number", "unknown", "ok", "worse", "muted", "void"]


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of a cell, the exact number behind it where there is one, and a link.

    `href` is a path relative to the report, made by the report itself.
    """

    text: str
    number: float | None = None
    kind: Kind = "text"
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading; `merge` joins equal cells below each other in HTML.

    In HTML neighbours of one `group` stand under its name.
    """

    title: str
    numeric: bool = False
    merge: bool = False
    group: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of cells, with a note on how to read it.

    A page begins a long table with its `first` rows, and shows the others when readers ask. Where
    it is `sortable`, readers may sort its rows by a column.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    first: int = 8
    sortable: bool = False

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The names over neighbouring columns, each with their number; empty where none has one.

        >>> a, b = Column("a", group="x"), Column("b")
        >>> Table("key", "title", (b, a, a), ()).groups, Table("key", "title", (b,), ()).groups
        ([('', 1), ('x', 2)], [])
        """
        names = [column.group for column in self.columns]
        runs = itertools.groupby(names)
        return [(name, len(list(own))) for name, own in runs] if any(names) else []

    @property
    def is_long(self) -> bool:
        """Whether so many rows follow the first that a page does not begin with all."""
        return len(self.rows) > 1.5 * self.first

    def shown(self) -> Iterator[list[tuple[Cell, int]]]:
        """Rows of (cell, rows it spans), without the cells that a span above covers."""
        for at, row in enumerate(self.rows):
            spans = [(cell, self._span(at, column)) for column, cell in enumerate(row)]
            yield [(cell, span) for cell, span in spans if span]

    def _span(self, at: int, column: int) -> int:
        """The number of rows that a merged cell spans; 0 inside a span that began above."""
        if not self.columns[column].merge:
            return 1
        key = self.rows[at][: column + 1]
        if at and self.rows[at - 1][: column + 1] == key:
            return 0
        below = (row[: column + 1] == key for row in self.rows[at:])
        return next((n for n, same in enumerate(below) if not same), len(self.rows) - at)


@dataclass(frozen=True, slots=True)
class Figure:
    """A Plotly figure, a sentence about it, and its numbers as a table.

    One that is `folded` is for readers who look for it, and opens when they ask.
    """

    key: str
    title: str
    note: str
    data: tuple[Trace, ...]
    layout: Mapping[str, Any]
    table: Table
    folded: bool = False


Point = tuple[float, float]
Tick = tuple[float, str]
"""The place of a line of the grid, and its number."""


Anchor = Literal["start", "middle", "end"]
Style = Literal["", "point", "hollow", "stair", "key", "flow", "limit"]


@dataclass(frozen=True, slots=True)
class Mark:
    """One run in a drawing: the paths of an area, of a line and of signs, and the label.

    `anchor` is the part of the label that stands at `label_at`. `style` is the class of its
    group: the sign of a "hollow" one is not filled, a "stair" is a Pareto front or another thin
    line, a "key" explains a sign, a "limit" is that of a guard, a "flow" has its own colours.
    """

    colour: str
    area: str
    line: str
    dash: str
    signs: str
    label: str
    label_at: Point
    anchor: Anchor = "start"
    style: Style = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture in SVG, a sentence about it, and its numbers as a table.

    `size` is (width, height); `frame` has the left and the right end of the horizontal axis, and
    its height. The title of the vertical axis, where there is one, stands above it. `narrow` is
    the same picture for small screens.
    """

    key: str
    title: str
    note: str
    size: tuple[int, int]
    frame: tuple[float, float, float]
    x_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    table: Table
    y_title: str = ""
    narrow: "Drawing | None" = None


@dataclass(frozen=True, slots=True)
class HeatRow:
    """A word of a response, and the share of each column; None where there is none."""

    word: str
    shares: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class HeatSide:
    """One model's map, with a number about the whole response."""

    run: str
    fact: str
    rows: tuple[HeatRow, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One response, its words over the prompt's `words`, by several models.

    After the words come the columns of `others`, which hold no text of a model. `most` is the
    largest share of a word. A map of no single response has no `prompt_id`.
    """

    key: str
    rule: str
    prompt_id: str
    sample: int
    words: tuple[str, ...]
    others: tuple[str, ...]
    most: float
    sides: tuple[HeatSide, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One model's response with the score of each scorer."""

    run: str
    text: str
    empty: bool
    scores: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Facets:
    """The properties of an example by which readers choose; `moved` is the change of its score.

    `score` is that of the last of its sides. A number that is unknown is None. `groups` are those
    of its prompt, `guards` the names of the guards that mark it.
    """

    moved: float | None = None
    score: float | None = None
    groups: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Filters:
    """The choices that readers have: whether scores `moved`, guards (name, label), groups."""

    moved: bool
    guards: tuple[tuple[str, str], ...]
    groups: tuple[str, ...]

    @classmethod
    def of(cls, found: Sequence[Facets]) -> "Filters":
        """The filters that choose among examples with these facets.

        >>> Filters.of([Facets(0.1, 0.5, ("b", "a"), ("empty",))])
        Filters(moved=True, guards=(('empty', 'Empty responses'),), groups=('a', 'b'))
        """
        names = dict.fromkeys(name for one in found for name in one.guards)
        return cls(
            moved=any(one.moved is not None for one in found),
            guards=tuple((name, words.label(name)) for name in names),
            groups=tuple(sorted({name for one in found for name in one.groups})),
        )

    @property
    def numbered(self) -> list[tuple[int, str]]:
        """The groups, which may hold any character, with their numbers."""
        return list(enumerate(self.groups))


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt and sample in the baseline and in a variant, or a sample of a training.

    Without `facets` it is no object of choice. Where it is `further`, it is shown on request.
    """

    key: str
    rule: str
    prompt_id: str
    sample: int
    prompt: str
    change: str
    sides: tuple[Side, ...]
    facets: Facets | None = None
    further: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report: a heading and its contents.

    `key` is its anchor in HTML. `records` are its rows in CSV (see `record`), `data` its keys in
    JSON. `statements` are its sentences, `commands` lines for a console.
    `drawings`, `maps` (with a note) and `examples` stand by headings and appear only in HTML; the
    last two hold texts of models.
    """

    key: str
    title: str
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    note: str = ""
    examples: tuple[tuple[str, list[Example]], ...] = ()
    statements: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    drawings: tuple[tuple[str, list[Drawing]], ...] = ()
    maps: tuple[tuple[str, str, list[HeatMap]], ...] = ()
    records: tuple[Mapping[str, Any], ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def filters(self) -> Filters | None:
        """The filters of its examples; None where readers cannot choose among them."""
        found = [one.facets for _, examples in self.examples for one in examples if one.facets]
        return Filters.of(found) if found else None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see under the heading."""
        headed = (*self.examples, *self.drawings, *self.maps)
        return not (
            self.tables or self.figures or self.commands or any(found for *_, found in headed)
        )


def without_empty_columns(table: Table) -> Table:
    """The table without the columns that are empty in every row."""
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
    """A number's cell; an unknown number is marked."""
    return Cell(text, value, "unknown" if text == words.UNKNOWN else "number")


def text_cell(text: str | None) -> Cell:
    """A text's cell; a dash where there is no text."""
    return Cell(text) if text else Cell("–", None, "muted")


def optional_cell(value: float | None, text: str) -> Cell:
    """A cell that may be empty because the measure has no such number."""
    return Cell("–", None, "muted") if value is None else value_cell(value, text)


def estimate_cells(row: Measurement) -> tuple[Cell, Cell]:
    """The value of a measurement and its interval."""
    return (
        value_cell(row.value, words.number(row.value, row.unit)),
        value_cell(row.ci_low, words.interval(row.ci_low, row.ci_high, row.unit)),
    )


def moved_cells(row: Difference | Guard, unit: str) -> tuple[Cell, Cell]:
    """Treated minus baseline, and its interval."""
    return (
        value_cell(row.difference, words.difference(row.difference, unit)),
        value_cell(row.ci_low, words.span(row.ci_low, row.ci_high, unit)),
    )


def paired_cells(row: Difference | Guard, unit: str) -> tuple[Cell, Cell, Cell, Cell]:
    """The values of baseline and treated model, their difference, and its interval."""
    return (
        value_cell(row.baseline, words.number(row.baseline, unit)),
        value_cell(row.treated, words.number(row.treated, unit)),
        *moved_cells(row, unit),
    )


def ratio_cells(row: Difference | None) -> tuple[Cell, Cell]:
    """Treated over baseline and its interval; a dash where the measure has no ratio."""
    if row is None or row.ratio is None:
        return text_cell(None), text_cell(None)
    return (
        Cell(words.times(row.ratio), row.ratio, "number"),
        value_cell(row.ratio_low, words.interval(row.ratio_low, row.ratio_high, "ratio")),
    )


def filled(tables: Iterable[Table | None]) -> tuple[Table, ...]:
    """The tables that have rows, without their empty columns."""
    return tuple(without_empty_columns(table) for table in tables if table and table.rows)


def record(
    row: Measurement | Difference | Guard, kind: str | None = None, **names: str
) -> dict[str, Any]:
    """A row of the CSV file: a number with its kind and further names.

    >>> record(Measurement("empty", None), run="base")["state"]
    'unknown'
    """
    value = row.value if isinstance(row, Measurement) else row.difference
    state = words.UNKNOWN if value is None else "known"
    return {"record": kind or type(row).__name__.lower(), "state": state, **names, **to_json(row)}
