"""Fixtures that every test may use. Small real things, no mocks, no network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Memory that one training step frees serves the next: a fifth less time in workers and commands.
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 32))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1 << 33))
for folder in ("DETOXLAB_DATA", "DETOXLAB_MODELS"):
    if os.environ.get(folder):  # a test may work in another directory; a recipe reads these names
        os.environ[folder] = str(Path(os.environ[folder]).resolve())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the longest tests come first: whoever ends first has short ones left to take."""
    length = dict[Path, int]()
    for item in items:
        marked = 2 if item.get_closest_marker("e2e") else bool(item.get_closest_marker("slow"))
        length[item.path] = max(length.get(item.path, 0), marked)
    items.sort(key=lambda item: -length[item.path])


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets (DETOXLAB_DATA); a test that needs it fails in CI without."""
    value = os.environ.get("DETOXLAB_DATA")
    if value and Path(value).is_dir():
        return Path(value).resolve()
    if value or os.environ.get("CI"):
        pytest.fail(f"DETOXLAB_DATA={value!r} is not a folder")
    pytest.skip("set DETOXLAB_DATA to the folder of real data sets to run this test")


@pytest.fixture(scope="session")
def real_models() -> Path:
    """The folder with SmolLM2, as a GGUF file and as a folder; fails in CI where it cannot be had.

    It is fetched once, into DETOXLAB_MODELS or `models`.
    """
    return _fetched("fetch_model.py")


@pytest.fixture(scope="session")
def offline_encoders() -> Path:
    """The folder with the encoders e5 and mpnet; fails in CI where they cannot be had.

    They are fetched once, into DETOXLAB_MODELS or `models`.
    """
    return _fetched("fetch_encoders.py")


def _fetched(script: str) -> Path:
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("DETOXLAB_MODELS", root / "models")).resolve()
    command = [sys.executable, str(root / "scripts" / script), "--into", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop(f"{script}: the real models cannot be had: {done.stderr[-500:]}")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's score cache."""
    monkeypatch.setenv("DETOXLAB_CACHE", str(tmp_path / "cache"))
