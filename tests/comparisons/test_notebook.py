"""A comparison in a notebook: the console's verdict and reasons, escaped and short."""

import re
from dataclasses import replace
from html import unescape

import pytest

from detoxlab.cli.common.compared import show_comparison
from detoxlab.records import Comparison
from tests.support.report_study import comparison


def words_of(html: str) -> str:
    """The text of a piece of HTML, with one space between words."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.mark.parametrize("verdict", ["improved", "improved, at a cost", "not shown", "worse"])
def test_it_says_what_the_console_says(verdict: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = comparison(verdict=verdict)
    show_comparison(found)
    console = " ".join(capsys.readouterr().out.split())
    notebook = words_of(found._repr_html_())
    for sentence in (f"{found.treated} against {found.baseline}: {verdict}", *found.sentences):
        assert sentence in console
        assert sentence in notebook


def test_guards_beyond_their_limits_are_named_and_the_others_counted() -> None:
    found = comparison()
    notebook = words_of(found._repr_html_())
    bad = [one for one in found.guards if one.status != "ok"]
    assert 0 < len(bad) < len(found.guards)
    kept = len(found.guards) - len(bad)
    assert f"{kept} of {len(found.guards)} guards within their limits" in notebook
    for guard in found.guards:
        assert (f"{guard.name}: " in notebook) == (guard in bad)


def test_it_is_short_and_has_the_deciding_measure_alone() -> None:
    html = comparison()._repr_html_()
    assert 1 <= html.count("<tr>") - 1 <= 6
    assert "expected_maximum_toxicity" not in html


def test_names_and_sentences_of_files_are_no_markup() -> None:
    hostile: Comparison = replace(
        comparison(),
        treated="<script>alert(1)</script>",
        differences=tuple(replace(one, scorer_id="<u>") for one in comparison().differences),
        reasons=("<img src=x onerror=alert(1)>",),
        guards=tuple(replace(one, name="<b>", limit="<i>") for one in comparison().guards),
    )
    html = hostile._repr_html_()
    assert set(re.findall(r"<(\w+)", html)) <= {
        *("p", "strong", "ul", "li", "table", "thead", "tbody", "tr", "th", "td")
    }
    assert "<script>alert(1)</script> against" in unescape(html)
