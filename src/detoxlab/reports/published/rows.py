"""Rows of several experiments on one bench, in one table.

They are joined only where the bench is the same: the model's weights, the prompts as they were
asked, the protocol, the scorers and the seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detoxlab.errors import ConfigError
from detoxlab.reports.parts import Cell, Column, text_cell

Key = tuple[str, str]
"""The group and the title of a column."""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """A row: its cells by column, and facts such as when it was measured, by which commit."""

    name: str
    cells: Mapping[Key, Cell]
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """The rows of one bench, the baseline first."""

    bench: Mapping[str, Any]
    columns: tuple[Column, ...]
    rows: tuple[PublishedRow, ...]

    def joined(self, other: "Published") -> "Published":
        """These rows and the other ones, which take the place of rows of the same name.

        Raises `ConfigError` where the bench is another one.
        """
        if found := difference(self.bench, other.bench):
            raise ConfigError(
                f"the rows are of another bench: {found}",
                remedy="Only models that were measured alike stand in one table.",
            )
        known = {column_key(column) for column in self.columns}
        columns = self.columns + tuple(c for c in other.columns if column_key(c) not in known)
        rows = {row.name: row for row in (*self.rows, *other.rows)}
        return Published(self.bench, columns, tuple(rows.values()))


def column_key(column: Column) -> Key:
    """The key of a column, by which tables are joined."""
    return column.group, column.title


def cells_of(row: PublishedRow, columns: Sequence[Column]) -> tuple[Cell, ...]:
    """The cells of a row in these columns."""
    return tuple(row.cells.get(column_key(column), text_cell(None)) for column in columns)


def difference(bench: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first difference of two benches in words; None where they are the same.

    >>> difference({"judge": "a@1"}, {"judge": "b@1"})
    "judge is 'a@1' here and 'b@1' there"
    """
    for name, value in bench.items():
        if value != other.get(name):
            return f"{name} is {value!r} here and {other.get(name)!r} there"
    return None
