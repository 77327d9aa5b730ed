"""The report's curves of toxicity against cost: every strength, its dearest text, the choice."""

import csv
import json
import re
from pathlib import Path

import pytest

from detoxlab.comparisons.sweeps import Cost, Sweep, SweepChoice, SweepPoint
from detoxlab.pipeline.api import report
from detoxlab.records import to_json
from detoxlab.runs import Run
from tests.support.report_page import read_page
from tests.support.report_study import measured_run


def point(strength: float, toxic: float, wiki: float, web: float) -> SweepPoint:
    costs = (Cost("wiki", wiki), Cost("web", web))
    return SweepPoint(strength, f"strength-{strength:g}", costs, toxic, toxic - 0.02, toxic + 0.04)


SWEPT = {
    "caa": Sweep(
        (point(0, 0.2, 1, 1), point(0.5, 0.12, 1.02, 1.01), point(1, 0.08, 1.04, 1.09)),
        (SweepChoice({"wiki": 1.05, "web": 1.05}, 0.5, spent=True),),
    ),
    "aura": Sweep(
        (point(0, 0.2, 1, 1), point(1, 0.15, 0.98, 1.04)),
        (SweepChoice({"wiki": 1.05, "web": 1.05}, 1, spent=False),),
    ),
}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The report of two runs and two sweeps, one of them with a hostile name."""
    runs = [measured_run(tmp_path / name, level=level) for name, level in (("a", 0.3), ("b", 0.2))]
    swept = {}
    for name, sweep in SWEPT.items():
        run = Run.start(tmp_path / f"swept-{name}", kind="sweep", config={})
        run.write_json("sweep.json", to_json(sweep))
        run.finish()
        swept[name if name == "caa" else "<b>aura"] = run
    return report(runs, tmp_path / "report.html", sweeps=swept, resamples=200)


def test_the_choices_are_a_table(page: Path) -> None:
    rows = read_page(page.read_text()).tables["strengths"]
    assert [row[2:] for row in rows[1:]] == [
        ["0.5", "12.0 %", "20.0 %", "yes"],
        ["1", "15.0 %", "20.0 %", "no: no larger strength was tried"],
    ]
    assert rows[1][0] == "caa"
    assert "wiki × 1.05" in rows[1][1].replace("\xa0", " ")


def test_a_curve_has_the_cost_of_the_dearest_text(page: Path) -> None:
    drawn = re.search(
        r'<script type="application/json"[^>]*>(.*?)</script>', page.read_text(), re.S
    )
    assert drawn
    figure = json.loads(drawn[1])["strength-curves"]
    caa, aura = figure["data"]
    assert (caa["x"], caa["y"]) == ([1, 1.02, 1.09], [20, 12, 8])
    assert (aura["x"], aura["y"]) == ([1, 1.04], [20, 15])
    assert caa["error_y"]["array"] == [4, 4, 4]
    assert caa["error_y"]["arrayminus"] == [2, 2, 2]
    assert "<b>" not in aura["name"]
    assert [line["x0"] for line in figure["layout"]["shapes"]] == [1.05]
    assert figure["layout"]["xaxis"]["range"] == pytest.approx([0.995, 1.095])


def test_the_points_are_rows_of_the_csv_file(page: Path) -> None:
    rows = list(csv.DictReader((page.parent / "report.csv").read_text().splitlines()))
    found = [row for row in rows if row["record"] == "strength"]
    numbers = [[float(row[name]) for name in ("strength", "cost", "value")] for row in found]
    assert numbers[:3] == [[0, 1, 0.2], [0.5, 1.02, 0.12], [1, 1.09, 0.08]]
    assert [row["run"] for row in found[:3]] == 3 * ["caa"]
    data = json.loads((page.parent / "report.json").read_text())["sweeps"]
    assert data["caa"]["choices"][0]["strength"] == 0.5


def test_every_anchor_of_the_page_is_one_element(page: Path) -> None:
    anchors = re.findall(r'<[a-z]+ [^>]*?\bid="([^"]+)"', page.read_text())
    assert "strength" in anchors
    assert len(anchors) == len(set(anchors))
