"""Rows that outlive their runs: written, read, joined, and shown beside others."""

import dataclasses
import json
from pathlib import Path

import pytest

from detoxlab.errors import ConfigError, DataError
from detoxlab.reports.parts import Cell, Column
from detoxlab.reports.published import (
    Published,
    PublishedRow,
    column_key,
    from_plain,
    read_published,
    to_plain,
)
from detoxlab.reports.study import Study
from detoxlab.reports.variants.beside import bench_of
from detoxlab.reports.variants.table import published_of, variants_table
from tests.support.rendered import json_of
from tests.support.report_study import study

SHARE = Column("Toxic, judge", numeric=True, group="Toxicity, by the judge")
OWN = Column("Accuracy, quiz", numeric=True, group="Usefulness")


def rows(bench: dict[str, object], **shares: float) -> Published:
    """Rows with a share each, and a column that no other table has."""
    name = Column("Variant")
    return Published(
        bench,
        (name, SHARE, OWN),
        tuple(
            PublishedRow(
                one,
                {
                    column_key(name): Cell(one),
                    column_key(SHARE): Cell(f"{100 * share:.1f} %", share, "number"),
                    column_key(OWN): Cell("0.5", 0.5, "number"),
                },
            )
            for one, share in shares.items()
        ),
    )


@pytest.fixture
def shown(tmp_path: Path) -> Study:
    return study(tmp_path, variants=3, prompts=8, k=2)


def names(table_rows: tuple[tuple[Cell, ...], ...]) -> list[str]:
    return [row[0].text for row in table_rows]


def test_what_is_written_is_read_again(shown: Study, tmp_path: Path) -> None:
    made = published_of(shown)
    assert made is not None
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(to_plain(made)))
    assert read_published(file) == made
    assert json_of(shown)["variants"] == to_plain(made)
    assert [row.name for row in made.rows] == ["base", "ft", "dpo", "steer"]


def test_rows_of_one_name_are_replaced_and_others_added() -> None:
    first, second = rows({"seed": 0}, base=0.4, a=0.3), rows({"seed": 0}, a=0.1, b=0.2)
    joined = first.joined(second)
    key = column_key(SHARE)
    assert {row.name: row.cells[key].number for row in joined.rows} == {
        "base": 0.4,
        "a": 0.1,
        "b": 0.2,
    }
    with pytest.raises(ConfigError, match="another bench: seed is 0 here and 1 there"):
        first.joined(rows({"seed": 1}, a=0.1))


def test_rows_beside_stand_below_with_columns_of_their_own(shown: Study) -> None:
    """Those of names that are measured here are left out: the new number stands for the old one."""
    theirs = rows(bench_of(shown), ft=0.9, caa=0.2)
    table = variants_table(dataclasses.replace(shown, beside=theirs))
    assert table is not None
    assert names(table.rows) == ["base", "ft", "dpo", "steer", "caa (published)"]
    titles = [column.title for column in table.columns]
    last = dict(zip(titles, table.rows[-1], strict=True))
    assert (last["Toxic, judge"].number, last["Accuracy, quiz"].number) == (0.2, 0.5)
    assert last["Verdict"].text == table.rows[1][titles.index("Accuracy, quiz")].text == "–"
    assert "Published rows were measured before" in table.note


def test_rows_of_another_bench_are_left_out_with_the_reason(shown: Study) -> None:
    theirs = rows(bench_of(shown) | {"judge": "other@1"}, caa=0.2)
    table = variants_table(dataclasses.replace(shown, beside=theirs))
    assert table is not None
    assert names(table.rows) == ["base", "ft", "dpo", "steer"]
    assert "another bench: judge is" in table.note


def test_one_variant_stands_beside_published_rows(tmp_path: Path) -> None:
    shown = study(tmp_path, variants=1, prompts=8, k=2)
    assert variants_table(shown) is None
    table = variants_table(dataclasses.replace(shown, beside=rows(bench_of(shown), caa=0.2)))
    assert table is not None
    assert names(table.rows) == ["base", "ft", "caa (published)"]


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(DataError, match=r"x\.json: holds no table of variants"):
        from_plain({"rows": []}, "x.json")
