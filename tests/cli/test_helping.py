"""`detoxlab help settings`: all fields from the models, readable on 80 columns; quick `--help`."""

import subprocess
import sys

import pytest
import typer

from detoxlab.cli import app, main
from detoxlab.cli.common.describing import describe
from detoxlab.cli.helping import kinds
from detoxlab.recipe.measuring import MeasureSettings

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "datasets",
    "numpy",
    "scipy",
    "pandas",
    "plotly",
    "jinja2",
)
COMMANDS = sorted(typer.main.get_command(app).commands)


def printed(capsys: pytest.CaptureFixture[str], *names: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["help", "settings", *names])
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(kinds()))
def test_every_setting_is_described_and_fits_80_columns(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = list(describe(kinds()[name]))
    assert [field.name for field in fields if not field.description] == []
    lines = printed(capsys, *name.split()).splitlines()
    assert [line for line in lines if len(line) > 80] == []
    heads = [line.split(" ")[0] for line in lines if not line.startswith(" ")]
    assert heads == [field.name for field in fields]


def test_groups_are_entered_and_one_that_is_known_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = printed(capsys, "measure")
    assert set(MeasureSettings.model_fields) < {field.name for field in describe(MeasureSettings)}
    assert "sampling.k = null  (whole number, at least 1, or null)\n    samples per prompt" in page
    assert "prompts.exclude = null  (settings as prompts)" in page
    assert "variants.NAME.name = required" in printed(capsys, "run")


def test_without_a_name_it_lists_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys)
    assert all(name in page for name in ("measure", "train sft", "evaluate perplexity", "limits"))


def test_an_unknown_name_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["help", "settings", "measur"])
    assert stop.value.code == 1
    assert "unknown settings 'measur'. Did you mean 'measure'?" in capsys.readouterr().err


def test_help_of_no_command_imports_anything_heavy() -> None:
    code = (
        "import sys, detoxlab.cli\n"
        f"for command in {[[], *(name.split() for name in COMMANDS), ['help', 'settings']]!r}:\n"
        "    try: detoxlab.cli.main([*command, '--help'])\n"
        "    except SystemExit as stop: assert stop.code == 0\n"
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("Usage: detoxlab") == len(COMMANDS) + 2
    assert done.stdout.endswith("heavy: []\n")
