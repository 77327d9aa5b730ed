"""The wheel works in an empty environment, outside the repository, with and without extras."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.empty_environment import built_wheel, environment_with

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


def run(python: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [str(python), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment without extras."""
    return environment_with(wheel, tmp_path_factory.mktemp("bare") / "env")


def check_demo(python: Path, tmp_path: Path, scorers: set[str], *command: str) -> None:
    """The demo on ten prompts runs in that environment, and is judged by these scorers."""
    place = run(python, tmp_path, "-c", "import detoxlab; print(detoxlab.__file__)").stdout
    assert place.startswith(str(python.parents[1]))
    assert run(python, tmp_path, "-c", "import pytest").returncode  # undeclared, so not there
    done = run(python, tmp_path, "-m", "detoxlab", *command, "--limit", "10", "--out", "demo")
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "demo" / "report.html").is_file()
    rows = json.loads((tmp_path / "demo" / "base" / "measurements.json").read_text())
    assert {row["scorer_id"] for row in rows if row["name"] == "toxic_fraction"} == scorers


def test_the_demo_runs_where_nothing_else_is(bare: Path, tmp_path: Path) -> None:
    check_demo(bare, tmp_path, {"rtp-linear@1"}, "demo")


def test_the_usual_scorers_judge_where_their_encoder_is(wheel: Path, tmp_path: Path) -> None:
    python = environment_with(wheel, tmp_path / "env", ("offline",))
    recipe = python.parents[1].glob("lib/*/site-packages/detoxlab/assets/demo.yaml")
    steps = ("--set", "variants.counter-narratives.config.max_steps=2")
    scorers = {"rtp-neural@1", "human-neural@1", "hate-neural@1"}
    check_demo(python, tmp_path, scorers, "run", str(next(recipe)), *steps)


def test_every_command_says_its_help_there(bare: Path, tmp_path: Path) -> None:
    for command in ("measure", "report", "publish", "serve"):
        done = run(bare, tmp_path, "-m", "detoxlab", command, "--help")
        assert done.returncode == 0, done.stderr
    done = run(bare, tmp_path, "-m", "detoxlab", "serve", "--scorer", "rtp-linear")
    assert done.returncode == 1
    assert "detoxlab[serve]" in done.stderr
    assert "Traceback" not in done.stderr
