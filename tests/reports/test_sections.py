"""Every format renders the same list of sections, so a new part of the report is one section."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from detoxlab.records import Measurement
from detoxlab.reports import FORMATS, write_report
from detoxlab.reports.parts import Cell, Column, Figure, Section, Table, record
from detoxlab.reports.sections import SECTIONS, sections
from detoxlab.reports.study import Study
from tests.support.rendered import csv_of, html_of, json_of, markdown_of
from tests.support.report_page import read_page
from tests.support.report_study import study


def weather(shown: Study) -> Section:
    """A section that no other file knows of."""
    table = Table(
        "weather-all",
        "Weather while it was measured",
        (Column("Model"), Column("Rain", numeric=True)),
        tuple((Cell(name), Cell("3.0 mm", 3.0, "number")) for name in shown.names),
    )
    figure = Figure("rain", "Rain", "By model.", (), {"height": 100}, table)
    rain = Measurement("rain", 3.0, unit="mm", direction="neither")
    return Section(
        "weather",
        "Weather",
        (table,),
        (dataclasses.replace(figure, table=dataclasses.replace(table, key="figure-rain")),),
        note="As it was outside.",
        records=tuple({**record(rain, run=name), "station": "roof"} for name in shown.names),
        data={"weather": {"station": "roof", "rain": dict.fromkeys(shown.names, 3.0)}},
    )


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study whose report has one section more, the last but one."""
    *others, last = SECTIONS
    monkeypatch.setattr("detoxlab.reports.sections.SECTIONS", (*others, weather, last))
    return study(tmp_path, prompts=6, k=1)


def test_a_new_section_stands_in_every_format(small: Study, tmp_path: Path) -> None:
    page = write_report(small, tmp_path / "report.html", FORMATS)
    html = read_page(page.read_text())
    assert html.tables["weather-all"] == [["Model", "Rain"], ["base", "3.0 mm"], ["ft", "3.0 mm"]]
    assert html.tables["figure-rain"] == html.tables["weather-all"]
    assert "As it was outside." in html.texts
    assert ("a", {"href": "#weather"}) in html.tags
    markdown = page.with_suffix(".md").read_text()
    assert "## Weather while it was measured" in markdown
    assert "| base | 3.0 mm |" in markdown
    with page.with_suffix(".csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["name"] == "rain"]
    assert [(row["run"], row["value"], row["station"]) for row in rows] == [
        ("base", "3.0", "roof"),
        ("ft", "3.0", "roof"),
    ]
    stored = json.loads(page.with_suffix(".json").read_text())
    assert stored["weather"] == {"station": "roof", "rain": {"base": 3.0, "ft": 3.0}}


def test_html_and_markdown_have_the_tables_of_the_sections_in_their_order(small: Study) -> None:
    parts = sections(small)
    tables = [table for part in parts for table in part.tables]
    page = html_of(small)
    places = [page.index(f'<div class="table-block" id="{table.key}">') for table in tables]
    assert places == sorted(places)
    headings = [line[3:] for line in markdown_of(small).splitlines() if line.startswith("## ")]
    plain = [title for part in parts for title in _headings(part)]
    assert [heading.replace("\\", "") for heading in headings[-len(plain) :]] == plain


def _headings(part: Section) -> list[str]:
    """The headings of a section in Markdown: of its commands, if it has some, and of its tables."""
    return [*([part.title] if part.commands else []), *(table.title for table in part.tables)]


def test_a_section_with_nothing_to_show_is_left_out_of_the_page_alone(small: Study) -> None:
    keys = {part.key for part in sections(small) if part.is_empty}
    assert "bench" in keys  # one variant needs no table of all
    page = read_page(html_of(small))
    assert not keys & {given.get("id") for _, given in page.tags}
    assert len(json_of(small)["runs"]) == 2
    assert "expected_maximum_toxicity" in csv_of(small)


def test_no_two_sections_share_a_key_of_json_or_of_the_page(small: Study) -> None:
    parts = sections(small)
    keys = [part.key for part in parts]
    data = [key for part in parts for key in part.data]
    assert len(keys) == len(set(keys))
    assert len(data) == len(set(data))
