"""A run goes on, and a recipe is reported, by their folders alone."""

import json
import shutil
from pathlib import Path

import pytest

from detoxlab.cli import main
from detoxlab.errors import ConfigError, RunError
from detoxlab.pipeline.folders import outermost, parts_of, resume
from detoxlab.reports import words
from detoxlab.runs import Run
from tests.support.report_page import read_page

pytestmark = pytest.mark.slow
RECIPE = """
name: r
model: embedded
prompts: {source: embedded, limit: 8}
sampling: {k: 1, max_new_tokens: 4}
judge: rtp-linear
second: null
hate: null
resamples: 100
variants:
  - name: ft
    method: sft
    dialogues: {source: embedded, limit: 16}
    config: {max_steps: 1}
  - {name: told, system: Be kind., against: [ft]}
also:
  asked: {chat: yes, prompts: {source: embedded, limit: 5}}
"""


def detoxlab(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a recipe was run into `r`."""
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "r.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert detoxlab("run", "r.yaml", "--out", "r") == 0
    return folder


@pytest.fixture
def recipe(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the recipe's folder, and another working folder than it was begun in."""
    shutil.copytree(made, tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "moved" / "r"


def cut(run: Path) -> bytes:
    """Interrupt a measured run at its third response; returns the responses that it had."""
    rows = run / "generations" / "worker-0.jsonl"
    content = rows.read_bytes()
    rows.write_bytes(b"".join(content.splitlines(keepends=True)[:3]))
    for file in (*run.glob("scores/*.jsonl"), run / "measurements.json"):
        file.unlink()
    Run(run).finish("interrupted")
    return content


def test_a_run_goes_on_to_the_same_bytes_from_another_folder(recipe: Path) -> None:
    whole = cut(recipe / "told")
    assert detoxlab("resume", str(recipe / "told")) == 0
    assert (recipe / "told" / "generations" / "worker-0.jsonl").read_bytes() == whole
    assert Run(recipe / "told").info["status"] == "finished"
    assert Run(recipe).info["status"] == "finished"


def test_the_recipe_around_a_run_goes_on(recipe: Path) -> None:
    around = outermost(Run(recipe / "trained" / "ft")).path
    assert (around, around.resolve()) == (Path("moved/r"), recipe)
    assert outermost(Run(recipe)).path == recipe


def test_a_folder_without_its_settings_names_the_command(recipe: Path) -> None:
    alone = recipe.parent / "alone"
    shutil.copytree(recipe / "base", alone)
    Run(alone).update(kind="score", command=["detoxlab", "score", "r.csv"])
    with pytest.raises(ConfigError, match=r"with --resume: detoxlab score r\.csv"):
        resume(alone)


def test_the_report_of_a_recipe_is_the_one_that_it_wrote(recipe: Path) -> None:
    assert detoxlab("report", str(recipe), "--out", "again.html") == 0
    first, again = (
        json.loads(file.read_text()) for file in (recipe / "report.json", Path("again.json"))
    )
    assert first["comparisons"] == again["comparisons"]
    assert len(first["comparisons"]) == 3


def test_a_further_bench_asks_the_same_models_otherwise(recipe: Path) -> None:
    """Each has a run, a report and columns of its own there; trainings leave its prompts out."""
    there = recipe / "also" / "asked"
    runs = {name: Run(there / name) for name in ("base", "ft", "told")}
    assert {len(run.responses().prompts) for run in runs.values()} == {5}
    assert [runs["told"].config[key] for key in ("system", "chat")] == ["Be kind.", "yes"]
    pairs = json.loads((there / "report.json").read_text())["comparisons"]
    assert [one["treated"] for one in pairs] == ["ft", "told"]
    page = read_page((recipe / "report.html").read_text())
    groups, titles, base, *_ = page.tables["variants"]
    assert "On asked" in groups
    shares = dict(zip(titles, base, strict=True))
    rows = (row for row in runs["base"].measurements() if row.name == "toxic_fraction")
    row = next(row for row in rows if row.group is None)
    assert shares["Toxic, asked"] == words.number(row.value).replace(words.NO_BREAK, " ")


def test_variants_that_are_not_finished_are_left_out(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(recipe / "ft")
    assert detoxlab("report", str(recipe), "--out", "part.html") == 0
    assert "left out, as they are not finished: ft" in capsys.readouterr().err
    assert len(json.loads(Path("part.json").read_text())["comparisons"]) == 1
    cut(recipe / "base")
    with pytest.raises(RunError, match="its base is not measured yet"):
        parts_of(Run(recipe))


def test_a_model_of_ones_own_on_the_same_bench(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its folder, or in a file of variants; the recipe's own are there where named."""
    bench = str(recipe.parent / "r.yaml")
    Path("mine.yaml").write_text("variants: [{name: mine, system: Be calm., strength: 1}]")
    given = ["--against", "mine.yaml", "--against", str(recipe / "trained" / "ft" / "adapter")]
    assert detoxlab("bench", bench, *given, "--only", "told", "--dry-run") == 0
    said = capsys.readouterr().out
    assert (
        "would measure base, ft (sft), told (system prompt), mine (system prompt), adapter" in said
    )
    assert detoxlab("bench", bench, *given, "--out", "b", "--json") == 0
    pairs = json.loads(capsys.readouterr().out)["comparisons"]
    assert [one["treated"] for one in pairs] == ["mine", "adapter"]
    told = [Run(place).measurements() for place in (recipe / "ft", Path("b/adapter"))]
    assert told[0] == told[1]
    Path("none.yaml").write_text("variant: []")
    assert detoxlab("bench", bench, "--against", "none.yaml") == 1
    assert "none.yaml: has no `variants`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("accepted", "code"),
    [(["improved"], 3), (["improved", "not shown"], 0), ([], 0)],
)
def test_a_pipeline_stops_at_a_verdict_that_it_does_not_accept(
    accepted: list[str], code: int, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(recipe / "base"), str(recipe / "ft")]
    given = [word for one in accepted for word in ("--fail-unless", one)]
    assert detoxlab("compare", *runs, "--resamples", "100", *given, "--json") == code
    shown = capsys.readouterr()
    assert json.loads(shown.out)[0]["verdict"] == "not shown"
    assert ("the verdict is 'not shown', not improved" in shown.err) == (code == 3)
