"""What all figures share: colours, names of runs, and the columns of their tables.

Colours are names of CSS variables ("var(--run-0)"), which the page's script resolves, so
that dark mode and print are a matter of the style sheet.
"""

from collections.abc import Sequence

from detoxlab.reports.parts import Column
from detoxlab.reports.safety import plotly_text
from detoxlab.reports.study import Study

# As many of each that none divides the colours' number: only after 30 runs do two look alike.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "x")
RUN_COLOURS = 6


def run_colour(index: int) -> str:
    """The colour of a run: the baseline's is 0; after the last colour they repeat."""
    return f"var(--run-{index if index == 0 else 1 + (index - 1) % (RUN_COLOURS - 1)})"


def run_label(study: Study, name: str) -> str:
    """What a figure calls a run: one that cannot be held against the baseline says so."""
    return plotly_text(name) + (" (invalid)" if name in study.invalid else "")


def headings(titles: Sequence[str], first_numeric: int) -> tuple[Column, ...]:
    """Columns of a figure's table; those from `first_numeric` on hold numbers."""
    return tuple(Column(title, numeric=at >= first_numeric) for at, title in enumerate(titles))
