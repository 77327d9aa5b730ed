"""What a report says of comparisons is what `compare` says, in every format."""

import csv
import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from detoxlab import compare_variants
from detoxlab.measures.table import measure
from detoxlab.protocols import Protocol, get_protocol
from detoxlab.records import Comparison, from_json
from detoxlab.reports import build_report
from detoxlab.reports.sections.bench import bench_tables
from detoxlab.runs import Run
from tests.support.rendered import drawings_of, figures_of
from tests.support.report_page import read_page
from tests.support.report_runs import bench_row, real_runs
from tests.support.report_study import JUDGE, measured_run, study


def remeasured(run: Run, protocol: Protocol) -> Run:
    run.write_measurements(measure(run.responses(), protocol=protocol, resamples=100))
    return run


@pytest.mark.parametrize(
    "measured_with", [{}, {"threshold": 0.3}, {"attribute": "insult"}], ids=str
)
def test_compare_and_report_take_threshold_attribute_and_holm_from_one_place(
    tmp_path: Path, measured_with: dict[str, Any]
) -> None:
    """All that the runs were measured with holds in both; flags are for what departs from it."""
    names = ("base", "ft", "dpo")
    protocol = dataclasses.replace(get_protocol("rtp"), **measured_with)
    runs = [remeasured(run, protocol) for run in real_runs(tmp_path, names)]
    page = build_report(runs, tmp_path / "report.html", resamples=100)
    reported = json.loads(page.with_suffix(".json").read_text())["comparisons"]
    compared = compare_variants(runs[0], runs[1:], resamples=100)
    assert [from_json(Comparison, one) for one in reported] == list(compared)
    judged = next(row for row in compared[0].differences if row.scorer_id == JUDGE)
    asked = measured_with.get("attribute", "toxicity")
    assert (compared[0].attribute, judged.attribute) == (asked, asked)
    assert compared[0].threshold == measured_with.get("threshold", 0.5)
    rows = [
        next(r for r in one.differences if (r.name, r.subset) == ("toxicity_probability", "all"))
        for one in compared
    ]
    low, high = sorted(rows, key=lambda row: row.p_value or 0.0)
    assert low.p_holm == pytest.approx(min(1, 2 * (low.p_value or 0.0)))
    assert (high.p_holm or 0.0) >= (low.p_holm or 0.0)


def test_runs_measured_with_unlike_thresholds_are_remarked(tmp_path: Path) -> None:
    base, ft = real_runs(tmp_path)
    remeasured(ft, dataclasses.replace(get_protocol("rtp"), threshold=0.3))
    (compared,) = compare_variants(base, [ft], resamples=100)
    assert compared.threshold == 0.5
    assert "The runs' own tables were measured with threshold 0.5 and 0.3." in compared.remarks


def test_an_invalid_row_looks_invalid_in_every_overview(tmp_path: Path) -> None:
    """Its numbers stand in parentheses and grey; those of a valid neighbour do not."""
    shown = study(tmp_path, variants=3, prompts=8, k=2)
    broken = dataclasses.replace(shown.comparisons[0], verdict="invalid")
    shown = dataclasses.replace(shown, comparisons=(broken, *shown.comparisons[1:]))
    row = bench_row(shown, "ft")
    assert (row["Toxic, judge"], row["Difference"]) == ("(13.0 %)", "(−18.2 pts)")
    assert row["Change, second scorer"].startswith("(")
    assert "(" not in bench_row(shown, "dpo")["Difference"]
    (table,) = bench_tables(shown)
    kinds = {cell.kind for cell in table.rows[1][4:9]}
    assert kinds == {"void"}
    assert "cannot be compared" in table.note
    figures = figures_of(shown)
    (drawn,) = drawings_of(shown)["trade-off"]
    hollow = [mark.label for mark in drawn.marks if mark.style == "hollow"]
    assert hollow == ["ft (invalid)", "dpo (guard)", "steer (guard)"]
    assert "ft (invalid)" in {trace["name"] for trace in figures["change"][0].data}


def test_the_curve_over_thresholds_stands_in_all_formats(tmp_path: Path) -> None:
    """The figure draws the very numbers of the comparison, with its band; the CSV holds them."""
    page = build_report(real_runs(tmp_path), tmp_path / "report.html", resamples=100)
    (one,) = json.loads(page.with_suffix(".json").read_text())["comparisons"]
    points = one["sensitivity"]
    assert [point["threshold"] for point in points] == [round(0.1 * n, 1) for n in range(1, 10)]
    text = page.read_text()
    drawn = re.search(r'id="figure-data">(.*?)</script>', text, flags=re.DOTALL)
    assert drawn
    band, curve = json.loads(drawn[1])["sensitivity"]["data"]
    assert curve["x"] == [point["threshold"] for point in points]
    assert curve["y"] == pytest.approx([100 * point["difference"] for point in points], abs=1e-3)
    ends = [p["ci_high"] for p in points] + [p["ci_low"] for p in reversed(points)]
    assert band["y"] == pytest.approx([100 * end for end in ends], abs=1e-3)
    assert len(read_page(text).tables["figure-sensitivity"]) == 9 + 1
    rows = list(csv.DictReader(io.StringIO(page.with_suffix(".csv").read_text())))
    written = [row for row in rows if row["record"] == "sensitivity"]
    assert [float(row["difference"]) for row in written] == [p["difference"] for p in points]


def test_the_worst_case_of_what_is_missing_stands_in_the_report(tmp_path: Path) -> None:
    runs = [
        measured_run(tmp_path / n, level=level, prompts=30, k=2)
        for n, level in (("a", 0.4), ("b", 0.1))
    ]
    text = build_report(runs, tmp_path / "report.html", resamples=100).read_text()
    rows = read_page(text).tables["change-1"]
    assert any("worst case" in row for row in rows)
    assert "“Worst case” counts all pairs" in text
    assert "vanish" in text
