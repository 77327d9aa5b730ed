"""One progress line for long work: what, how far, how long it still takes; on stderr."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(title: str, total: int, *, done: int = 0) -> Iterator[Callable[[int], None]]:
    """A bar for `total` steps of which `done` are behind us; yields `advance(steps)`.

    Without a terminal it prints a plain line at the start and at the end only.
    """
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
        yield lambda _steps: None
        sys.stderr.write(f"{title}: done\n")
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, completed=done)
        yield lambda steps: bar.advance(task, steps)


def say(line: str) -> None:
    """One plain line on stderr: which stage begins."""
    sys.stderr.write(f"{line}\n")
