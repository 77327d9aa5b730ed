"""The page to try the scorers, in a real browser: off the network, escaped, blurred by choice."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import Opened, browser
from tests.support.served import Server, serving

PATIENCE = 120_000  # milliseconds
RUDE = "\U0001f600 You stupid fool! It rains. <img src=x onerror=alert(1)>"
__all__ = ["browser"]  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


class TryPage(Opened):
    """The page of a server, with its scorers' cards."""

    def __init__(self, browser: Any, server: Server, **context: Any) -> None:
        super().__init__(browser, server.url, patience=PATIENCE, **context)
        self.page.wait_for_selector("#cards details")

    def score(self, text: str) -> None:
        with self.page.expect_response("**/v1alpha1/comments:analyze"):
            self.page.fill("#input", text)
            self.page.click("#score")
        self.page.wait_for_selector("#score:enabled")


@pytest.fixture(scope="module")
def opened(browser: Any, linear: Server) -> Iterator[TryPage]:
    shown = TryPage(browser, linear, color_scheme="light")
    shown.score(RUDE)
    yield shown
    shown.page.close()


def test_every_attribute_has_a_bar(opened: TryPage) -> None:
    names = opened.page.locator(".attribute .name").all_inner_texts()
    assert names[0] == "TOXICITY"
    assert len(names) == 8
    first = opened.page.locator(".attribute").first
    value = float(first.locator(".value").inner_text().removesuffix(" %"))
    rail, bar = (first.locator(one).bounding_box()["width"] for one in (".rail", ".bar"))
    assert bar / rail == pytest.approx(value / 100, abs=0.01)
    assert value > 50
    assert "marked" in first.get_attribute("class")


def test_sentences_are_highlighted_at_their_places(opened: TryPage) -> None:
    marks = opened.page.locator("#text mark")
    assert marks.all_inner_texts()[:2] == ["\U0001f600 You stupid fool!", "It rains."]
    shares = [
        float(one.evaluate("one => getComputedStyle(one).getPropertyValue('--p')"))
        for one in marks.all()
    ]
    assert shares[0] > 0.5 > shares[1]
    assert opened.page.locator("#text").inner_text() == RUDE


def test_another_attribute_can_be_chosen(opened: TryPage) -> None:
    opened.page.locator(".attribute", has_text="THREAT").click()
    assert opened.page.locator("#chosen").inner_text() == "THREAT"
    assert opened.page.locator("#text").inner_text() == RUDE


def test_it_is_quiet_and_stays_at_its_server(opened: TryPage, linear: Server) -> None:
    assert opened.said == []
    assert all(url.startswith((linear.url, "data:")) for url in opened.asked)
    assert opened.page.locator("#text img").count() == 0


def test_the_card_of_the_scorer_is_shown(opened: TryPage) -> None:
    opened.page.locator("#cards summary").first.click()
    text = opened.page.locator("#cards details").first.inner_text()
    assert "rtp-linear@1" in text
    assert "Languages: en." in text
    assert "HateCheck, ROC-AUC" in text


def test_what_is_not_read_is_unknown_and_not_zero(browser: Any, linear: Server) -> None:
    shown = TryPage(browser, linear)
    shown.score("한국어")
    assert "unknown" in shown.page.locator("#said").inner_text()
    assert set(shown.page.locator(".attribute .value").all_inner_texts()) == {"unknown"}
    assert shown.page.locator(".bar").count() == 0
    shown.score(" ")
    assert shown.page.locator("#said").inner_text() == "Comment must be non-empty."
    assert not shown.page.locator("#result").is_visible()
    shown.page.close()


def test_a_history_is_kept_by_choice_alone_and_blurred(browser: Any, linear: Server) -> None:
    shown = TryPage(browser, linear)
    shown.score("first fool")
    assert shown.page.locator("#history li").count() == 0
    shown.page.check("#keep")
    shown.score("second fool")
    entry = shown.page.locator("#history button")
    assert entry.evaluate("one => getComputedStyle(one).filter") == "blur(6px)"
    entry.click()
    assert entry.evaluate("one => getComputedStyle(one).filter") == "none"
    shown.page.fill("#input", "")
    entry.click()
    assert shown.page.input_value("#input") == "second fool"
    shown.page.uncheck("#keep")
    assert shown.page.locator("#history li").count() == 0
    stored = "localStorage.length + sessionStorage.length + document.cookie.length"
    assert shown.page.evaluate(stored) == 0
    shown.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read(browser: Any, linear: Server, scheme: str) -> None:
    shown = TryPage(browser, linear, color_scheme=scheme, viewport={"width": 360, "height": 740})
    shown.score("You stupid fool! " + "wide" * 100)
    wide = shown.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360
    paper, ink = shown.page.evaluate(
        "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
    )
    light = [sum(map(int, one[4:-1].split(","))) > 384 for one in (paper, ink)]
    assert light == ([True, False] if scheme == "light" else [False, True])
    shown.page.close()


def test_a_key_is_asked_for_where_one_is_needed(browser: Any) -> None:
    with serving("rtp-linear", env={"DETOXLAB_SERVE_KEYS": "k"}) as server:
        shown = TryPage(browser, server)
        shown.score("fool")
        assert "valid API key" in shown.page.locator("#said").inner_text()
        shown.page.fill("#key", "k")
        shown.score("fool")
        assert shown.page.locator(".bar").count() == 8
        shown.page.close()
        assert "key=" not in "".join(shown.asked)
