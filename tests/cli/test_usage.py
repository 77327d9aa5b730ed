"""A command line that cannot be read gives one line with the form of the command."""

import typing

import pytest
import typer

from detoxlab.cli import app, main

WRONG = {
    "train sft": "train: Missing argument 'model'. Write detoxlab train METHOD MODEL --out OUT;",
    "measure m --ouput x": "measure: No such option: --ouput. Did you mean --output or --out?",
    "measure m -o x --k many": "measure: Invalid value for '--k'",
    "measure m -o": "Option '-o' requires an argument. `detoxlab COMMAND -h`",
    "mesure m": "No such command 'mesure'. Did you mean 'measure', 'resume'? `detoxlab -h` lists",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_use_is_one_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    printed = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert len(printed) == 1
    assert printed[0].startswith(f"error: {WRONG[line]}")


def test_no_command_shows_the_help_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([])
    shown = capsys.readouterr()
    assert (stop.value.code, shown.err) == (2, "")
    assert "measure" in shown.out


def test_every_command_calls_the_place_of_its_result_out_and_output() -> None:
    commands = typing.cast(typing.Any, typer.main.get_command(app)).commands
    with_out = {
        name: one.opts
        for name, command in commands.items()
        for one in command.params
        if {"--out", "--output"} & set(one.opts)
    }
    assert {"measure", "train", "compare", "report", "export"} <= set(with_out)
    assert set(map(tuple, with_out.values())) == {("--out", "--output", "-o")}
