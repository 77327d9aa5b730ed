"""Every two of several models, judged and ranked: by the command, in the report, in a recipe."""

import csv
import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from detoxlab.cli import main
from detoxlab.contest import WinRate, WinRates
from detoxlab.errors import ConfigError
from detoxlab.pipeline import win_rates_of_all
from detoxlab.runs import Run
from detoxlab.settings import parse
from tests.support.documented import documented
from tests.support.judge_server import Judge, longer, serving
from tests.support.report_page import read_page
from tests.support.report_study import measured_run

pytestmark = pytest.mark.enable_socket

# Responses of so many words: the longer one wins.
WORDS = {"short": 4, "mid": 6, "long": 8}
PROMPTS = 12


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Three models; on every fourth prompt the shortest writes the longest response."""
    made = tmp_path_factory.mktemp("pairs")
    return [
        measured_run(
            made / name,
            level=0.2,
            prompts=PROMPTS,
            k=1,
            texts={
                at: " so" * (9 if name == "short" and at % 4 == 0 else count)
                for at in range(PROMPTS)
            },
        )
        for name, count in WORDS.items()
    ]


@pytest.fixture
def judge() -> Iterator[Judge]:
    with serving(Judge(longer, top=0.8)) as served:
        yield served


def run_command(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code in (0, None)


def test_every_two_are_judged_and_ranked(
    judge: Judge, runs: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, out = [str(run.path) for run in runs], tmp_path / "won"
    command = ["winrate", *paths, "--judge", judge.name, "-o", str(out), "--resamples", "300"]
    run_command([*command, "--dry-run"])
    assert not out.exists()
    run_command(command)
    shown = capsys.readouterr().out
    assert "ranking" in shown
    assert "long: strength" in shown
    assert len(judge.answered) == 1 + 2 * 3 * PROMPTS
    run_command([*command, "--resume", "--json"])
    content = json.loads(capsys.readouterr().out)
    assert content.keys() == documented()["winrate"]
    assert len(content["contests"]) == 3
    assert len(judge.answered) == 1 + 2 * 3 * PROMPTS  # not even the server is looked at

    page = tmp_path / "report.html"
    run_command(["report", *paths, "--win-rate", str(out), "-o", str(page)])
    tables = read_page(page.read_text()).tables
    assert [row[:2] for row in tables["win-rates-all"][1:]] == [
        [b, a] for a, b in combinations(WORDS, 2)
    ]
    matrix = {row[0]: row[1:] for row in tables["win-rates-matrix"][1:]}
    assert tables["win-rates-matrix"][0] == ["Model", *(f"against {name}" for name in matrix)]
    assert list(matrix) == ["long", "mid", "short"]
    assert matrix["long"][0] == "–"
    assert matrix["long"][1].startswith("100.0 %")  # long beats mid always
    assert matrix["mid"][0].startswith("0.0 %")
    assert matrix["short"][1].startswith("25.0 %")  # short wins every fourth prompt
    assert matrix["mid"][2].startswith("75.0 %")
    assert [row[:2] for row in tables["win-rates-ranking"][1:]] == [
        ["long", "1"],
        ["mid", "2"],
        ["short", "3"],
    ]
    assert "Every two models, judged by org/judge@" in page.with_suffix(".md").read_text()
    content = json.loads(page.with_suffix(".json").read_text())
    assert content["win_rate_rankings"][0]["models"] == ["long", "mid", "short"]
    rows = list(csv.DictReader(page.with_suffix(".csv").read_text().splitlines()))
    means = {row["run"]: float(row["value"]) for row in rows if row["name"] == "mean_win_rate"}
    assert means == pytest.approx({"long": 0.875, "mid": 0.375, "short": 0.25})


def test_two_of_one_name_and_one_alone_are_refused(runs: list[Run], tmp_path: Path) -> None:
    settings = parse(WinRate, {"judge": "http://host/v1#m"}, place="test")
    with pytest.raises(ConfigError, match="two runs are called 'short'"):
        win_rates_of_all(settings, [*runs, runs[0]], tmp_path / "out")
    with pytest.raises(ConfigError, match="two runs or more"):
        win_rates_of_all(settings, runs[:1], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_recipe_asks_for_all_pairs_by_one_setting() -> None:
    given = parse(WinRates, {"judge": "http://host/v1#m", "all_pairs": True}, place="test")
    assert given.all_pairs
    assert "all_pairs" not in given.recorded()
