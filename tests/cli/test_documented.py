"""Every command that the README, the docs and the recipes show is one that detoxlab takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest
import typer

from detoxlab.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("recipes/**/*.yaml"),
]
LINE = re.compile(
    r"^(?:    |\$ |# +)(?:\w+=\S+ )*(?:accelerate launch .*--module )?"
    r"detoxlab ([a-z](?:='[^']*'|[^\n])*?)(?: &)?$",
    re.MULTILINE,
)
BENCH = re.compile(r'^\$ (\w+)="(.*)"$', re.MULTILINE)


def commands() -> Iterator[str]:
    for page in PAGES:
        text = page.read_text().replace("\\\n#", "").replace("\\\n", " ")
        words = dict(BENCH.findall(text))
        for command in LINE.findall(text):
            yield Template(command).safe_substitute(words)


SHOWN = sorted(set(commands()))


def test_there_are_some() -> None:
    assert len(SHOWN) > 40
    assert any("--protocol let-the-models-respond --k 5" in command for command in SHOWN)


@pytest.mark.parametrize("command", SHOWN)
def test_a_shown_command_is_taken(command: str) -> None:
    arguments = [one for one in shlex.split(command, comments=True) if one != "…"]
    found = typer.main.get_command(app)
    while hasattr(found, "commands"):
        name, found, arguments = found.resolve_command(typer.Context(found), arguments)
    found.make_context(name, arguments, resilient_parsing=False)


def test_an_option_that_is_not_there_is_seen() -> None:
    with pytest.raises(Exception, match="No such option: --nope"):
        typer.main.get_command(app).commands["measure"].make_context(
            "measure", ["m", "--out", "r", "--nope"]
        )
