"""Text of models, and every name in a run, is hostile input: nothing of it may act."""

import base64
import csv
import hashlib
import io
import json
import re
from pathlib import Path

import pytest

from detoxlab.reports import safety
from detoxlab.reports.study import Study
from tests.support.hostile import PAYLOADS, hostile_study
from tests.support.rendered import csv_of, html_of, json_of, markdown_of
from tests.support.report_page import Page, read_page
from tests.support.report_study import study

SAFE_TAGS = {
    "html", "head", "meta", "title", "style", "body", "a", "header", "p", "h1", "h2", "h3", "h4",
    "dl", "div", "dt", "dd", "bdi", "nav", "ol", "li", "main", "section", "article", "span",
    "strong", "b", "br", "ul", "figure", "figcaption", "details", "summary", "table", "caption",
    "thead", "tbody", "tr", "th", "td", "input", "label", "button", "footer", "script",
    "aside", "pre", "code", "svg", "path", "g", "text", "select", "option",
}  # fmt: skip


STYLE = r"color: var\(--(?:(?:run|level|flow)-\d|ink|muted|accent|bad)\)|--shade: [\d.]+"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return hostile_study(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def text(hostile: Study) -> str:
    return html_of(hostile)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return read_page(text)


def test_no_tag_comes_from_text(page: Page, tmp_path: Path) -> None:
    assert {tag for tag, _ in page.tags} <= SAFE_TAGS
    harmless = read_page(html_of(study(tmp_path, prompts=12, k=2)))
    assert len(page.scripts) == len(harmless.scripts) == 3


def test_no_attribute_acts_or_loads(page: Page) -> None:
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "srcset", "action", "formaction", "data", "poster"), tag
            assert name != "href" or (value or "").startswith("#"), (tag, value)
            assert name != "style" or re.fullmatch(STYLE, value or "")


def test_no_style_sheet_loads_anything(text: str) -> None:
    styles = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    assert len(styles) == 1
    assert "url(" not in styles[0]
    assert "@import" not in styles[0]


def test_the_policy_allows_these_scripts_and_nothing_else(page: Page) -> None:
    policies = [
        attributes["content"] or ""
        for tag, attributes in page.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    rules = dict(rule.strip().split(" ", 1) for rule in policies[0].split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in page.scripts[1:]
    ]
    assert rules["script-src"].split() == hashes
    assert not any("http" in rule for rule in rules.values())


def test_the_data_of_the_figures_is_data(page: Page) -> None:
    assert not set("<>&\u2028") & set(page.scripts[0])
    content = json.loads(page.scripts[0])
    names = {trace.get("name", "") for figure in content.values() for trace in figure["data"]}
    assert any("owned" in name for name in names)
    for string in _strings(content):
        assert not re.search(r"<(?!br>)", string.replace("<extra></extra>", "")), string


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [s for item in value.values() for s in _strings(item)]
    return [s for item in value for s in _strings(item)] if isinstance(value, list) else []


def test_hidden_and_reordering_characters_are_spelt_out(hostile: Study, text: str) -> None:
    stored = json.dumps(json_of(hostile), ensure_ascii=False)
    for written in (text, markdown_of(hostile), csv_of(hostile), stored):
        own = re.sub(r"<script>.*?</script>", "", written, flags=re.DOTALL)
        assert not re.findall(r"[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\x00\x1b\u2028]", own)
        assert "⟨U+202E⟩evil" in own.replace("\\", "")
        own.encode()


def test_template_syntax_in_text_stays_text(text: str) -> None:
    assert "{{ 7 * 7 }}" in text


def test_markdown_holds_no_tag_link_image_or_heading(hostile: Study) -> None:
    written = markdown_of(hostile)
    assert not re.search(r"(?<!\\)<[a-z!/]", written)
    assert not re.search(r"(?<!\\)\]\(", written)
    assert not re.search(r"(?<!\\)`", written)
    assert "\n# title" not in written


def test_csv_holds_no_formula_and_no_torn_row(hostile: Study) -> None:
    rows = list(csv.reader(io.StringIO(csv_of(hostile))))
    assert {len(row) for row in rows} == {len(rows[0])}
    for cell in (cell for row in rows for cell in row if cell[:1] in set("=+-@\t\r")):
        float(cell)


@pytest.mark.parametrize("start", [*"=+-@", "\t=", " =", "\r@", "\n=", "\u200b="])
def test_a_cell_that_begins_like_a_formula_gets_a_quote(start: str) -> None:
    cell = safety.csv_cell(f"{start}1+1")
    assert cell[0] in "'⟨"


def test_a_script_cannot_be_ended_from_within() -> None:
    content = {"a": "</script><!-- \u2028 & ]]>", "b": [1.5, None]}
    written = safety.script_json(content)
    assert json.loads(written) == content
    assert not set("<>&\u2028") & set(written)
    with pytest.raises(ValueError, match="JSON"):
        safety.script_json(float("nan"))


def test_each_format_escapes_a_name_that_is_only_a_payload() -> None:
    for payload in PAYLOADS:
        assert "<" not in safety.plotly_text(payload)
        assert "\n" not in safety.markdown(payload)
        assert not re.search(r"(?<!\\)[<|`\[]", safety.markdown(payload))
