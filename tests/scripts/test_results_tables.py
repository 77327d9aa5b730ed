"""The page of results: its tables and its numbers are those of the published rows."""

import json
from pathlib import Path

import pytest

from detoxlab.errors import ConfigError
from detoxlab.reports.parts import Cell, Column
from detoxlab.reports.published import Published, PublishedRow, column_key, to_plain
from detoxlab.runs import Run
from scripts import results_tables

NAME, CHANGE = Column("Variant"), Column("Change", numeric=True)
PAGE = """
<!-- rows: r; Variant; Change -->
<!-- end -->
<!-- numbers of r -->
`caa-2` takes away {} ([12 pages](x.md)).
<!-- end -->
"""


def rows(seed: int = 0, **changes: str) -> Published:
    keys = column_key(NAME), column_key(CHANGE)
    made = [
        PublishedRow(name, dict(zip(keys, (Cell(name), Cell(text)), strict=True)))
        for name, text in changes.items()
    ]
    return Published({"seed": seed}, (NAME, CHANGE), tuple(made))


def run_of(folder: Path, content: Published) -> Path:
    """The folder of a recipe's run with these rows in its report."""
    Run.start(folder, kind="experiment", config={"name": "r"})
    (folder / "report.json").write_text(json.dumps({"variants": to_plain(content)}))
    return folder


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published rows of one run, in a folder of this test."""
    folder = tmp_path / "benches"
    monkeypatch.setattr(results_tables, "SHIPPED", folder)
    results_tables.add(run_of(tmp_path / "first", rows(base="–", caa="−54.0 %")))


@pytest.mark.usefixtures("shipped")
def test_a_second_run_adds_its_rows_to_the_same_table(tmp_path: Path) -> None:
    results_tables.add(run_of(tmp_path / "second", rows(caa="−53.0 %", dpo="−40.0 %")))
    assert results_tables.with_tables(PAGE).splitlines()[1:7] == [
        "<!-- rows: r; Variant; Change -->",
        "| Variant | Change |",
        "|---|---:|",
        "| base | – |",
        "| caa | −53.0 % |",
        "| dpo | −40.0 % |",
    ]
    with pytest.raises(ConfigError, match="another bench: seed is 0 here and 1 there"):
        results_tables.add(run_of(tmp_path / "third", rows(seed=1, caa="−1 %")))


@pytest.mark.usefixtures("shipped")
def test_a_number_of_the_text_must_stand_in_a_row() -> None:
    assert results_tables.unknown_numbers(PAGE.format("−54.0 %")) == []
    assert results_tables.unknown_numbers(PAGE.format("−55.0 %")) == [
        "docs/results.md: '−55.0%' stands in no row of r"
    ]


def test_the_page_holds_what_the_rows_say() -> None:
    text = results_tables.PAGE.read_text(encoding="utf-8")
    assert results_tables.with_tables(text) == text
    assert results_tables.unknown_numbers(text) == []
