"""Progress of long work on stderr: a bar in a terminal, elsewhere a plain line every minute.

Pipes, log files of a batch system such as SLURM, and notebooks are no terminals.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from detoxlab import processes

MINUTE = 60.0
INSTANT = 0.001  # seconds; a step that took less was not computed now


class Advance(Protocol):
    """Moves the progress on; `note` is a text beside it, such as the speed or the loss."""

    def __call__(self, steps: int, /, note: str = "") -> None: ...


@contextlib.contextmanager
def progress(title: str, total: int, *, done: int = 0, every: float = MINUTE) -> Iterator[Advance]:
    """Shows `total` steps, of which `done` are finished; yields `advance(steps, note)`.

    Without a terminal it prints a plain line at the start, every so many seconds, and at the end.
    Of several processes only the main one shows anything.
    """
    if not processes.is_main():
        yield _unseen
    elif sys.stderr.isatty():
        with _bar(title, total, done) as advance:
            yield advance
    else:
        with _lines(Pace(title, total, done), every) as advance:
            yield advance


def say(line: str) -> None:
    """Print one plain line on stderr, from the main process only, such as the start of a stage."""
    if processes.is_main():
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


@dataclass
class Pace:
    """The steps of some work and the time they took, for the lines that tell of it.

    Times are seconds of one clock. Steps that a resumed run finds done arrive all at once: they
    are counted, but the pace is that of the steps after them.
    """

    title: str
    total: int
    done: int = 0
    note: str = ""
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._since = self._latest = self.started
        self._before = self.done

    def advance(self, steps: int, now: float, note: str = "") -> None:
        """Count steps that ended now; 0 steps change the note alone."""
        self.note = note or self.note
        if steps == 0:
            return
        self.done += steps
        if now - self._latest < INSTANT:
            self._since, self._before = now, self.done
        self._latest = now

    def seconds_left(self, now: float) -> float | None:
        """The rest at the pace so far; None before the first computed step.

        >>> pace = Pace("generate", total=100, started=0.0)
        >>> pace.advance(20, now=10.0)
        >>> pace.seconds_left(now=10.0), pace.seconds_left(now=15.0)
        (40.0, 35.0)
        """
        steps = self.done - self._before
        if steps == 0:
            return None
        each = (self._latest - self._since) / steps
        return max(0.0, each * (self.total - self.done) - (now - self._latest))

    def first_line(self) -> str:
        """The line of the start.

        >>> Pace("generate", 425).first_line(), Pace("generate", 425, done=100).first_line()
        ('generate: 425 to do', 'generate: 325 of 425 to do')
        """
        of_all = f" of {self.total}" if self.done else ""
        return f"{self.title}: {self.total - self.done}{of_all} to do"

    def line(self, now: float) -> str:
        """The line on the way.

        >>> pace = Pace("generate", total=100, started=0.0)
        >>> pace.advance(20, now=60.0, note="9 tokens/s")
        >>> pace.line(now=60.0)
        'generate: 20 of 100, 4 min left, 9 tokens/s'
        """
        left = self.seconds_left(now)
        time_left = "time left not known yet" if left is None else f"{in_words(left)} left"
        return _joined(f"{self.title}: {self.done} of {self.total}", time_left, self.note)

    def last_line(self, now: float) -> str:
        """The line of the end, with the time of it all."""
        return _joined(f"{self.title}: done in {in_words(now - self.started)}", self.note)


def in_words(seconds: float) -> str:
    """A duration for people.

    >>> [in_words(seconds) for seconds in (8.4, 59.7, 150, 7500)]
    ['8 s', '1 min', '2 min', '2 h 05 min']
    """
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


# --- inside ---


@contextlib.contextmanager
def _bar(title: str, total: int, done: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, note="")

        def advance(steps: int, /, note: str = "") -> None:
            bar.update(task, advance=steps)
            if note:
                bar.update(task, note=note)

        yield advance


@contextlib.contextmanager
def _lines(pace: Pace, every: float) -> Iterator[Advance]:
    """Plain lines from a thread of their own, so that a slow step does not silence them."""
    say(pace.first_line())
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(every):
            say(pace.line(time.monotonic()))

    def advance(steps: int, /, note: str = "") -> None:
        pace.advance(steps, time.monotonic(), note)

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield advance
    finally:
        ended.set()
        teller.join()
    say(pace.last_line(time.monotonic()))


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _unseen(_steps: int, /, note: str = "") -> None:
    del note
