"""The protocols of work that can be done elsewhere, and of those that do it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

Compute: TypeAlias = Callable[[Any], Sequence[Any]]
"""Turns a batch, which is a list of records, into the records that are computed from it."""


class Work(Protocol):
    """A computation that another process can begin by itself. It must be picklable.

    `asked` is the type of the records in a batch, `made` that of the records that come out.
    """

    @property
    def asked(self) -> type[Any]: ...

    @property
    def made(self) -> type[Any]: ...

    @property
    def on_gpu(self) -> bool:
        """Whether each worker takes a GPU, where the cluster has some."""
        ...

    def begin(self) -> Compute:
        """The computation, with all that it needs loaded; each worker calls this once."""
        ...

    def unknown(self, row: Any, reason: str) -> Sequence[Any]:
        """The records for a row whose computation failed: unknown, for that reason."""
        ...


class Workers(Protocol):
    """Processes that compute batches while a `with` block lasts."""

    def __enter__(self) -> "Workers": ...

    def __exit__(self, *_: object) -> None: ...

    def results(
        self, work: Work, here: Compute, batches: Sequence[Sequence[Any]]
    ) -> Iterator[Sequence[Any]]:
        """The records of each batch, in the order of the batches.

        `here` is the same computation with what this process has loaded already.
        """
        ...

    def record(self) -> dict[str, Any]:
        """The entries of `run.json` about the workers."""
        ...


class Here:
    """This process: a batch after the other."""

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def results(
        self, work: Work, here: Compute, batches: Sequence[Sequence[Any]]
    ) -> Iterator[Sequence[Any]]:
        """The records of each batch, in their order."""
        del work
        return map(here, batches)

    def record(self) -> dict[str, Any]:
        """Nothing: it is what runs are made by unless they say otherwise."""
        return {}


HERE = Here()
