"""`--on` and `--workers`: which names are taken, and what is said of the others."""

import sys

import pytest

from detoxlab.errors import ConfigError, DependencyError
from detoxlab.workers import HERE, workers_on


def test_this_process_works_unless_another_is_named() -> None:
    assert workers_on("local") is HERE


def test_no_package_is_loaded_before_the_work_begins() -> None:
    loaded = "ray" in sys.modules
    workers_on("ray", 2)
    assert ("ray" in sys.modules) is loaded


@pytest.mark.parametrize(
    ("on", "workers", "said"),
    [
        ("spark", None, r"--on spark: is no engine\. Give 'local' or 'ray'\."),
        (
            "ray://head:10001",
            None,
            r"Ray Data does not work through Ray's client\. Run the command",
        ),
        ("http://ray", None, r"--on http://ray: is no engine"),
        ("ray", 0, r"--workers is 0\. It must be at least 1\."),
        ("local", 2, r"--workers: this process has none\. Add --on ray, or leave it out\."),
    ],
)
def test_what_is_no_place_to_work_is_refused(on: str, workers: int | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        workers_on(on, workers)


def test_without_ray_the_remedy_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(DependencyError, match=r"needs Ray\. pip install 'detoxlab\[scale\]'"):
        workers_on("ray")
