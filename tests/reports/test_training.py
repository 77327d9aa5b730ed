"""Trainings in a report: found by the measured run's own settings, odd curves folded."""

from pathlib import Path
from typing import Any

import pytest

from detoxlab.reports import build_report
from detoxlab.reports.read import training_behind
from detoxlab.reports.study import Study
from detoxlab.runs import Run
from tests.support.rendered import figures_of, html_of
from tests.support.report_page import read_page
from tests.support.report_runs import real_runs
from tests.support.report_study import measured_run, study, training_log

EARLY, LATE = "2026-01-01T10:00:00+00:00", "2026-01-01T11:00:00+00:00"


def trained_at(path: Path, **info: Any) -> Run:
    run = Run.start(path, kind="train", config={"method": "sft"})
    rows = "".join(f'{{"step": {row["step"]}, "loss": {row["loss"]}}}\n' for row in training_log(5))
    (run.path / "train.jsonl").write_text(rows)
    run.finish()
    run.update(method="sft", finished=EARLY, **info)
    return run


def measured_of(path: Path, model: str, started: str = LATE) -> Run:
    run = measured_run(path, level=0.2, prompts=4, k=1)
    run.write_config({**run.config, "model": model})
    run.update(started=started)
    return run


def test_the_training_behind_a_run_is_shown_without_being_named(tmp_path: Path) -> None:
    made = trained_at(tmp_path / "trained")
    runs = real_runs(tmp_path)
    runs[1].write_config({**runs[1].config, "model": str(made.path)})
    page = build_report(runs, tmp_path / "report.html", resamples=100)
    text = page.read_text()
    assert "Loss · ft" in text
    assert "Loss · base" not in text
    named = build_report(runs, tmp_path / "b.html", resamples=100, trained={"ft": made})
    assert named.read_text() == text


def test_a_training_is_found_where_it_moved_to_with_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    trained_at(Path("ft"))
    measured_of(Path("tuned"), "ft")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").rename(tmp_path / "there")
    found = training_behind(Run(tmp_path / "there" / "tuned"))
    assert found is not None
    assert found.path.resolve() == tmp_path / "there" / "ft"


@pytest.mark.parametrize("model", ["embedded", "no-such-run", "org/model"])
def test_a_model_that_is_no_run_has_no_training(tmp_path: Path, model: str) -> None:
    assert training_behind(measured_of(tmp_path / "m", model)) is None


def test_a_training_that_was_made_anew_since_is_another_one(tmp_path: Path) -> None:
    made = trained_at(tmp_path / "ft")
    run = measured_of(tmp_path / "m", str(made.path))
    assert training_behind(run) is not None
    made.update(finished=f"{LATE}, later")
    assert training_behind(run) is None


def test_a_measured_run_or_a_broken_training_is_no_training(tmp_path: Path) -> None:
    other = measured_run(tmp_path / "other", level=0.2, prompts=4, k=1)
    assert training_behind(measured_of(tmp_path / "m", str(other.path))) is None
    broken = trained_at(tmp_path / "ft", status="failed")
    assert training_behind(measured_of(tmp_path / "n", str(broken.path))) is None


@pytest.fixture
def small(tmp_path: Path) -> Study:
    return study(tmp_path, prompts=6, k=1)


def test_loss_stands_open_and_the_learning_rate_folded(small: Study) -> None:
    folded = {one.title: one.folded for one in figures_of(small)["training"]}
    assert folded == {"Loss · ft": False, "Learning rate · ft": True}
    text = html_of(small)
    inside = text[text.index('<details class="folded">') :]
    assert "1 further curve: learning rate · ft" in inside
    assert 'id="train-1-learning_rate"' in inside
    assert 'id="train-1-loss"' in text[: -len(inside)]
    assert "train-1-learning_rate" in read_page(text).scripts[-1] + text
