"""PNG files of SVG text, by resvg (extra `figures`)."""

import functools
from collections.abc import Callable
from typing import Any

from detoxlab.errors import DependencyError

ZOOM = 2  # pixels per unit of the drawing
FONT = "Liberation Sans"


def png_of(svg: str) -> bytes:
    """The picture as a PNG file, twice as many pixels wide and high as the drawing's size.

    Raises `DependencyError` where resvg is not installed or finds no font.
    """
    _check_fonts()
    return _rendered(svg)


@functools.cache
def _check_fonts() -> None:
    """Raises `DependencyError` where text would silently be left out."""
    frame = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">{}</svg>'
    text = "<text x='2' y='15' font-family='sans-serif'>M</text>"
    if _rendered(frame.format(text)) == _rendered(frame.format("")):
        raise DependencyError(
            "PNG files of figures need a font, and this system has none",
            remedy="Install one, such as fonts-dejavu or fonts-liberation.",
        )


def _rendered(svg: str) -> bytes:
    return bytes(_resvg()(svg_string=svg, zoom=ZOOM, sans_serif_family=FONT))


@functools.cache
def _resvg() -> Callable[..., Any]:
    try:
        import resvg_py
    except ImportError:
        raise DependencyError(
            "PNG files of figures need resvg-py", remedy="pip install 'detoxlab[figures]'"
        ) from None
    found: Callable[..., Any] = resvg_py.svg_to_bytes
    return found
