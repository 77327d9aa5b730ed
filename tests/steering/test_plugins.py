"""Steerings of another package, found by its entry points: measured, killed, compared, reported."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from detoxlab.cli import main
from detoxlab.steering import STEERINGS
from tests.support.kill_driver import kill_driver, kill_when_grown
from tests.support.plugins.steer_bias import Bias
from tests.support.plugins.steer_vector import Vector

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "tests" / "support" / "plugins"
ROWS = "generations/worker-0.jsonl"
MEASURE = (
    *("measure", "embedded", "--limit", "16", "--k", "2", "--max-new-tokens", "10"),
    *("--judge", "rtp-linear", "--second", "none", "--resamples", "200"),
)
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts a detoxlab command where the plug-ins are installed as pip would leave them."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads((PLUGINS / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    named = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(named)
    for group, points in project["entry-points"].items():
        lines = "".join(f"{name} = {place}\n" for name, place in points.items())
        (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    path = os.pathsep.join([str(site), str(PLUGINS), str(ROOT / "src")])

    def run(*arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "detoxlab", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
        )

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs go; a vector for the embedded model lies there."""
    folder = tmp_path_factory.mktemp("runs")
    generator = torch.Generator().manual_seed(0)
    save_file({"vector": torch.randn(256, generator=generator)}, folder / "push.safetensors")
    return folder


@pytest.fixture(scope="module")
def steerings(folder: Path) -> dict[str, list[str]]:
    names = ("bias:260,300,301@2.5", f"vector:{folder / 'push.safetensors'}@0.3")
    return {name.partition(":")[0]: ["--steer", name] for name in names}


@pytest.fixture(scope="module")
def base(start: Start, folder: Path) -> Path:
    finish(start(*MEASURE, "--out", str(folder / "base")))
    return folder / "base"


@pytest.fixture(scope="module", params=["bias", "vector"])
def measured(
    request: pytest.FixtureRequest, start: Start, folder: Path, steerings: dict[str, list[str]]
) -> Path:
    """A steered run in batches of four prompts, undisturbed."""
    out = folder / request.param
    finish(start(*MEASURE, *steerings[request.param], "--batch-size", "4", "--out", str(out)))
    return out


def finish(process: "subprocess.Popen[bytes]") -> str:
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()[-2000:]
    return printed.decode()


def command(arguments: list[str]) -> None:
    """Run a command in this process, where no plug-in is installed; it must end well."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code in (0, None)


def lines(run: Path) -> list[str]:
    return sorted((run / ROWS).read_text().splitlines())


@pytest.mark.e2e
def test_a_steered_run_says_so_and_answers_unlike_the_base(measured: Path, base: Path) -> None:
    info = json.loads((measured / "run.json").read_text())
    ends = {"bias": "bias@260,300,301*2.5", "vector": "*0.3"}
    assert info["model"]["steering"].endswith(ends[measured.name])
    assert info["model"]["id"].endswith(f"+{info['model']['steering']}")
    assert info["train_scorers"] == []
    assert lines(measured) != lines(base)
    guard = f"likelihood:{json.loads((base / 'run.json').read_text())['model']['id']}"
    assert info["base_likelihood_id"] == guard  # the reference is the base, not the steered model


@pytest.mark.e2e
def test_a_killed_steered_run_resumes_to_the_same_bytes(
    measured: Path, start: Start, steerings: dict[str, list[str]], tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    command = [*MEASURE, *steerings[measured.name], "--batch-size", "4", "--out", str(victim)]
    some = (measured / ROWS).stat().st_size // 3
    assert kill_when_grown(start(*command), victim / ROWS, some, 0.0)
    assert len(lines(victim)) < len(lines(measured))
    finish(start(*command, "--resume"))
    assert kill_driver().differences(measured, victim) == []


@pytest.mark.e2e
def test_batches_of_one_prompt_give_the_same_responses(
    measured: Path, start: Start, steerings: dict[str, list[str]], tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    finish(start(*MEASURE, *steerings[measured.name], "--batch-size", "1", "--out", str(alone)))
    assert lines(alone) == lines(measured)


@pytest.mark.e2e
def test_a_steered_run_is_compared_and_reported_like_any_other(
    measured: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.html"
    for asked in (["compare"], ["report", "--output", str(report)]):
        command([*asked, str(base), str(measured)])
    assert f"{measured.name} against base: " in capsys.readouterr().out
    steering = json.loads((measured / "run.json").read_text())["model"]["steering"]
    assert steering in report.read_text()


@pytest.mark.e2e
def test_it_is_evaluated_in_place_as_it_was_measured(
    measured: Path, base: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, loader in {"bias": Bias, "vector": Vector}.items():
        monkeypatch.setitem(STEERINGS, kind, loader)
    texts = folder / "texts.txt"
    texts.write_text("The weather was fine that day.\nThey went home when it began to rain.\n")
    found = []
    for run in (base, measured):
        command(["evaluate", str(run), "perplexity", "--source", str(texts)])
        found.append(json.loads((run / "evaluation" / "perplexity.json").read_text()))
    plain, steered = (one["measurements"][0]["value"] for one in found)
    assert steered != plain
    assert found[1]["model"] == json.loads((measured / "run.json").read_text())["model"]["id"]


@pytest.mark.e2e
def test_an_unknown_kind_names_those_of_the_package_too(start: Start, tmp_path: Path) -> None:
    process = start(*MEASURE, "--steer", "vectors:x", "--out", str(tmp_path / "run"))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Did you mean 'vector'" in errors.decode()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["steer_bias.py", "steer_vector.py"])
def test_the_page_shows_the_plugins_as_they_are(name: str) -> None:
    assert (PLUGINS / name).read_text() in (ROOT / "docs" / "steering.md").read_text()
