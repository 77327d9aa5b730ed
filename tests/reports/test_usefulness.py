"""Usefulness, the macro mean and rivals in the report, from files alone."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from detoxlab.comparisons import Limits
from detoxlab.evaluations import Benchmark, Perplexity, evaluate_into, read_evaluated
from detoxlab.records import Difference, ItemResult, to_json
from detoxlab.reports import build_report
from detoxlab.reports.read import read_study
from detoxlab.reports.sections.bench import bench_tables
from detoxlab.runs import Run
from detoxlab.subject import Subject
from tests.support.report_page import read_page
from tests.support.report_study import JUDGE, comparison, measured_run, study
from tests.support.tiny import tiny_lm

LINES = [f"a quiet day {at} in the park, and {'so ' * at}home" for at in range(12)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Three measured runs, each of another tiny model; the last was asked with another window."""
    folder = tmp_path_factory.mktemp("usefulness")
    file = folder / "texts.txt"
    file.write_text("\n".join(LINES))
    made = []
    for seed, name in enumerate(("base", "ft", "dpo", "odd")):
        run = measured_run(folder / name, level=0.2, prompts=12, seed=seed)
        length = 32 if name == "odd" else 64
        evaluation = Perplexity(source=str(file), max_length=length)
        evaluate_into(run, "park", evaluation, Subject(tiny_lm(seed)), resamples=200)
        made.append(run)
    return made


def report(runs: list[Run], out: Path) -> tuple[dict[str, list[list[str]]], Path]:
    page = build_report(runs, out, rivals=[("ft", "dpo")], resamples=200)
    return read_page(page.read_text()).tables, page


def test_each_model_stands_beside_the_baseline(runs: list[Run], tmp_path: Path) -> None:
    tables, _ = report(runs, tmp_path)
    heading, *rows = tables["usefulness-all"]
    assert heading[:4] == ["Evaluation", "Measure", "Model", "Value"]
    words = [row for row in rows if row[1] == "Perplexity per word"]
    assert [row[2] for row in words] == ["base", "ft", "dpo", "odd"]
    evaluation = Perplexity(source="x", max_length=64)
    before, after = (read_evaluated(run)["park"] for run in runs[:2])
    _, expected, _ = evaluation.differences(before.results, after.results, resamples=200)
    assert expected.ratio is not None
    assert words[0][7:] == ["–"] * 5  # the baseline
    assert words[1][9] == f"× {expected.ratio:.3f}"
    assert words[3][7:] == ["unknown"] * 5  # it was asked otherwise


def test_tasks_of_a_benchmark_have_a_table_with_the_exact_test(tmp_path: Path) -> None:
    """Ten right answers lost in one task of two: McNemar's p is 2 / 2^10, doubled by Holm."""
    made = []
    for name, right in (("base", 1), ("ft", 0)):
        run = measured_run(tmp_path / name, level=0.2, prompts=12)
        results = [
            ItemResult(f"{task}:{at}", {"acc": float(right if task == "boolq" else at % 2)})
            for task in ("boolq", "winogrande")
            for at in range(10)
        ]
        evaluation = Benchmark(task="commonsense", shots=0)
        head = {
            "settings": evaluation.model_dump(mode="json"),
            "resolved": evaluation.model_dump(mode="json"),
            "seed": 0,
            "data": {},
            "model": name,
            "measurements": list(map(to_json, evaluation.measurements(results, resamples=100))),
        }
        run.append("evaluation/commonsense.jsonl", results)
        run.write_json("evaluation/commonsense.json", head)
        made.append(run)
    page = build_report(made, tmp_path / "out", resamples=100)
    tables = read_page(page.read_text()).tables
    _, base, treated = tables["usefulness-all"]
    assert base[1:4] == ["Accuracy, mean over tasks", "base", "75.0 %"]
    assert treated[2:4] == ["ft", "25.0 %"]
    _, *rows = tables["usefulness-groups"]
    assert [row[1:3] + row[-1:] for row in rows] == [
        ["boolq: Accuracy", "base", "–"],
        ["boolq: Accuracy", "ft", "0.0039"],
        ["winogrande: Accuracy", "base", "–"],
        ["winogrande: Accuracy", "ft", "1.0000"],
    ]


def test_rivals_have_tables_of_their_own(runs: list[Run], tmp_path: Path) -> None:
    tables, _ = report(runs, tmp_path)
    _, *rows = tables["usefulness-against"]
    assert {tuple(row[2:4]) for row in rows} == {("ft", "dpo")}
    heading, row = tables["against"]
    assert (row[0], row[1]) == ("ft", "dpo")
    assert "Ratio" in heading
    assert len(tables["variants"]) == 2 + 1 + 3  # headings, base, variants


def test_csv_and_json_hold_the_numbers(runs: list[Run], tmp_path: Path) -> None:
    _, page = report(runs, tmp_path)
    with page.with_suffix(".csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["evaluation"] == "park"]
    measured = [row for row in rows if row["record"] == "measurement"]
    assert len(measured) == 4 * 3
    stored = read_evaluated(runs[0])["park"].measurements
    assert [float(row["value"]) for row in measured[:3]] == [one.value for one in stored]
    pairs = {(row["against"], row["run"]) for row in rows if row["record"] == "difference"}
    assert pairs == {("base", "ft"), ("base", "dpo"), ("ft", "dpo")}
    content = json.loads(page.with_suffix(".json").read_text())
    assert content["runs"][0]["evaluations"]["park"]["settings"]["stride"] == 32
    assert len(content["usefulness"]) == 4


def test_no_two_parts_share_an_id(runs: list[Run], tmp_path: Path) -> None:
    page = build_report(runs, tmp_path, rivals=[("ft", "dpo")], resamples=200)
    ids = [given["id"] for _, given in read_page(page.read_text()).tags if "id" in given]
    assert len(ids) == len(set(ids))


def test_a_run_without_evaluations_has_no_section(tmp_path: Path) -> None:
    shown = read_study(
        [measured_run(tmp_path / "base", level=0.2, prompts=4)],
        trained={},
        limits=Limits(),
        resamples=100,
    )
    assert shown.usefulness == ()


def test_the_macro_mean_has_columns_of_its_own(tmp_path: Path) -> None:
    shown = study(tmp_path, variants=2, prompts=6, k=1)
    macro = Difference(
        "toxicity_macro_mean",
        0.3,
        0.2,
        -0.1,
        -0.15,
        -0.05,
        scorer_id=JUDGE,
        attribute="toxicity",
        subset="comparable",
    )
    compared = [
        dataclasses.replace(one, differences=(*one.differences, macro))
        for one in (comparison("ft"), comparison("dpo"))
    ]
    (plain,), (table,) = (
        bench_tables(one)
        for one in (shown, dataclasses.replace(shown, comparisons=tuple(compared)))
    )
    titles = [column.title for column in table.columns]
    assert "Mean over groups" not in [column.title for column in plain.columns]
    at = titles.index("Mean over groups")
    assert [cell.number for cell in table.rows[1][at : at + 2]] == [0.2, -0.1]
    assert all(len(row) == len(titles) for row in table.rows)
