"""Figures as files: every figure of a report, by hand-computed places, sizes and escaped names."""

import re
import struct
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from detoxlab.errors import DependencyError
from detoxlab.reports.explained.section import explained_section
from detoxlab.reports.export import figures_of, png, write_figures
from detoxlab.reports.export.svg import palette, svg_file
from detoxlab.reports.figures.still import as_drawing
from detoxlab.reports.parts import Drawing, Figure, Mark, Table
from detoxlab.reports.sections import sections
from detoxlab.reports.tradeoff.section import trade_off
from tests.support.explained_runs import explained
from tests.support.hostile import HOSTILE, PAYLOADS
from tests.support.report_study import study
from tests.support.trade_off import study_of

SVG = "{http://www.w3.org/2000/svg}"
TABLE = Table("t", "t", (), ())


def scatter(**trace: object) -> Figure:
    """A figure of one trace over steps 0 to 10 and heights 0 to 100."""
    layout = {
        "height": 330,
        "xaxis": {"title": {"text": "step"}, "range": [0, 10]},
        "yaxis": {"title": {"text": "height"}, "range": [0, 100]},
    }
    whole = {"type": "scatter", "mode": "lines", "name": "one", "x": [0, 5, 10], "y": [0, 50, 100]}
    return Figure("f", "A figure", "Note.", ({**whole, **trace},), layout, TABLE)


def runs(drawing: Drawing) -> list[Mark]:
    return [mark for mark in drawing.marks if mark.style == ""]


def png_size(content: bytes) -> tuple[int, int]:
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


# --- every figure of a report ---


def test_every_figure_becomes_an_svg_and_a_png_file(tmp_path: Path) -> None:
    parts = sections(study(tmp_path, variants=3, prompts=8, k=2))
    shown = [figure.key for part in parts for figure in part.figures]
    shown += [drawn.key for part in parts for _, found in part.drawings for drawn in found]
    written = write_figures(parts, tmp_path / "figures")
    assert sorted(path.stem for path in written) == sorted(shown)
    assert {"trade-off-toxicity", "changes", "flow-1", "histogram"} <= set(shown)
    for path in written:
        root = ET.fromstring(path.read_text())
        size = int(root.attrib["width"]), int(root.attrib["height"])
        assert png_size(path.with_suffix(".png").read_bytes()) == (2 * size[0], 2 * size[1])


def test_pictures_of_an_explained_run_are_written_too(tmp_path: Path) -> None:
    part = explained_section(explained(tmp_path / "run"))
    written = write_figures([part], tmp_path / "figures")
    assert len(written) == sum(len(found) for _, found in part.drawings) > 3


def test_a_file_stands_alone_on_white_in_colours_of_its_own(tmp_path: Path) -> None:
    for drawn in figures_of(sections(study(tmp_path, variants=2, prompts=8, k=2))):
        text = svg_file(drawn)
        assert "var(" not in text
        assert 'fill="#ffffff"' in text
        assert text.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<script|<image|<use", text)
        colours = {element.get("color") for element in ET.fromstring(text).iter(f"{SVG}g")}
        assert colours <= set(palette().values())


def test_hostile_names_are_text_in_a_file() -> None:
    points = {name: (0.1 * at, 20.0 + at) for at, name in enumerate(PAYLOADS[:6])}
    shown = study_of({"base": (0.6, 20.0), **points, HOSTILE: (0.3, 21.0)})
    for drawn in figures_of(sections(shown)):
        root = ET.fromstring(svg_file(drawn))
        assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
            *("svg", "style", "rect", "text", "path", "g"),
        }
        said = "".join(root.itertext())
        assert not re.search("[\x00\u202e\u200b\u2028]", said)
    (labels,) = [
        [element.text for element in root.iter(f"{SVG}text") if element.get("class") == "label"]
        for root in [ET.fromstring(svg_file(next(figures_of(sections(shown)))))]
    ]
    assert "<!--<script>" in labels


# --- lines, points, bars ---


def test_a_line_runs_from_corner_to_corner() -> None:
    drawing = as_drawing(scatter())
    (line,) = runs(drawing)
    left, right, floor = drawing.frame
    middle = ((left + 6 + right) / 2, (floor + 30) / 2)
    assert line.line == f"M{left + 6:g},{floor:g} L{middle[0]:g},{middle[1]:g} L{right:g},30"
    assert drawing.x_ticks[1][1] == "2"
    assert (drawing.x_title, drawing.y_title) == ("step", "height")


def test_a_line_is_cut_where_a_value_is_unknown_and_steps_where_it_is_a_histogram() -> None:
    (gap,) = runs(as_drawing(scatter(y=[0, None, 100])))
    assert gap.line.count("M") == 2
    (steps,) = runs(as_drawing(scatter(line={"shape": "hv"})))
    heights = [part.split(",")[1] for part in steps.line[1:].split(" L")]
    assert heights[0] == heights[1]
    assert heights[2] == heights[3]


def test_error_bars_reach_from_end_to_end() -> None:
    bars = {"array": [0, 20, 0], "arrayminus": [0, 10, 0]}
    drawing = as_drawing(scatter(mode="markers", error_y=bars, marker={"symbol": "square"}))
    (mark,) = runs(drawing)
    floor = drawing.frame[2]
    ends = [float(part.split(",")[1]) for part in mark.line.split("M")[2].split(" L")]
    assert ends == pytest.approx([floor - 0.4 * (floor - 30), floor - 0.7 * (floor - 30)])


def test_open_symbols_are_hollow() -> None:
    symbols = ["circle", "circle-open", "square"]
    drawing = as_drawing(scatter(mode="markers", marker={"symbol": symbols}))
    (solid,) = runs(drawing)
    (hollow,) = [mark for mark in drawing.marks if mark.style == "hollow"]
    assert (solid.signs.count("Z"), hollow.signs.count("Z")) == (2, 1)


def test_decades_of_a_logarithmic_axis_are_equally_far_apart() -> None:
    figure = scatter(y=[1, 10, 100])
    log = {"xaxis": figure.layout["xaxis"], "yaxis": {"type": "log"}}
    drawing = as_drawing(Figure("f", "A", "N", figure.data, log, TABLE))
    places = {text: place for place, text in drawing.y_ticks}
    assert places["1"] - places["10"] == pytest.approx(places["10"] - places["100"], abs=0.02)


def test_names_of_plotly_are_plain_text() -> None:
    named = as_drawing(scatter(name="&lt;b&gt; &amp; c"))
    (key,) = [mark for mark in named.marks if mark.style == "key"]
    assert key.label == "<b> & c"


def test_the_ribbons_of_a_flow_are_as_high_as_their_counts() -> None:
    trace = {
        "type": "sankey",
        "node": {
            "label": ["a", "b", "c"],
            "color": ["var(--level-0)"] * 3,
            "x": [0.001, 0.001, 0.999],
        },
        "link": {
            "source": [0, 1],
            "target": [2, 2],
            "value": [30, 10],
            "color": ["var(--flow-0)"] * 2,
        },
    }
    drawing = as_drawing(Figure("f", "From x to y", "N", (trace,), {}, TABLE))
    ribbons = [mark.area for mark in drawing.marks if mark.area]
    heights = []
    for area in ribbons:
        numbers = [float(one) for one in re.findall(r"-?\d+\.?\d*", area)]
        heights.append(numbers[9] - numbers[7])
    assert heights[0] == pytest.approx(3 * heights[1], abs=0.02)
    assert drawing.y_title == "From x to y"
    labels = [(mark.label, mark.anchor) for mark in drawing.marks if mark.label]
    assert labels == [("a", "start"), ("b", "start"), ("c", "end")]


# --- PNG ---


def test_text_is_drawn() -> None:
    frame = '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="20">{}</svg>'
    with_text = frame.format("<text x='2' y='15' font-family='sans-serif'>word</text>")
    assert png.png_of(with_text) != png.png_of(frame.format(""))
    assert png_size(png.png_of(with_text)) == (120, 40)


def test_without_resvg_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = trade_off(study_of({"base": (0.5, 20.0), "a": (0.1, 21.0), "b": (0.0, 22.0)}))
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    for cached in (png._resvg, png._check_fonts):
        cached.cache_clear()
    with pytest.raises(DependencyError, match=r"need resvg-py. pip install 'detoxlab\[figures\]'"):
        write_figures([section], tmp_path)
    assert list(tmp_path.iterdir()) == []
