"""`--json`: every command has it, and prints the document that docs/json.md tells of."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from detoxlab.cli import app, main
from detoxlab.runs import Run
from tests.support.documented import documented

BENCH = (
    *("--prompts", "embedded", "--where", "kind=neutral", "--limit", "20"),
    *("--protocol", "let-the-models-respond", "--max-new-tokens", "4"),
    *("--judge", "rtp-linear", "--second", "none", "--resamples", "100"),
)


def commands() -> Iterator[str]:
    """Every command; those of a group follow its name."""
    for name, command in typer.main.get_command(app).commands.items():
        inside = getattr(command, "commands", None)
        yield from [name] if inside is None else (f"{name} {one}" for one in inside)


def options(name: str) -> set[str]:
    found = typer.main.get_command(app)
    for word in [name] if name in found.commands else name.split():
        found = found.commands[word]
    return {flag for one in found.params for flag in one.opts}


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_the_option_and_a_row_in_the_docs(name: str) -> None:
    assert "--json" in options(name)
    assert name in documented()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, seed in (("base", 0), ("other", 1)):
        run_quietly("measure", "embedded", *BENCH, "--seed", seed, "--out", folder / name)
    return folder


def run_quietly(*arguments: object) -> None:
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, arguments)))
    assert not stop.value.code


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    capsys.readouterr()
    run_quietly(*arguments, "--json")
    return json.loads(capsys.readouterr().out)


def test_measurements_are_those_of_the_run(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    found = answer(capsys, "measure", "embedded", *BENCH, "--out", runs / "base", "--resume")
    assert found.keys() == documented()["measure"]
    assert found["run"] == str(runs / "base")
    assert found["measurements"] == json.loads((runs / "base/measurements.json").read_text())


def test_a_comparison_is_printed_as_it_is_written(
    capsys: pytest.CaptureFixture[str], runs: Path, tmp_path: Path
) -> None:
    pair = (runs / "base", runs / "other")
    found = answer(capsys, "compare", *pair, "-o", tmp_path / "c.json", "--resamples", 100)
    assert found == json.loads((tmp_path / "c.json").read_text())
    assert [one["verdict"] for one in found] == ["not shown"]


def test_short_answers(capsys: pytest.CaptureFixture[str], runs: Path, tmp_path: Path) -> None:
    known = documented()
    page = tmp_path / "r.html"
    assert answer(capsys, "report", runs / "base", "-o", page).keys() == known["report"]
    assert answer(capsys, "doctor").keys() == known["doctor"]
    assert answer(capsys, "list", "methods").keys() == {"methods"}
    assert answer(capsys, "evaluate").keys() < known["evaluate"]
    assert answer(capsys, "help", "settings").keys() < known["help settings"]
    settings = answer(capsys, "help", "settings", "measure")["settings"]
    assert {one["name"]: one["default"] for one in settings}["model"] == "required"
    assert answer(capsys, "run", "--schema")["title"] == "Recipe"
    export = answer(capsys, "view", runs, "--export", tmp_path / "pages")
    assert export.keys() < known["view"]


def test_a_dry_run_tells_its_plan(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = answer(capsys, "train", "sft", "embedded", "--out", tmp_path / "ft", "--dry-run")
    assert found["plan"].startswith("would train sft on embedded")
    assert found["not_looked_at"] == []
    assert not (tmp_path / "ft").exists()


def test_an_error_leaves_stdout_empty(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["compare", str(tmp_path), str(tmp_path), "--json"])
    said = capsys.readouterr()
    assert (stop.value.code, said.out) == (1, "")
    assert "error:" in said.err


def test_the_run_is_the_same(runs: Path) -> None:
    """The option is not part of the settings of a run."""
    assert "json" not in Run.open(runs / "base").config
