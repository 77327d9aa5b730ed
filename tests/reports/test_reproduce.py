"""The commands of a report make its runs again."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import pytest

from detoxlab import measure
from detoxlab.cli import main
from detoxlab.reports.read import read_measured
from detoxlab.reports.safety import markdown
from detoxlab.reports.sections.reproduce import reproduce
from detoxlab.reports.study import Study
from detoxlab.runs import Run
from tests.support.rendered import html_of, json_of, markdown_of
from tests.support.report_study import study


def said(shown: Study, name: str, **info: Any) -> Study:
    """The study with facts in the `run.json` of one of its runs."""
    runs = tuple(
        dataclasses.replace(run, info={**run.info, **info}) if run.name == name else run
        for run in shown.measured
    )
    return dataclasses.replace(shown, measured=runs, trained=())


def typed(*words: str) -> list[str]:
    return ["detoxlab", *words]


@pytest.fixture
def shown(tmp_path: Path) -> Study:
    made = study(tmp_path, prompts=4, k=1)
    made = said(
        made, "ft", command=typed("measure", "ft", "--out", "runs/my ft", "--resume"), started="2"
    )
    return said(made, "base", command=typed("measure", "m", "--out", "runs/base"), started="1")


def test_the_commands_stand_in_the_order_in_which_they_were_given(shown: Study) -> None:
    *_, first, second, report = reproduce(shown).commands
    assert first == "detoxlab measure m --out runs/base"
    assert second == "detoxlab measure ft --out 'runs/my ft'"
    assert report == "detoxlab report runs/base 'runs/my ft' --out report.html"


def test_the_report_has_the_limits_that_its_verdicts_had(shown: Study) -> None:
    (compared,) = shown.comparisons
    wide = dataclasses.replace(compared, limits={"perplexity_ratio": 3.0, "prompts": 20})
    found = reproduce(dataclasses.replace(shown, comparisons=(wide,))).commands[-1]
    assert "--set perplexity_ratio=3.0 --out" in found


def test_a_recipe_is_one_command_that_writes_the_report(shown: Study) -> None:
    recipe = typed("run", "recipes/a.yaml", "--out", "runs")
    both = said(said(shown, "base", command=recipe), "ft", command=recipe)
    lines = [line for line in reproduce(both).commands if not line.startswith("#")]
    assert lines == ["detoxlab run recipes/a.yaml --out runs"]


def test_all_formats_but_the_table_file_have_the_commands(shown: Study) -> None:
    commands = reproduce(shown).commands
    assert json_of(shown)["reproduce"] == list(commands)
    assert "".join(f"{line}\n" for line in commands).replace("'", "&#39;") in html_of(shown)
    assert "\n".join(f"- {markdown(line)}" for line in commands) in markdown_of(shown)


def test_a_name_cannot_end_the_block_or_begin_another_command(shown: Study) -> None:
    evil = typed("measure", "a\n```\nrm -r x; </code>", "--out", "b")
    (line,) = [line for line in reproduce(said(shown, "ft", command=evil)).commands if "rm" in line]
    assert "\n" not in line
    assert len(shlex.split(line)) == 5
    assert "</code>\n</pre>" not in html_of(said(shown, "ft", command=evil))


def test_the_command_of_a_run_made_in_python_gives_it_the_same_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = measure(
        "embedded", prompts="embedded", where={"kind": "hostile"}, limit=2, k=1,
        max_new_tokens=4, stop=["no", "\n"], out="first",
    )  # fmt: skip
    run.update(command=["notebook.py"])
    alone = Study("One", (read_measured(run, "second"),))
    (command,) = [one for one in reproduce(alone).commands if one.startswith("detoxlab measure")]
    with pytest.raises(SystemExit) as done:
        main(shlex.split(command)[1:])
    assert done.value.code == 0
    again = Run(tmp_path / "second")
    assert again.config == run.config
    assert again.responses().generations == run.responses().generations
