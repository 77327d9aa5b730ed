"""The mistakes of a first evening: one line names cause and remedy, before torch is imported."""

import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.console import Console, Done
from tests.support.mistakes import AFTER_TORCH, MISTAKES, WRONG_USE, Mistake, prepare

BEFORE_TORCH = [mistake for mistakes in MISTAKES.values() for mistake in mistakes]


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("evening")
    prepare(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PERSPECTIVE_API_KEY", "PERSPECTIVE_URL", "NO_KEY", "NO_SUCH_VARIABLE"):
            patch.delenv(name, raising=False)
        started = Console(folder)
    yield started
    started.close()


def state(folder: Path) -> dict[str, str]:
    """Every file below and the hash of its content."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "run.lock")
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def refused(console: Console, mistake: Mistake) -> Done:
    """The refusal of a mistake: one line with its cause, then its remedy; no file is touched."""
    line, cause, remedy = mistake
    before = state(console.folder)
    done = console.run(shlex.split(line))
    said = [one for one in done.err.splitlines() if one.startswith("error: ")]
    assert "Traceback" not in done.err, done.err
    assert len(said) == 1, done
    assert cause in said[0], said[0]
    assert remedy in said[0].partition(cause)[2], said[0]
    assert state(console.folder) == before, "nothing is lost or begun"
    return done


def test_there_are_sixty_and_more() -> None:
    assert len({line for line, _, _ in BEFORE_TORCH}) == len(BEFORE_TORCH) > 60


@pytest.mark.parametrize("mistake", BEFORE_TORCH, ids=[line for line, _, _ in BEFORE_TORCH])
def test_a_mistake_is_named_with_its_remedy(mistake: Mistake, console: Console) -> None:
    done = refused(console, mistake)
    assert done.code == (2 if mistake in WRONG_USE else 1)
    assert not done.imported_torch


@pytest.mark.parametrize("mistake", AFTER_TORCH, ids=[line for line, _, _ in AFTER_TORCH])
def test_a_mistake_that_torch_alone_can_tell(mistake: Mistake, console: Console) -> None:
    done = refused(console, mistake)
    assert (done.code, done.imported_torch) == (1, True)
