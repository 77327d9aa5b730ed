"""Runs whose rows are in Parquet give every command what the same rows in lines give it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from detoxlab import reports
from detoxlab.comparisons import excerpts
from detoxlab.pipeline.comparing import compare_runs
from detoxlab.pipeline.measuring import write_measured
from detoxlab.pipeline.rescoring import score_again, scorers_in
from detoxlab.protocols import get_protocol
from detoxlab.records import Generation, Score
from detoxlab.runs import Run, tables
from detoxlab.runs.state import responses_done
from detoxlab.runs.tables import files_of, pack
from detoxlab.viewing.folders import Place
from detoxlab.viewing.rows.index import build_index
from detoxlab.viewing.rows.texts import Reader
from tests.support.measured_runs import measured
from tests.support.report_study import JUDGE, measured_run
from tests.support.tiny import save_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables from 30 rows on, in groups of 10."""
    monkeypatch.setattr(tables, "LARGE", 30)
    monkeypatch.setattr(tables, "GROUP", 10)


def packed(run: Run) -> Run:
    """The run with all of its rows in Parquet."""
    for folder, kind in (("generations", Generation), ("scores", Score)):
        for path in files_of(run.path / folder):
            pack(path, kind)
    return run


def test_a_measured_run_is_the_same_in_both_forms(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = measured(model, tmp_path / "large", sampling={"max_new_tokens": 4, "k": 3})
    monkeypatch.undo()
    small = measured(model, tmp_path / "small", sampling={"max_new_tokens": 4, "k": 3})
    for folder in ("generations", "scores"):
        suffixes = [{path.suffix for path in files_of(run.path / folder)} for run in (large, small)]
        assert suffixes == [{".parquet"}, {".jsonl"}]
    kinds = (("generations", Generation), ("scores", Score))
    for folder, kind in kinds:
        assert list(large.read_all(folder, kind)) == list(small.read_all(folder, kind))
    texts = [(run.path / "measurements.json").read_bytes() for run in (large, small)]
    assert texts[0] == texts[1]
    assert responses_done(large) == responses_done(small) == (60, 60)
    assert large.to_pandas().equals(small.to_pandas())


def test_a_run_is_resumed_from_tables_without_drawing_again(model: Path, tmp_path: Path) -> None:
    run = measured(model, tmp_path / "run", sampling={"max_new_tokens": 4, "k": 3})
    before = {path: path.read_bytes() for path in files_of(run.path / "generations")}
    expected = (run.path / "measurements.json").read_bytes()
    shutil.rmtree(run.path / "scores")
    (run.path / "measurements.json").unlink()
    run.update(status="interrupted")
    measured(model, run.path, resume=True, sampling={"max_new_tokens": 4, "k": 3})
    assert {path: path.read_bytes() for path in files_of(run.path / "generations")} == before
    assert (run.path / "measurements.json").read_bytes() == expected


def test_a_large_run_is_scored_again(tmp_path: Path) -> None:
    runs = [measured_run(tmp_path / name, level=0.3) for name in ("lines", "table")]
    packed(runs[1])
    for run in runs:
        run.write_config(run.config | {"protocol": "rtp", "resamples": 100})
        score_again(run.path, ["rtp-linear"])
    assert scorers_in(runs[0]) == scorers_in(runs[1])
    ours, theirs = (run.measurements() for run in runs)
    assert ours == theirs
    assert any(row.scorer_id and row.scorer_id.startswith("rtp-linear") for row in theirs)


def test_comparison_report_and_view_are_those_of_the_lines(
    tmp_path: Path,
) -> None:
    runs = [measured_run(tmp_path / "base", level=0.4), measured_run(tmp_path / "other", level=0.2)]
    for run in runs:
        run.finish()
        write_measured(run, get_protocol("rtp"), 0, 100)
    lines = compare_runs(*runs, resamples=100)
    pages = [reports.build_report(runs, tmp_path / "lines", formats=("html",), resamples=100)]
    index = build_index(Place(tmp_path.resolve(), "base"))
    with Reader(Place(tmp_path.resolve(), "base"), index) as reader:
        shown = [reader.response(row) for row in range(len(index))]
    for run in runs:
        packed(run)
    assert compare_runs(*runs, resamples=100) == lines
    pages.append(reports.build_report(runs, tmp_path / "table", formats=("html",), resamples=100))
    texts = [
        (tmp_path / name / "report.html").read_text().replace(excerpts.EXCERPT_NOTE, "")
        for name in ("lines", "table")
    ]
    assert texts[0].replace(" </p>", "</p>") == texts[1].replace(" </p>", "</p>")
    place = Place(tmp_path.resolve(), "base")
    again = build_index(place)
    assert again.scorers == index.scorers
    assert again.scorers[0][0] == JUDGE
    np.testing.assert_array_equal(again.scores_RS, index.scores_RS)
    with Reader(place, again) as reader:
        assert [reader.response(row) for row in range(len(again))] == shown
        assert list(reader.texts(4))[1:] == [shown[4].text]  # type: ignore[union-attr]
