"""The view as plain files: a list and a page per run, without a server."""

from pathlib import Path

import pytest

from detoxlab.errors import RunError, UnknownNameError
from detoxlab.viewing import export
from tests.support.report_page import read_page
from tests.support.report_study import measured_run


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for seed, (name, level) in enumerate((("base", 0.4), ("ft", 0.1))):
        measured_run(folder / name, level=level, prompts=20, k=2, seed=seed, missing=0.0)
    measured_run(folder / "other", level=0.2, prompts=20, k=1)
    (folder / "bad").mkdir()
    (folder / "bad" / "run.json").write_text("{")
    return export(folder, folder.parent / "pages", baseline="base", resamples=100).parent


def test_each_run_that_can_be_read_has_a_page_and_each_is_in_the_list(exported: Path) -> None:
    assert sorted(path.name for path in exported.iterdir()) == [
        "index.html", "run-2.html", "run-3.html", "run-4.html",
    ]  # fmt: skip
    page = read_page((exported / "index.html").read_text())
    links = [given["href"] for tag, given in page.tags if tag == "a" and "href" in given]
    assert [link for link in links if link != "#main"] == ["run-2.html", "run-3.html", "run-4.html"]
    first = [row[0].removesuffix("measure") for row in page.tables["runs"]]
    assert first == ["Run", "bad", "base", "ft", "other"]
    assert "not valid JSON" in " ".join(page.tables["runs"][1])


def test_pages_hold_verdict_guards_and_examples_and_ask_for_nothing(exported: Path) -> None:
    text = (exported / "run-3.html").read_text()
    page = read_page(text)
    assert "verdict:" in text
    assert page.tables["guards-1"][0][0] == "Guard"
    assert sum("data-score" in given for _, given in page.tags) == 40
    assert "connect-src" not in text
    assert len(text) < 500_000


def test_a_run_that_cannot_be_compared_stands_alone_and_says_why(exported: Path) -> None:
    text = (exported / "run-4.html").read_text()
    assert "drawn with k = 2" in text
    assert "Highest score" in text


def test_an_unknown_baseline_and_a_folder_in_a_run_are_refused(tmp_path: Path) -> None:
    measured_run(tmp_path / "base", level=0.4, prompts=2, k=1)
    with pytest.raises(UnknownNameError, match="base"):
        export(tmp_path, tmp_path / "out", baseline="bas")
    with pytest.raises(RunError, match="lies in a run"):
        export(tmp_path, tmp_path / "base" / "pages")
    assert not (tmp_path / "out").exists()
