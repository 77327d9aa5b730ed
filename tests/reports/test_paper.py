"""The report on paper, on a phone, and without cut tables, in a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detoxlab.reports import build_report
from detoxlab.reports.parts import Cell, Column, Table
from tests.support.browser import browser
from tests.support.rendered import html_of
from tests.support.report_runs import real_runs
from tests.support.report_study import study

__all__ = ["browser"]  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

CUT = """all => all.filter(e => e.checkVisibility()
    && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1)).length"""


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A report of two runs with all measures, of a usual size."""
    folder = tmp_path_factory.mktemp("paper")
    file = build_report(real_runs(folder), folder / "report.html", resamples=100)
    opened = browser.new_page()
    opened.goto(file.as_uri())
    opened.wait_for_selector(".plot .main-svg")
    yield opened
    opened.close()


def test_two_runs_fit_on_eight_pages(page: Any) -> None:
    printed = page.pdf(format="A4")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 8


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_has_every_figure_whole_and_on_white(page: Any, scheme: str) -> None:
    """The script that draws figures on screens is not asked: its flow lost a side on paper."""
    page.emulate_media(media="print", color_scheme=scheme)
    flow = page.locator("#flow-1")
    assert flow.locator(".plot").is_hidden()
    assert flow.locator(".still").is_visible()
    wide = flow.locator(".still svg").evaluate("e => e.viewBox.baseVal.width")
    ends = flow.locator(".still .signs").evaluate_all("a => a.map(e => e.getBBox().x)")
    assert {0.0, wide - 20} == set(ends)  # bars on both sides
    assert page.locator(".still:visible").count() == page.locator(".plot").count()
    paper = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--paper')")
    assert paper == "#fafaf8"
    page.emulate_media(media="screen", color_scheme="light")


@pytest.mark.parametrize("width", [420, 1280])
def test_no_table_is_cut(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    wraps = page.locator(".table-wrap")
    assert wraps.count() > 5
    assert wraps.evaluate_all(CUT) == 0
    page.evaluate("document.querySelectorAll('.more').forEach(e => { e.checked = true; })")
    assert page.locator("#measured-toxicity .rest:visible").count() > 6
    assert wraps.evaluate_all(CUT) == 0
    page.evaluate("document.querySelectorAll('.more').forEach(e => { e.checked = false; })")


def test_a_long_table_begins_with_its_first_rows_and_says_how_many_there_are(page: Any) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    block = page.locator("#measured-toxicity")
    rows = block.locator("tbody tr")
    total = rows.count()
    assert total > 12
    assert block.locator("tbody tr:visible").count() == 8
    block.get_by_text(f"Show all {total} rows").click()
    assert block.locator("tbody tr:visible").count() == total
    block.get_by_text("Show the first 8 rows").click()
    assert block.locator("tbody tr:visible").count() == 8


def test_numbers_keep_their_headings_on_a_phone(page: Any) -> None:
    page.set_viewport_size({"width": 420, "height": 900})
    cell = page.locator("#guards-1 td").first
    heading = cell.evaluate("e => getComputedStyle(e, '::before').content")
    assert heading == '"Status"'
    box = cell.bounding_box()
    assert 0 <= box["x"] < box["x"] + box["width"] <= 420
    second = page.locator("#guards-1 tr").nth(1).locator("td").nth(1).bounding_box()
    assert second["y"] == box["y"]  # numbers stand side by side where there is room
    assert second["x"] > box["x"]


def test_a_folded_curve_is_drawn_when_it_is_opened(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(html_of(study(tmp_path, prompts=6, k=1)), encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    page.wait_for_selector("#train-1-loss .main-svg")
    curve = page.locator("#train-1-learning_rate")
    assert not curve.is_visible()
    page.locator("details.folded > summary").click()
    curve.locator(".main-svg").first.wait_for()
    assert curve.locator(".main-svg").first.bounding_box()["width"] > 300
    page.close()


def test_a_table_is_long_where_half_as_many_rows_follow_the_first() -> None:
    def table(rows: int) -> Table:
        return Table("t", "T", (Column("A"),), ((Cell("x"),),) * rows)

    assert [table(rows).is_long for rows in (8, 12, 13)] == [False, False, True]


def test_the_commands_are_copied_by_their_button(browser: Any, tmp_path: Path) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    file = build_report(real_runs(tmp_path, ("base",)), tmp_path / "report.html", resamples=100)
    page = context.new_page()
    page.goto(file.as_uri())
    page.locator(".copy").click()
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator(".commands code").text_content()
    assert copied.splitlines()[-1] == "detoxlab report base --out report.html"
    context.close()
