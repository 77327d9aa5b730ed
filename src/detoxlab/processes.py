"""Several processes on one training, each with its share of every batch (data parallel).

`accelerate launch` or `torchrun` starts them; `joined` makes them one group. Within it all
compute the same steps, and the main process alone writes: `runs` asks `is_main` wherever it
writes to the disk. A process that did not join is alone, whatever its environment says, and
pays nothing for any of this: torch is looked at only when something else has loaded it.
"""

import contextlib
import datetime
import os
import sys
from collections.abc import Iterator
from typing import Any

from detoxlab.errors import TrainingError

PATIENCE = datetime.timedelta(days=1)  # others wait while the main process draws or publishes


def launched() -> int:
    """How many processes the launcher started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextlib.contextmanager
def joined(device: str) -> Iterator[None]:
    """Be one of the launched processes while the block lasts; nothing where there is one.

    `device` is that of the settings: "auto", "cpu", "cuda". All leave together when all went
    well; when one fails, its launcher ends the others. May be nested.
    """
    if launched() == 1 or _group() is not None:
        yield
        return
    import torch
    from accelerate import PartialState

    PartialState(cpu=device == "cpu" or not torch.cuda.is_available(), timeout=PATIENCE)
    yield
    wait()
    _group().destroy_process_group()
    PartialState._reset_state()


def is_main() -> bool:
    """Whether this process writes: the only one, or the first of those that joined."""
    group = _group()
    return group is None or group.get_rank() == 0


def count() -> int:
    """How many processes joined; 1 for a process that is alone."""
    group = _group()
    return 1 if group is None else int(group.get_world_size())


def wait() -> None:
    """Go on when all processes have come here."""
    if group := _group():
        group.barrier()


def check_alone(what: str) -> None:
    """Raises `TrainingError` when other processes joined: `what` cannot share its work."""
    if count() > 1:
        raise TrainingError(
            f"{what} runs in one process, and {count()} were launched",
            remedy="Start it without accelerate launch or torchrun.",
        )


def any_of(flag: bool) -> bool:
    """Whether `flag` is set in any process; all must ask."""
    group = _group()
    if group is None:
        return flag
    flags: list[bool] = [False] * count()
    group.all_gather_object(flags, flag)
    return any(flags)


def _group() -> Any:
    """torch's module of that name when this process has joined others; None otherwise."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available():
        return None
    return torch.distributed if torch.distributed.is_initialized() else None
