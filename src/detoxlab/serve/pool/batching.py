"""The queue in front of the scoring processes: texts of many requests become one batch.

A process that is idle takes what waits, at most a batch. While it is busy the next batch gathers,
so that batches are large where the load is and no text waits for company where it is not.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from detoxlab.serve.pool.messages import Scored

BATCH_CHARACTERS = 1 << 18
SMOOTHING = 0.2


class QueueFullError(Exception):
    """The queue takes no more texts; `seconds` is a guess of when it will."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"full for {seconds} s")
        self.seconds = seconds


class WorkerLostError(Exception):
    """The process that scored a batch ended, twice."""


@dataclass(eq=False)
class Waiting:
    """Texts of one request for one scorer, at most a batch, and where their scores go."""

    texts: list[str]
    detect: list[int]
    since: float
    done: asyncio.Future[list[Scored]] = field(repr=False)
    tried: int = 0


@dataclass
class Batch:
    """Texts that a process scores at once."""

    scorer: int
    parts: list[Waiting]

    @property
    def texts(self) -> list[str]:
        """The texts of all parts, in order."""
        return [text for part in self.parts for text in part.texts]

    @property
    def detect(self) -> list[int]:
        """The places in `texts` of those whose language is asked for."""
        found, start = [], 0
        for part in self.parts:
            found += [start + at for at in part.detect]
            start += len(part.texts)
        return found

    def finish(self, rows: Sequence[Scored]) -> None:
        """Give each part its rows."""
        start = 0
        for part in self.parts:
            if not part.done.done():
                part.done.set_result(list(rows[start : start + len(part.texts)]))
            start += len(part.texts)

    def fail(self, error: Exception) -> None:
        """Tell each part that it has no scores."""
        for part in self.parts:
            if not part.done.done():
                part.done.set_exception(error)


class Queue:
    """Texts that wait, one line per scorer, with a bound on their number and on their waiting."""

    def __init__(
        self,
        scorers: int,
        *,
        batch_size: int,
        batch_wait: float,
        most: int,
        longest_wait: float,
        clock: Callable[[], float],
    ) -> None:
        self.batch_size, self.batch_wait = batch_size, batch_wait
        self.most, self.longest_wait, self._clock = most, longest_wait, clock
        self._lines: list[deque[Waiting]] = [deque() for _ in range(scorers)]
        self._arrived = asyncio.Event()
        self.waiting = 0  # texts
        self.per_second = 0.0  # texts, as they were scored of late

    def admit(self) -> None:
        """Raises `QueueFullError` where a further request has to come back later."""
        if self.waiting >= self.most:
            raise QueueFullError(self.seconds_to_room())

    def seconds_to_room(self) -> int:
        """A guess of the seconds until half of the queue is scored, from 1 to 60."""
        if not self.per_second:
            return 1
        return max(1, min(60, math.ceil(self.waiting / 2 / self.per_second)))

    async def score(self, scorer: int, texts: list[str], detect: list[int]) -> list[Scored]:
        """The rows of texts in order.

        Raises `QueueFullError` where that takes too long, `WorkerLostError`.
        """
        parts = [
            self._enter(scorer, texts, detect, start)
            for start in range(0, len(texts), self.batch_size)
        ]
        try:
            async with asyncio.timeout(self.longest_wait):
                found = [await part.done for part in parts]
        except TimeoutError:
            raise QueueFullError(self.seconds_to_room()) from None
        finally:  # a client that left, or a part that failed: nobody waits for the others
            for part in parts:
                part.done.cancel()
        return [row for rows in found for row in rows]

    def _enter(self, scorer: int, texts: list[str], detect: list[int], start: int) -> Waiting:
        end = start + self.batch_size
        own = [at - start for at in detect if start <= at < end]
        done: asyncio.Future[list[Scored]] = asyncio.get_running_loop().create_future()
        part = Waiting(texts[start:end], own, self._clock(), done)
        self._lines[scorer].append(part)
        self.waiting += len(part.texts)
        self._arrived.set()
        return part

    async def take(self) -> Batch:
        """The next batch, of the scorer whose texts have waited longest."""
        while True:
            self._drop_abandoned()
            heads = [(line[0].since, at) for at, line in enumerate(self._lines) if line]
            if heads:
                since, scorer = min(heads)
                delay = since + self.batch_wait - self._clock()
                if delay <= 0 or self._size(scorer) >= self.batch_size:
                    return Batch(scorer, self._pop(scorer))
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), delay if heads else None)
            except TimeoutError:
                continue

    def give_back(self, batch: Batch) -> None:
        """Put a batch whose process ended back to the head of its line, once."""
        again = [part for part in batch.parts if not part.done.done()]
        for part in reversed(again):
            part.tried += 1
            if part.tried > 1:
                part.done.set_exception(WorkerLostError())
                continue
            self._lines[batch.scorer].appendleft(part)
            self.waiting += len(part.texts)
        self._arrived.set()

    def scored(self, texts: int, seconds: float) -> None:
        """Count texts that a process scored in that time."""
        rate = texts / max(seconds, 1e-6)
        self.per_second += SMOOTHING * (rate - self.per_second) if self.per_second else rate

    def _size(self, scorer: int) -> int:
        return sum(len(part.texts) for part in self._lines[scorer])

    def _drop_abandoned(self) -> None:
        """Take out of the heads of the lines what nobody waits for any more."""
        for line in self._lines:
            while line and line[0].done.done():
                self.waiting -= len(line.popleft().texts)

    def _pop(self, scorer: int) -> list[Waiting]:
        line, texts, characters = self._lines[scorer], 0, 0
        parts: list[Waiting] = []
        while line:
            part = line[0]
            size = sum(map(len, part.texts))
            too_many = texts + len(part.texts) > self.batch_size
            if parts and (too_many or characters + size > BATCH_CHARACTERS):
                break
            line.popleft()
            self.waiting -= len(part.texts)
            if not part.done.done():
                parts.append(part)
                texts, characters = texts + len(part.texts), characters + size
        return parts
