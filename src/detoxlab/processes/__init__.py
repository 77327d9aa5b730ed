"""Several processes on one training, each with its share of every batch (data parallel).

`accelerate launch` or `torchrun` starts them; `joined` makes them one group. Within it all
compute the same steps, and the main process alone writes: `runs` asks `is_main` wherever it
writes to the disk. A process that did not join is alone, whatever its environment says, and
has no extra cost: torch is used only when something else has imported it.
"""

import contextlib
import datetime
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from detoxlab.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

Item = TypeVar("Item")
RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")  # set by a launcher
SHARDING, OFFLOADING = "ACCELERATE_USE_FSDP", "FSDP_OFFLOAD_PARAMS"  # set by accelerate launch
PATIENCE = datetime.timedelta(days=1)  # others wait while the main process draws or publishes
_independent = _sharding = False


def launched() -> int:
    """The number of processes that the launcher started; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextlib.contextmanager
def joined(device: str) -> Iterator[None]:
    """Join the launched processes while the block lasts; does nothing for a single process.

    `device` is that of the settings: "auto", "cpu", "cuda". All leave together after success;
    when one fails, its launcher ends the others. It may be nested.
    """
    if _joined() is not None:
        yield
        return
    with _sharding_asked():
        if launched() == 1:
            yield
            return
        import torch
        from accelerate import PartialState

        from detoxlab.internals.accelerate import forget_processes

        PartialState(cpu=device == "cpu" or not torch.cuda.is_available(), timeout=PATIENCE)
        yield
        barrier()
        _joined().destroy_process_group()
        forget_processes()


@contextlib.contextmanager
def independent() -> Iterator[None]:
    """Each of the joined processes does work of its own while the block lasts.

    For our code and for libraries, each process is then alone: only `barrier_all` waits for
    others. Still only the main process writes.
    """
    global _independent
    if _joined() is None:
        yield
        return
    from detoxlab.internals.accelerate import forget_processes

    said = {name: os.environ.pop(name) for name in RANKS if name in os.environ}
    forget_processes(accelerator=True)
    _independent = True
    try:
        yield
    finally:
        _independent = False
        os.environ.update(said)
        forget_processes(accelerator=True)


def shards_base() -> bool:
    """Whether each of the joined processes is to hold a part of the base: launched with FSDP."""
    return _sharding and count() > 1


def barrier_all() -> None:
    """Wait until all processes are here, also those in a block of `independent`."""
    if group := _joined():
        group.barrier()


def is_main() -> bool:
    """Whether this process writes: it is the only one, or the first that joined."""
    group = _joined()
    return group is None or group.get_rank() == 0


def count() -> int:
    """The number of joined processes; 1 for a process that is alone."""
    group = _group()
    return 1 if group is None else int(group.get_world_size())


def barrier() -> None:
    """Wait until all processes are here."""
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
    """Whether `flag` is set in any process; all processes must call this."""
    group = _group()
    if group is None:
        return flag
    flags: list[bool] = [False] * count()
    group.all_gather_object(flags, flag)
    return any(flags)


def share(items: Sequence[Item]) -> Sequence[Item]:
    """This process's part of the items, in order and as equal as possible; all when it is alone.

    >>> share([1, 2, 3])
    [1, 2, 3]
    """
    group = _group()
    rank = 0 if group is None else group.get_rank()
    return items[len(items) * rank // count() : len(items) * (rank + 1) // count()]


def gathered(part: list[Item]) -> list[Item]:
    """The parts of all processes in order, which `share` divided; all processes must call this.

    The items are pickled: tensors must be on the CPU.
    """
    group = _group()
    if group is None:
        return part
    parts: list[list[Item]] = [[]] * count()
    group.all_gather_object(parts, part)
    return [item for one in parts for item in one]


def add_up(tensors: "Sequence[Tensor]") -> None:
    """Put into every tensor the sum of all processes' tensors; all processes must call this."""
    if group := _group():
        for tensor in tensors:
            group.all_reduce(tensor)


@contextlib.contextmanager
def _sharding_asked() -> Iterator[None]:
    """Hear whether the launcher asks for FSDP, and let no library hear it while the block lasts.

    accelerate and transformers would shard the adapters too.
    """
    global _sharding
    said = os.environ.pop(SHARDING, None)
    _sharding = said == "true"
    try:
        if _sharding and os.environ.get(OFFLOADING) == "true":
            raise TrainingError(
                "a base in parts stays on its devices: --fsdp_offload_params is not supported",
                remedy="Leave it out, or start more processes, each of which holds less.",
            )
        yield
    finally:
        _sharding = False
        if said is not None:
            os.environ[SHARDING] = said


def _group() -> Any:
    """The result of `_joined`; None in a block of `independent`."""
    return None if _independent else _joined()


def _joined() -> Any:
    """torch's module `distributed` when this process has joined others; None otherwise."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available():
        return None
    return torch.distributed if torch.distributed.is_initialized() else None
