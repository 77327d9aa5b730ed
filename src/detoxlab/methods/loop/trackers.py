"""Experiment trackers: each gets every row of the training log, numbers only.

They replace those of transformers, which also send every training argument, among them paths
of this machine; so methods without a trainer of transformers have trackers too.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from detoxlab.errors import DependencyError
from detoxlab.registry import look_up

TrackerName = Literal["tensorboard", "wandb", "trackio"]
Send = Callable[[Mapping[str, float], int], None]
PROJECT = "detoxlab"


@contextlib.contextmanager
def trackers(names: Sequence[TrackerName], run: Path) -> Iterator[Callable[..., None]]:
    """A function that sends a row of the training log to every tracker, while the block lasts.

    `tensorboard` writes into the run folder; `wandb` and `trackio` into their project
    "detoxlab" under the run's name, where a resumed run goes on. The row's `step` becomes the
    tracker's; values that are not numbers are left out.

    Raises `DependencyError` for a tracker that is not installed.
    """
    with contextlib.ExitStack() as stack:
        sends = [stack.enter_context(look_up("tracker", name, TRACKERS)(run)) for name in names]

        def send(row: Mapping[str, float | None]) -> None:
            numbers = {key: value for key, value in row.items() if value is not None}
            step = int(numbers.pop("step"))
            for one in sends:
                one(numbers, step)

        yield send


def check_installed(names: Sequence[TrackerName]) -> None:
    """Raises `DependencyError` for the first tracker that cannot be imported."""
    for name in names:
        _package(name)


# --- the trackers ---


@contextlib.contextmanager
def _tensorboard(run: Path) -> Iterator[Send]:
    _package("tensorboard")
    writing = importlib.import_module("torch.utils.tensorboard")
    with writing.SummaryWriter(log_dir=str(run / "tensorboard")) as writer:

        def send(row: Mapping[str, float], step: int) -> None:
            for key, value in row.items():
                writer.add_scalar(key, value, step)
            writer.flush()

        yield send


@contextlib.contextmanager
def _wandb(run: Path) -> Iterator[Send]:
    with _package("wandb").init(
        project=PROJECT, name=run.name, id=run.name, resume="allow", dir=str(run)
    ) as started:
        yield lambda row, step: started.log(dict(row), step=step)


@contextlib.contextmanager
def _trackio(run: Path) -> Iterator[Send]:
    package = _package("trackio")
    started = package.init(
        project=PROJECT,
        name=run.name,
        resume="allow",
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )
    try:
        yield lambda row, step: started.log(dict(row), step=step)
    finally:
        started.finish()


TRACKERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Send]]] = {
    "tensorboard": _tensorboard,
    "trackio": _trackio,
    "wandb": _wandb,
}


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise DependencyError(
            f"report_to={name}: the package is not installed",
            remedy=f"pip install {name}, or leave the tracker out.",
        ) from None
