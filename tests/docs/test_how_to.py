"""The packages of the how-tos work as they are printed."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
QUICK = ("--k", "1", "--second", "none", "--hate", "none", "--resamples", "100")


def installed(page: str, site: Path) -> dict[str, str]:
    """The environment where the package of a page is installed as pip would leave it."""
    text = (ROOT / "docs" / "how-to" / page).read_text()
    code, toml = (
        re.findall(f"```{kind}\n(.*?)```", text, re.DOTALL)[0] for kind in ("python", "toml")
    )
    declared = tomllib.loads(toml)
    name, version = declared["project"]["name"], declared["project"]["version"]
    (module,) = declared["tool"]["setuptools"]["py-modules"]
    (site / f"{module}.py").write_text(code)
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    ((group, points),) = declared["project"]["entry-points"].items()
    lines = "".join(f"{key} = {place}\n" for key, place in points.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT / "src")])}


def detoxlab(environment: dict[str, str], folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "detoxlab", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def printed_command(page: str) -> list[str]:
    """The words of the page's command that uses its package."""
    text = (ROOT / "docs" / "how-to" / page).read_text()
    (line,) = re.findall(r"^    detoxlab (.* embedded .*)$", text, re.M)
    return str(line).split()


def test_the_own_scorer_scores(tmp_path: Path) -> None:
    environment = installed("own-scorer.md", tmp_path)
    detoxlab(environment, tmp_path, *printed_command("own-scorer.md"), *QUICK)
    rows = json.loads((tmp_path / "runs" / "base" / "measurements.json").read_text())
    (loud,) = [
        row for row in rows if row["scorer_id"] == "loud@1" and row["name"] == "mean_toxicity"
    ]
    assert 0 < loud["value"] < 0.5
    assert loud["coverage"] > 0.5


def test_the_own_method_trains_on_its_share(tmp_path: Path) -> None:
    environment = installed("own-method.md", tmp_path)
    detoxlab(environment, tmp_path, *printed_command("own-method.md"))
    info = json.loads((tmp_path / "runs" / "brief" / "run.json").read_text())
    assert (info["method"], info["train_dialogues"]) == ("brief", round(0.2 * 188))
    assert (tmp_path / "runs" / "brief" / "adapter" / "adapter_model.safetensors").is_file()
