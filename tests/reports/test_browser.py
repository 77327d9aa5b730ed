"""The page in a real browser: quiet, off the network, and readable only by choice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detoxlab.reports import write_explained
from detoxlab.reports.audited import write_audits
from tests.support.audited import card
from tests.support.browser import Opened, browser
from tests.support.explained_runs import explained_run
from tests.support.hostile import hostile_study
from tests.support.rendered import html_of
from tests.support.report_study import study

__all__ = ["browser"]  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


class Report(Opened):
    """A report whose figures are drawn."""

    def __init__(self, browser: Any, file: Path, **context: Any) -> None:
        super().__init__(browser, file.as_uri(), **context)
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
    shown = Report(browser, report, color_scheme="light")
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
    shown = Report(browser, report, device_scale_factor=scale, color_scheme=scheme)
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


def shown_examples(page: Any) -> list[dict[str, str]]:
    """The data of the examples that are on the page now."""
    script = "all => all.filter(e => e.checkVisibility()).map(e => ({...e.dataset}))"
    return list(page.locator("#examples .example").evaluate_all(script))


def test_readers_choose_examples_by_facets_and_text(opened: Opened) -> None:
    page = opened.page
    filters = page.locator("#examples .filters")
    before = len(shown_examples(page))
    filters.locator("[name=moved]").select_option("up")
    worse = shown_examples(page)
    assert len(worse) > 5
    assert all(float(one["moved"]) > 0 for one in worse)
    assert f"{len(worse)} of" in filters.locator(".found").inner_text()
    filters.locator("[name=low]").fill("0.5")
    high = shown_examples(page)
    assert 0 < len(high) < len(worse)
    assert all(float(one["score"]) >= 0.5 for one in high)
    filters.locator("[name=groups]").select_option(label="toxic")
    assert {one["groups"].strip() for one in shown_examples(page)} == {"1"}
    for name in ("moved", "groups"):
        filters.locator(f"[name={name}]").select_option("")
    filters.locator("[name=low]").fill("")
    assert len(shown_examples(page)) == before
    filters.locator("[name=text]").fill("Prompt number 7 ")
    found = page.locator("#examples .example:visible .place bdi").all_inner_texts()
    assert set(found) == {"p7"}
    filters.locator("[name=text]").fill("")


def test_the_responses_of_one_model_can_be_chosen_by_guard(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "one.html"
    shown = study(tmp_path, variants=0, prompts=12, k=1, texts={3: "", 8: "no no no no no"})
    file.write_text(html_of(shown), encoding="utf-8")
    page = browser.new_page(viewport={"width": 400, "height": 800})
    page.goto(file.as_uri())
    page.locator("#examples .filters [name=guards]").select_option("empty")
    assert page.locator("#examples .example:visible .place bdi").all_inner_texts() == ["p3"]
    assert page.locator("#examples .filters [name=moved]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 400
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


def test_a_heading_sorts_the_variants_and_gives_their_order_back(opened: Opened) -> None:
    page = opened.page
    table = page.locator("#variants table")

    def column(at: int) -> list[str]:
        return [
            str(text) for text in table.locator(f"tbody tr > :nth-child({at})").all_inner_texts()
        ]

    given = column(1)
    headings = table.locator("thead tr").last.locator("th").all_inner_texts()
    at = headings.index("Difference") + 1
    button = table.locator("thead button", has_text="Difference")
    button.click()
    known = [float(text.split()[0].replace("−", "-")) for text in column(at) if text != "–"]
    assert known == sorted(known)
    assert column(at)[-1] == "–"  # the baseline has no difference: last, whichever way
    assert table.locator("th[aria-sort=ascending]").count() == 1
    button.click()
    assert column(at)[-1] == "–"
    assert table.locator("th[aria-sort=descending]").count() == 1
    button.click()
    assert column(1) == given
    assert table.locator("th[aria-sort]").count() == 0


def test_a_phone_needs_no_sideways_scroll(opened: Opened) -> None:
    opened.page.set_viewport_size({"width": 400, "height": 800})
    opened.page.wait_for_function("document.documentElement.scrollWidth === 400")


def test_without_scripts_the_text_and_tables_remain(browser: Any, report: Path) -> None:
    page = Report(browser, report, java_script_enabled=False).page
    assert page.get_by_text("but perplexity").first.is_visible()
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
    opened = Report(browser, file, viewport={"width": 400, "height": 800})
    assert opened.page.locator(".plot").count() == 3
    assert opened.page.locator(".plot:not(:has(.main-svg))").count() == 0
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 400
    assert opened.said == []
    assert opened.asked == [file.as_uri()]
    opened.page.close()


def test_hostile_text_does_nothing(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "hostile.html"
    file.write_text(html_of(hostile_study(tmp_path)), encoding="utf-8")
    opened = Report(browser, file)
    assert opened.said == []
    assert opened.asked == [file.as_uri()]
    assert opened.page.title().startswith("</script><script>document.title='owned'")
    assert opened.page.locator("svg a[*|href]").count() == 0
    opened.page.close()


def test_an_injected_script_would_not_run(browser: Any, report: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.html"
    attack = "<script>document.title='owned'</script><img src=https://example.org/x onerror=a()>"
    torn.write_text(report.read_text().replace("<h1>", f"{attack}<h1>", 1))
    opened = Report(browser, torn)
    assert opened.page.title() != "owned"
    assert len(opened.said) >= 2
    assert all("Content Security Policy" in message for message in opened.said)
    opened.page.close()
