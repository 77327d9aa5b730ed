"""One progress line for long work on stderr: title, steps done, time left."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Protocol

from detoxlab import processes


class Advance(Protocol):
    """Moves the bar on; `note` is a text beside it, such as the speed."""

    def __call__(self, steps: int, /, note: str = "") -> None: ...


@contextlib.contextmanager
def progress(title: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """A bar for `total` steps, of which `done` are finished; yields `advance(steps, note)`.

    Without a terminal it prints a plain line at the start and at the end only; of several
    processes only the main one shows anything.
    """
    if not processes.is_main():
        yield _unseen
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        sys.stderr.write(f"{title}: {total - done} to do\n")
        last = ""

        def remember(_steps: int, /, note: str = "") -> None:
            nonlocal last
            last = note and f", {note}"

        yield remember
        sys.stderr.write(f"{title}: done{last}\n")
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, completed=done, note="")

        def advance(steps: int, /, note: str = "") -> None:
            bar.update(task, advance=steps, note=note)

        yield advance


def _unseen(_steps: int, /, note: str = "") -> None:
    del note


def say(line: str) -> None:
    """Print one plain line on stderr, from the main process only, such as the start of a stage."""
    if processes.is_main():
        sys.stderr.write(f"{line}\n")
