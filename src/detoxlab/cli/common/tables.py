"""The terminal, and the form of tables on it."""

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

UNCUT = 10_000  # columns; where nobody sees the page no cell is cut and no line is broken


def console() -> Console:
    """The terminal as wide as it is; a pipe or a file is wide enough for everything."""
    found = Console()
    return found if found.is_terminal else Console(width=UNCUT)


def empty_table(title: str | None = None, *, names: tuple[str, ...] = ()) -> Table:
    """A table without lines; columns of names are never cut, but broken where they must."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def show_names(title: str, lines: Mapping[str, str], heading: str) -> None:
    """Print a table of names with a few words about each."""
    table = empty_table(title, names=("name", heading))
    for name, line in lines.items():
        table.add_row(escape(name), escape(line))
    console().print(table)
