"""Parts of all figures: colours, names of runs, and the columns of their tables.

Colours are names of CSS variables ("var(--run-0)"), which the page's script resolves, so
that the style sheet alone decides about dark mode and print.
"""

from collections.abc import Sequence

from detoxlab.reports.parts import Column
from detoxlab.reports.safety import plotly_text
from detoxlab.reports.study import Study

# None of these numbers divides the number of colours: only after 30 runs do two look alike.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "x")
RUN_COLOURS = 6


def run_colour(index: int) -> str:
    """The colour of a run; the baseline has colour 0. After the last colour they repeat."""
    return f"var(--run-{index if index == 0 else 1 + (index - 1) % (RUN_COLOURS - 1)})"


def run_label(study: Study, name: str) -> str:
    """The name of a run in a figure, marked if it cannot be compared with the baseline."""
    return plotly_text(name) + (" (invalid)" if name in study.invalid else "")


def headings(titles: Sequence[str], first_numeric: int) -> tuple[Column, ...]:
    """Columns of a figure's table; those from `first_numeric` on hold numbers."""
    return tuple(Column(title, numeric=at >= first_numeric) for at, title in enumerate(titles))
