"""The view in a real browser: list, filter, pin, pairs, cover, and a URL for every view."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detoxlab.viewing import export, serving
from tests.support.browser import Opened, browser
from tests.support.hostile import PAYLOADS
from tests.support.report_study import measured_run

__all__ = ["browser"]  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    hostile = dict(enumerate(text.replace("\ud800", "") for text in PAYLOADS))
    measured_run(folder / "base", level=0.4, prompts=30, k=2, missing=0.0)
    measured_run(folder / "ft", level=0.1, prompts=30, k=2, seed=1, missing=0.0, texts={7: ""})
    measured_run(folder / "hostile", level=0.2, prompts=12, k=1, texts=hostile)
    return folder


@pytest.fixture(scope="module")
def home(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(runs, port=0, cache=tmp_path_factory.mktemp("cache")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.url
        server.shutdown()


@pytest.fixture
def opened(browser: Any, home: str) -> Iterator[Opened]:
    one = Opened(browser, home)
    yield one
    assert one.said == []
    assert all(url.startswith(home) for url in one.asked)
    one.page.close()


def names(page: Any) -> list[str]:
    return list(page.locator("table.runs tbody th bdi").all_inner_texts())


def test_from_the_list_to_the_pairs_that_worsened_and_back_by_the_url(
    opened: Opened, browser: Any
) -> None:
    page = opened.page
    assert names(page) == ["base", "ft", "hostile"]
    row = page.locator("tr", has=page.get_by_role("link", name="base", exact=True))
    row.locator(".pin").click()
    page.wait_for_url("**/?baseline=base")
    assert "base" in page.locator(".pinned").inner_text()
    page.locator("table.runs tbody").get_by_role("link", name="ft", exact=True).click()
    page.wait_for_selector("#rows .example")
    assert page.locator("#rows .example").count() == 25
    page.locator("#rows [name=moved]").select_option("up")
    page.wait_for_url("**moved=up**")
    page.wait_for_selector("#rows .example")
    page.locator("#rows [name=order]").select_option("rise")
    page.wait_for_url("**order=rise**")
    page.wait_for_selector("#rows .example")
    changes = [float(t) for t in page.locator("#rows .change").all_inner_texts()]
    assert changes == sorted(changes, reverse=True)
    assert changes[-1] > 0
    again = Opened(browser, page.url)
    again.page.wait_for_selector("#rows .example")
    assert [float(t) for t in again.page.locator("#rows .change").all_inner_texts()] == changes
    assert again.page.locator("#rows [name=moved]").input_value() == "up"
    again.page.close()


def test_the_verdict_comes_when_it_is_worked_out(opened: Opened, home: str) -> None:
    opened.page.goto(f"{home}run?baseline=base&run=ft")
    opened.page.wait_for_selector(".verdict .badge")
    assert "verdict:" in opened.page.locator(".verdict .badge").inner_text()
    assert opened.page.locator("#guards-1 tbody tr").count() > 8


def test_text_is_covered_until_it_is_asked_for(opened: Opened, home: str) -> None:
    page = opened.page
    page.goto(f"{home}run?run=base")
    page.wait_for_selector("#rows .example")
    words = page.locator("#rows .example .words")
    assert words.first.is_hidden()
    assert words.first.get_attribute("aria-hidden") == "true"
    page.locator("#rows .example .cover").first.click()
    assert words.first.is_visible()
    assert page.locator("#rows .example").nth(1).locator(".words").first.is_hidden()
    page.get_by_role("button", name="Show all texts").click()
    assert page.locator("#rows .reveal:not(:checked)").count() == 0
    page.reload()
    page.wait_for_selector("#rows .example")
    assert page.locator("#rows .example .words").first.is_hidden()


def test_a_new_run_appears_in_the_list_without_a_reload(opened: Opened, runs: Path) -> None:
    page = opened.page
    page.wait_for_timeout(500)
    measured_run(runs / "later", level=0.3, prompts=2, k=1)
    page.get_by_role("link", name="later").wait_for()
    page.locator("#list [name=text]").fill("late")
    page.keyboard.press("Enter")
    page.wait_for_url("**text=late**")
    assert names(page) == ["later"]


def test_texts_of_models_do_nothing(opened: Opened, home: str) -> None:
    opened.page.goto(f"{home}run?run=hostile")
    opened.page.wait_for_selector("#rows .example")
    opened.page.get_by_role("button", name="Show all texts").click()
    assert opened.page.title() == "hostile"
    assert opened.page.locator("#rows img, #rows svg").count() == 0


@pytest.mark.parametrize("path", ["", "?baseline=base", "run?baseline=base&run=ft"])
def test_it_fits_a_phone(browser: Any, home: str, path: str) -> None:
    one = Opened(browser, home + path, viewport={"width": 420, "height": 900})
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 420
    assert one.said == []
    one.page.close()


def test_exported_pages_open_from_files(browser: Any, runs: Path, tmp_path: Path) -> None:
    index = export(runs, tmp_path / "pages", baseline="base", resamples=100)
    one = Opened(browser, index.as_uri())
    page = one.page
    page.locator("th[data-column=toxic]").click()
    page.locator("th[data-column=toxic]").click()
    assert names(page)[0] == "base"
    page.locator("#list input").fill("ft")
    assert page.locator("table.runs tbody tr:visible").count() == 1
    page.get_by_role("link", name="ft", exact=True).click()
    page.locator(".filters [name=moved]").select_option("up")
    shown = page.locator(".example:visible .change").all_text_contents()
    assert shown
    assert all(text.startswith("+") for text in shown)
    assert page.locator(".example:visible .words").count() > 0
    assert not page.locator(".example:visible .words").first.is_visible()
    assert one.said == []
    assert all(url.startswith("file:") for url in one.asked)
    page.close()
