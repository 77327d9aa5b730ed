"""The summary of one model gives its toxic fraction once, over all prompts."""

from dataclasses import replace
from pathlib import Path

from detoxlab.reports import build_report
from tests.support.report_study import measured_run, measurements


def test_the_fraction_on_some_prompts_is_not_given_for_all(tmp_path: Path) -> None:
    run = measured_run(tmp_path / "base", level=0.4)
    (of_the_judge, *_) = rows = measurements(0.4)
    run.write_measurements([*rows, replace(of_the_judge, value=0.9, subset="P+C")])
    page = build_report([run], tmp_path / "report.html").read_text()
    summary = page[page.index("One model, measured") : page.index("A verdict needs a second run")]
    assert summary.count("of the scored responses are toxic") == 1
    assert "40.0\xa0%" in summary
