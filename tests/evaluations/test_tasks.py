"""Evaluations by name: their settings, files below one folder, what is refused."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from detoxlab.cli import app
from detoxlab.errors import ConfigError, MissingFileError
from detoxlab.evaluations import EVALUATIONS, TASKS, load_evaluation, task_evaluations
from tests.support.benchmarks import benchmark_files


def test_every_name_is_a_kind_with_settings_that_it_takes(tmp_path: Path) -> None:
    for task in TASKS.values():
        if task.file:
            (tmp_path / task.file.replace("*", "")).write_text("id,text\n1,Text.\n")
    for name in TASKS:
        (evaluation,) = task_evaluations([name], {"data": str(tmp_path)}).values()
        assert type(evaluation) is EVALUATIONS[TASKS[name].settings["kind"]]


def test_settings_reach_the_kinds_that_have_them(tmp_path: Path) -> None:
    below = tmp_path / "text"
    below.mkdir()
    (below / "wikitext2_test.txt").write_text("A day in the park.\n")
    made = task_evaluations(
        ["piqa", "wikitext2", "gsm8k"], {"data": str(tmp_path), "limit": 3, "max_length": 64}
    )
    assert made["piqa"].model_dump() == made["gsm8k"].model_dump() | {"task": "piqa"}
    assert made["wikitext2"] == load_evaluation(
        {
            "kind": "perplexity",
            "documents": "articles",
            "limit": 3,
            "max_length": 64,
            "source": str(below / "wikitext2_test.txt"),
        }
    )


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'shots'"):
        task_evaluations(["piqa"], {"shot": 3})
    with pytest.raises(ConfigError, match=r"needs its file \(wikitext2_test"):
        task_evaluations(["wikitext2"], {})
    with pytest.raises(MissingFileError, match="holds no wikitext2 file"):
        task_evaluations(["wikitext2"], {"data": str(tmp_path)})


def test_the_command_lists_all_and_plans_several(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["evaluate"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in (*TASKS, *EVALUATIONS))
    folder = benchmark_files(tmp_path)
    command = ["evaluate", "embedded", "--tasks", "mmlu, piqa", "--data", str(folder), "--limit"]
    planned = CliRunner().invoke(app, [*command, "2", "--out", str(tmp_path / "r"), "--dry-run"])
    assert planned.output.splitlines() == [
        "would evaluate benchmark of embedded on 114 items",
        "would evaluate benchmark of embedded on 2 items",
    ]
    for neither in (["evaluate", "embedded"], ["evaluate", "embedded", "piqa", "--tasks", "piqa"]):
        refused = CliRunner().invoke(app, neither)
        assert isinstance(refused.exception, ConfigError)
        assert "name a kind of evaluation, or --tasks" in str(refused.exception)
