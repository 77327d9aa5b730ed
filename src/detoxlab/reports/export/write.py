"""Writes every figure of a report as files, for papers and slides."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from detoxlab.reports.export.png import png_of
from detoxlab.reports.export.svg import svg_file
from detoxlab.reports.figures.still import as_drawing
from detoxlab.reports.files import replace
from detoxlab.reports.parts import Drawing, Section
from detoxlab.runs import file_name


def write_figures(sections: Iterable[Section], folder: Path | str) -> list[Path]:
    """Write each figure as KEY.svg and KEY.png; returns the SVG files in the report's order.

    Pictures are on white, in the colours of the report on light screens; none holds a text of a
    model. Raises `DependencyError` before anything is written where PNG files cannot be made.
    """
    made = [(file_name(drawn.key), svg_file(drawn)) for drawn in figures_of(sections)]
    pictures = [png_of(svg) for _, svg in made]
    written = []
    for (name, svg), png in zip(made, pictures, strict=True):
        path = Path(folder) / f"{name}.svg"
        replace(path, svg)
        path.with_suffix(".png").write_bytes(png)
        written.append(path)
    return written


def figures_of(sections: Iterable[Section]) -> Iterator[Drawing]:
    """All figures and drawings of the sections as drawings."""
    for section in sections:
        yield from map(as_drawing, section.figures)
        for _, found in section.drawings:
            yield from found
