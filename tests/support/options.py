"""The settings that options on the command line make."""

import shlex

import typer

from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.benches import MEASURED
from detoxlab.cli.common.fields import Given, from_fields
from detoxlab.cli.measuring import with_prompts
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.recipe.overrides import with_overrides
from detoxlab.settings import parse

NONE: list[str] = []


def settings_of(options: str) -> MeasureSettings:
    """The settings that a command with these options makes."""
    found: list[MeasureSettings] = []

    @from_fields(asked=(MeasureSettings, MEASURED))
    def command(asked: Given, set_: arg.Set = NONE) -> None:
        given = with_prompts(with_overrides({"model": "m"} | asked, set_))
        found.append(parse(MeasureSettings, given, place="measure"))

    small = typer.Typer()
    small.command()(command)
    typer.main.get_command(small).main(shlex.split(options), standalone_mode=False)
    return found[0]
