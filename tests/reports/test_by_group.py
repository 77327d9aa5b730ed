"""The section of toxicity by group: pictures and tables, from files alone."""

import json
from pathlib import Path

import pytest

from detoxlab.comparisons import Limits
from detoxlab.evaluations import GroupToxicity
from detoxlab.records import ItemResult, to_line
from detoxlab.reports import build_report
from detoxlab.reports.read import read_study
from detoxlab.reports.sections.by_group import by_group
from detoxlab.runs import Run
from tests.support.report_page import read_page
from tests.support.report_study import measured_run

JUDGE, BESIDE = "judge:rtp-linear@1#toxicity", "beside:hate-neural@1#hate"
SHARES = {"low_group": 2, "high_group": 9, "<b>odd</b>": 6}  # toxic ones of 10


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """A base and a variant with an evaluation of BOLD's layout, made from results."""
    folder = tmp_path_factory.mktemp("by-group")
    made = []
    for name, fewer in (("base", 0), ("ft", 2)):
        run = measured_run(folder / name, level=0.2, prompts=12)
        write_evaluation(run, fewer)
        made.append(run)
    return made


def write_evaluation(run: Run, fewer: int) -> None:
    evaluation = GroupToxicity(preset="bold", judge="rtp-linear")
    results = [
        ItemResult(
            f"{group}/{at}",
            {JUDGE: 0.9 if at < toxic - fewer else 0.1, BESIDE: 0.2},
            meta={"domain": "things", "group": group},
        )
        for group, toxic in SHARES.items()
        for at in range(10)
    ]
    results.append(ItemResult("none/0", error="empty", meta={"domain": "things", "group": "none"}))
    run.append("evaluation/bold.jsonl", results)
    rows = evaluation.measurements(results, resamples=200)
    settings = evaluation.model_dump(mode="json")
    head = {
        "settings": settings,
        "resolved": settings,
        "seed": 0,
        "model": run.path.name,
        "data": {},
        "measurements": [json.loads(to_line(row)) for row in rows],
    }
    run.write_json("evaluation/bold.json", head)


def test_the_picture_sorts_groups_and_shows_models_side_by_side(runs: list[Run]) -> None:
    section = by_group(read_study(runs, trained={}, limits=Limits(), resamples=200))
    (figure,) = section.figures
    assert figure.title == "Toxicity by group, bold: things"
    order = figure.layout["yaxis"]["categoryarray"][::-1]
    assert order[0] == "all of things"
    assert [order[1], order[3]] == ["high group", "low group"]
    assert "none" in order  # known to nobody, so without a mark
    ft, base = figure.data
    assert (base["name"], ft["name"]) == ("base", "ft")
    assert base["x"][1:] == pytest.approx([90, 60, 20])
    assert ft["x"][1:] == pytest.approx([70, 40, 0])
    assert base["marker"]["symbol"] != ft["marker"]["symbol"]
    assert ["none", "ft", "unknown"] in [[c.text for c in row[:3]] for row in figure.table.rows]


def test_tables_hold_shares_gaps_and_paired_differences(runs: list[Run], tmp_path: Path) -> None:
    page = build_report(runs, tmp_path, resamples=200)
    found = read_page(page.read_text()).tables
    assert not any(
        row[0] == "bold" for name in found if "usefulness" in name for row in found[name]
    )
    heading, *shares = found["by-group-shares"]
    at = heading.index("Difference")
    judged = {(row[2], row[3]): row for row in shares if row[1] == "rtp-linear@1"}
    assert judged["high group", "base"][4] == "90.0 %"
    assert judged["high group", "ft"][at] == "−20.0 pts"
    assert judged["high group", "base"][at] == "–"
    unknown = judged["none", "ft"]
    assert unknown[4] == "unknown"
    assert unknown[at] == "unknown"
    means = {(row[1], row[2], row[3]): row for row in found["by-group-means"][1:]}
    assert means["rtp-linear@1", "things: gap between groups", "base"][4] == "70.0 %"
    assert means["hate-neural@1", "things: gap between groups", "base"][4] == "0.0 %"
    note = means["rtp-linear@1", "things: gap between groups", "base"][-1]
    assert note.startswith(
        "3 of 4 groups; highest: high_group, lowest: low_group; if all were alike"
    )
    chance = means["rtp-linear@1", "things: gap if all groups were alike", "ft"]
    assert chance[5:7] == ["–"] * 2
    assert chance[9:] == ["–"] * (len(chance) - 9)
    assert "<b>odd</b>" not in page.read_text()
    data = json.loads((tmp_path / "report.json").read_text())
    assert [one["evaluation"] for one in data["by_group"]] == ["bold"]
    assert "bold" in (tmp_path / "report.md").read_text()


def test_a_model_that_was_not_evaluated_is_left_out_of_the_picture(
    runs: list[Run], tmp_path: Path
) -> None:
    bare = measured_run(tmp_path / "bare", level=0.2, prompts=12, seed=1)
    study = read_study([bare, runs[1]], trained={}, limits=Limits(), resamples=200)
    (figure,) = by_group(study).figures
    assert [trace["name"] for trace in figure.data] == ["ft"]
    assert by_group(read_study([bare], trained={}, limits=Limits(), resamples=200)).is_empty
