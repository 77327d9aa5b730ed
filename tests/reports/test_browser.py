"""The page in a real browser: quiet, off the network, and readable only by choice."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detoxlab.reports import write_explained
from detoxlab.reports.audited import write_audits
from tests.support.audited import card
from tests.support.explained_runs import explained_run
from tests.support.hostile import hostile_study
from tests.support.rendered import html_of
from tests.support.report_study import study

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 240_000  # milliseconds; a busy machine needs a minute for Plotly
pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium through Playwright; without it a test fails in CI and skips elsewhere."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if not path and os.environ.get("CI"):
        pytest.fail("chromium is not installed")
    if not path:
        pytest.skip("install chromium to run this test")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        launched = play.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


class Opened:
    """A page with everything it said and asked for."""

    def __init__(self, browser: Any, file: Path, **context: Any) -> None:
        self.page = browser.new_page(**context)
        self.page.set_default_timeout(PATIENCE)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        if context.get("java_script_enabled", True):
            self.page.wait_for_selector(".plot .main-svg")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    file = folder / "report.html"
    file.write_text(html_of(study(folder, variants=2, prompts=20, k=2)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def opened(browser: Any, report: Path) -> Iterator[Opened]:
    """The report as most tests need it, opened once."""
    shown = Opened(browser, report, color_scheme="light")
    yield shown
    shown.page.close()


def label_colour(page: Any, after: str = "") -> str:
    """The colour of a figure's labels, as soon as it is another one than `after`."""
    drawn = page.wait_for_function(
        """after => {
            const label = document.querySelector(".plot .xtick text");
            const colour = label ? getComputedStyle(label).fill : "";
            return colour !== after && colour;
        }""",
        arg=after,
    )
    return str(drawn.json_value())


def test_it_draws_every_figure_quietly_in_both_schemes(opened: Opened, report: Path) -> None:
    page = opened.page
    assert page.locator(".plot").count() >= 7
    assert page.locator(".plot:not(:has(.main-svg))").count() == 0
    light = label_colour(page)
    page.emulate_media(color_scheme="dark")
    dark = label_colour(page, after=light)
    page.emulate_media(color_scheme="light")
    assert label_colour(page, after=dark) == light
    assert opened.said == []
    assert opened.asked == [report.as_uri()]


def test_text_is_not_drawn_until_it_is_asked_for(opened: Opened) -> None:
    page = opened.page
    words = page.locator(".example .words").first
    assert words.is_hidden()
    assert words.get_attribute("aria-hidden") == "true"
    page.locator(".example .cover").first.click()
    assert words.is_visible()
    assert words.get_attribute("aria-hidden") == "false"
    assert page.locator(".example").nth(1).locator(".words").first.is_hidden()


@pytest.mark.parametrize(("scale", "scheme"), [(1, "light"), (2, "dark")])
def test_a_covered_text_leaves_no_trace_in_the_picture(
    browser: Any, report: Path, scale: int, scheme: Any
) -> None:
    """Two texts that fill as many lines look the same to the pixel until one is revealed."""
    shown = Opened(browser, report, device_scale_factor=scale, color_scheme=scheme)
    example = shown.page.locator(".example").first
    veil, words = example.locator(".veil").first, example.locator(".words").first

    def picture(text: str) -> bytes:
        words.evaluate("(e, text) => { e.textContent = text; }", text)
        return bytes(veil.screenshot())

    texts = ["you fool", "iiiii", "WWWWWW 42", "\U0001f621"]
    assert len({picture(text) for text in texts}) == 1
    example.locator(".cover").first.click()
    assert len({picture(text) for text in texts}) == len(texts)
    shown.page.close()


def test_the_words_of_heat_maps_are_covered_too(browser: Any, tmp_path: Path) -> None:
    """By mouse, by keyboard and all at once; the page needs no Plotly and fits a phone."""
    file = write_explained(explained_run(tmp_path / "run"), tmp_path / "out.html")
    page = browser.new_page(viewport={"width": 420, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())
    words = page.locator(".maps .words")
    first, second = (page.locator(".example").nth(at).locator(".words").first for at in (0, 1))
    assert words.count() > 20
    assert all(words.nth(at).is_hidden() for at in range(words.count()))
    assert first.get_attribute("aria-hidden") == "true"
    page.locator(".maps .cover").first.click()
    assert first.is_visible()
    assert second.is_hidden()
    page.locator(".reveal").first.focus()
    page.keyboard.press("Space")
    assert first.is_hidden()
    page.locator(".show-all").click()
    assert first.is_visible()
    assert second.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert said == []
    page.close()


def test_print_hides_what_was_not_shown(opened: Opened) -> None:
    page = opened.page
    page.emulate_media(media="print")
    assert page.locator(".example .words").first.is_visible()
    assert page.locator(".example").nth(1).locator(".words").first.is_hidden()
    page.emulate_media(media="screen")


def test_the_keyboard_shows_and_hides_text_too(opened: Opened) -> None:
    page = opened.page
    words = page.locator(".example .words").first
    page.get_by_text("Hide text").first.click()
    assert words.is_hidden()
    page.locator(".reveal").first.focus()
    page.keyboard.press("Space")
    assert words.is_visible()
    page.get_by_role("button", name="Show all texts").click()
    assert page.locator(".reveal:not(:checked)").count() == 0
    page.get_by_role("button", name="Hide all texts").click()
    assert page.locator(".reveal:checked").count() == 0


def test_a_phone_needs_no_sideways_scroll(opened: Opened) -> None:
    opened.page.set_viewport_size({"width": 400, "height": 800})
    opened.page.wait_for_function("document.documentElement.scrollWidth === 400")


def test_without_scripts_the_text_and_tables_remain(browser: Any, report: Path) -> None:
    page = Opened(browser, report, java_script_enabled=False).page
    assert page.get_by_text("Less toxic, at a cost").first.is_visible()
    assert page.locator(".plot").first.is_hidden()
    assert page.locator("#guards-1 table").is_visible()
    page.locator("figure details summary").first.click()
    assert page.locator("figure details table").first.is_visible()
    words = page.locator(".example .words").first
    assert words.is_hidden()
    page.locator(".example .cover").first.click()
    assert words.is_visible()
    page.close()


def test_the_page_of_an_audit_is_quiet_and_fits_a_phone(browser: Any, tmp_path: Path) -> None:
    file = write_audits([card(), card("other@1", "hate")], tmp_path)
    opened = Opened(browser, file, viewport={"width": 400, "height": 800})
    assert opened.page.locator(".plot").count() == 3
    assert opened.page.locator(".plot:not(:has(.main-svg))").count() == 0
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 400
    assert opened.said == []
    assert opened.asked == [file.as_uri()]
    opened.page.close()


def test_hostile_text_does_nothing(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "hostile.html"
    file.write_text(html_of(hostile_study(tmp_path)), encoding="utf-8")
    opened = Opened(browser, file)
    assert opened.said == []
    assert opened.asked == [file.as_uri()]
    assert opened.page.title().startswith("</script><script>document.title='owned'")
    assert opened.page.locator("svg a[*|href]").count() == 0
    opened.page.close()


def test_an_injected_script_would_not_run(browser: Any, report: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.html"
    attack = "<script>document.title='owned'</script><img src=https://example.org/x onerror=a()>"
    torn.write_text(report.read_text().replace("<h1>", f"{attack}<h1>", 1))
    opened = Opened(browser, torn)
    assert opened.page.title() != "owned"
    assert len(opened.said) >= 2
    assert all("Content Security Policy" in message for message in opened.said)
    opened.page.close()
