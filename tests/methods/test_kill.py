"""`kill -9` at random moments of a training: the resumed run is the undisturbed one."""

import multiprocessing
import random
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest

from detoxlab.methods import METHODS
from detoxlab.methods.loop.log import TRAIN_LOG
from detoxlab.models import load_model
from tests.support.kill_driver import kill_driver, runs_when_grown
from tests.support.killable import CASES
from tests.support.tiny import save_tiny
from tests.support.training_runs import fitted

pytestmark = pytest.mark.slow


def train(method: str, model: Path, folder: Path) -> None:
    """The whole training of a case, or the rest of it."""
    data, settings, _ = CASES[method]
    fitted(method, folder, data, load_model(model), **settings)


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    """Starts processes that have the libraries loaded, each with its own state."""
    context = multiprocessing.get_context("forkserver")
    families = {METHODS[name].config.__module__.rpartition(".")[0] for name in CASES}
    context.set_forkserver_preload(sorted(f"{family}.train" for family in families))
    return context


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("killed") / "model")


@pytest.mark.e2e
@pytest.mark.parametrize("method", CASES)
def test_a_training_killed_three_times_equals_an_undisturbed_one(
    method: str, model: Path, forks: ForkServerContext, tmp_path: Path
) -> None:
    rng, whole, victim = random.Random(0), tmp_path / "whole", tmp_path / "victim"

    def started(folder: Path) -> ForkServerProcess:
        process = forks.Process(target=train, args=(method, model, folder))
        process.start()
        return process

    def finish(folder: Path) -> None:
        process = started(folder)
        process.join(timeout=300)
        assert process.exitcode == 0

    finish(whole)
    for grows in (CASES[method][2], TRAIN_LOG, TRAIN_LOG):
        process = started(victim)
        size = (whole / grows).stat().st_size  # three kills within .9 of it: it never ends before
        more, delay = int(size * rng.uniform(0.05, 0.3)), rng.uniform(0, 0.03)
        assert runs_when_grown(process.is_alive, victim / grows, more, delay)
        process.kill()
        process.join()
        assert grows == TRAIN_LOG or not (victim / TRAIN_LOG).exists()  # killed while drawing
    finish(victim)
    assert kill_driver().differences(whole, victim) == []


def test_the_driver_tells_runs_apart(tmp_path: Path) -> None:
    kill = kill_driver()
    for name, loss, seconds in (("a", 1.0, 5), ("b", 1.0, 6), ("c", 1.1, 5)):
        folder = tmp_path / name
        (folder / "generations").mkdir(parents=True)
        (folder / "run.json").write_text('{"status": "finished"}')
        (folder / TRAIN_LOG).write_text(f'{{"step": 1, "loss": {loss}, "seconds": {seconds}}}\n')
    assert kill.differences(tmp_path / "a", tmp_path / "b") == []
    assert kill.differences(tmp_path / "a", tmp_path / "c") == ["train.jsonl differs"]
    (tmp_path / "a" / "generations" / "worker-0.jsonl").write_text("{}\n")
    found = kill.differences(tmp_path / "a", tmp_path / "b")
    assert found == ["generations/worker-0.jsonl differs"]
    (tmp_path / "b" / "generations" / "worker-0.jsonl").write_text("{ }\n")
    assert kill.differences(tmp_path / "a", tmp_path / "b") == found
