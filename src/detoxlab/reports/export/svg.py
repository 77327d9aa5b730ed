"""A drawing as an SVG file of its own, on white, with all colours written out."""

import functools
import importlib.resources
import re

from detoxlab.reports.html import environment
from detoxlab.reports.parts import Drawing

FONTS = "'Liberation Sans', Arial, Helvetica, 'DejaVu Sans', sans-serif"
MARGIN = 12
STYLE = """
text { font: 12px FONTS; fill: MUTED; }
.label { fill: currentColor; font-weight: bold; }
.grid, .axis { fill: none; stroke: LINE; }
.axis { stroke: MUTED; }
.area { fill: currentColor; opacity: 0.16; }
.line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
.signs { fill: currentColor; stroke: currentColor; stroke-width: 1.2; }
.spread .area { opacity: 0.4; }
.flow .area { opacity: 1; }
.flow .signs { stroke: none; }
.flow .label { fill: INK; font-weight: normal; }
.point .line, .hollow .line { stroke-width: 1.2; }
.point .signs, .hollow .signs, .key .signs { stroke-width: 1.8; stroke-linejoin: round; }
.hollow .signs { fill: SURFACE; }
.point .label, .hollow .label { paint-order: stroke; stroke: SURFACE; stroke-width: 3px; }
.limit .line { stroke-width: 1.2; }
.limit .label { font-weight: normal; }
.stair .line { stroke-width: 1.4; }
.key .label { font-weight: normal; fill: MUTED; stroke: none; }
"""
VARIABLE = re.compile(r'style="color: var\((--[a-z0-9-]+)\)"')
OPENING = re.compile(r'<svg viewBox="[^"]*" role="img"')


def svg_file(drawing: Drawing) -> str:
    """The drawing as the text of an SVG file that needs nothing else.

    Names in it are escaped, and control and other hidden characters spelt out, as in the page.
    """
    macros = environment().get_template("macros.html").module
    inner = str(macros.svg_of(drawing))  # type: ignore[attr-defined]
    width, height = (size + 2 * MARGIN for size in drawing.size)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="{-MARGIN} {-MARGIN} {width} {height}" role="img"'
    )
    whole = OPENING.sub(opening, inner, count=1)
    head, _, body = whole.partition(">")
    ground = f'<rect x="{-MARGIN}" y="{-MARGIN}" width="{width}" height="{height}" fill="#ffffff"/>'
    styled = VARIABLE.sub(lambda found: f'color="{palette()[found[1]]}"', body)
    return f"{head.strip()}>\n<style>{_style()}</style>\n{ground}{styled.rstrip()}\n"


@functools.cache
def palette() -> dict[str, str]:
    """The colours of the style sheet for light screens, by their variables.

    >>> palette()["--run-1"]
    '#0072b2'
    """
    sheet = (importlib.resources.files("detoxlab.reports") / "style.css").read_text("utf-8")
    block = sheet[sheet.index(":root {") : sheet.index("}")]
    return dict(re.findall(r"(--[a-z0-9-]+):\s*([^;]+);", block))


def _style() -> str:
    colours = {"MUTED": "--muted", "LINE": "--line", "SURFACE": "--surface", "INK": "--ink"}
    style = STYLE.replace("FONTS", FONTS)
    for word, variable in colours.items():
        style = style.replace(word, palette()[variable])
    return style
