"""The first screen of the README: its two ways ask the same, and its commands are at hand."""

import ast
import re
import subprocess
from pathlib import Path

from pydantic import BaseModel

from detoxlab.cli.common.benches import bench_options
from detoxlab.data.settings import PromptSettings
from detoxlab.recipe.measuring import MeasureSettings, SamplingSettings
from detoxlab.recipe.placing import placed
from tests.support.options import settings_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_python_of_the_readme_asks_on_the_bench_of_its_console() -> None:
    """So both print the same verdict: all else in them is the same by name."""
    (console,) = re.findall(r'^\$ BENCH="(.*)"$', README, re.MULTILINE)
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    bench = next(
        ast.literal_eval(node.value)
        for node in ast.parse(snippet).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "bench"
    )
    groups: dict[str, type[BaseModel]] = {
        "prompts": PromptSettings,
        "sampling": SamplingSettings,
    }
    asked = MeasureSettings(model="m", **placed(bench, MeasureSettings, groups))
    assert bench_options(asked) == bench_options(settings_of(console))
    assert "sft embedded --dialogues embedded --set epochs=4" in README
    assert 'train("sft", "embedded", dialogues="embedded", epochs=4' in snippet


def test_a_verdict_comes_after_three_commands() -> None:
    """Before any other headline, and with the installation among the three."""
    first = README.partition("```console")[2].partition("```")[0]
    commands = re.findall(r"^\$ (.*)$", first, re.MULTILINE)
    assert len(commands) == 3
    assert [command.split()[0] for command in commands] == ["pip", "pip", "detoxlab"]
    assert "download.pytorch.org/whl/cpu" in commands[0]
    assert re.search(r"^counter-narratives against base: improved", first, re.MULTILINE)


def test_the_demo_ends_with_the_line_that_activates_its_environment() -> None:
    # Under `make test`, the inner make would end with "Leaving directory".
    command = ["make", "--no-print-directory", "-n", "demo"]
    steps = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "source .venv/bin/activate" in steps[-1]
    assert "source .venv/bin/activate" in README
