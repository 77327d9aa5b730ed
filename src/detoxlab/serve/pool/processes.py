"""The scoring processes: started, fed from the queue, and replaced when they end."""

import asyncio
import logging
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress

from detoxlab.errors import ScorerError
from detoxlab.serve.pool.batching import Batch, Queue
from detoxlab.serve.pool.messages import LENGTH, Hello, Offer, Reply, Task, packed, unpacked

MODULE = "detoxlab.serve.pool.worker"
LONGEST_PAUSE = 30.0  # seconds between two starts of a process that keeps ending
# uvloop raises RuntimeError where a pipe is closed already.
ENDED = (ConnectionError, asyncio.IncompleteReadError, RuntimeError)
Observe = Callable[[Batch, float], None]
log = logging.getLogger("detoxlab.serve")


class Worker:
    """One process and the pipes to it."""

    def __init__(self, process: Process, hello: Hello) -> None:
        self.process, self.hello = process, hello
        self.ended = asyncio.ensure_future(process.wait())

    @classmethod
    async def start(cls, names: Sequence[str], threads: int) -> "Worker":
        """A process that has loaded the scorers. Raises `ScorerError` where it cannot."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", MODULE, *names),
            stdin=PIPE,
            stdout=PIPE,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            start_new_session=True,
        )
        try:
            hello = unpacked(await _receive(process), Hello)
        except ENDED:
            code = await process.wait()
            raise ScorerError(f"a scoring process ended while it loaded (code {code})") from None
        except asyncio.CancelledError:
            process.kill()
            raise
        worker = cls(process, hello)
        if hello.error:
            await worker.stop()
            raise ScorerError(hello.error)
        return worker

    async def score(self, batch: Batch) -> Reply:
        """The rows of a batch; one of `ENDED` when the process ends meanwhile."""
        assert self.process.stdin
        self.process.stdin.write(packed(Task(batch.scorer, batch.texts, batch.detect)))
        await self.process.stdin.drain()
        return unpacked(await _receive(self.process), Reply)

    async def stop(self) -> None:
        """End the process: it is idle, so that the end of its input is enough."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(asyncio.shield(self.ended), 5.0)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End the process, whatever it does, unless it has ended."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.ended


class Pool:
    """So many processes with the same scorers, and the queue that they work off."""

    def __init__(
        self, names: Sequence[str], queue: Queue, *, workers: int, threads: int, observe: Observe
    ) -> None:
        self.names, self.queue, self.threads = tuple(names), queue, threads
        self.offers: tuple[Offer, ...] = ()
        self.restarts = 0
        self._workers: list[Worker | None] = [None] * workers
        self._tasks: list[asyncio.Task[None]] = []
        self._observe = observe

    @property
    def is_ready(self) -> bool:
        """Whether a process is there to score."""
        return any(worker and not worker.ended.done() for worker in self._workers)

    async def start(self) -> None:
        """Start the processes one after another. Raises `ScorerError` where they cannot load."""
        for at in range(len(self._workers)):
            self._workers[at] = await Worker.start(self.names, self.threads)
        first = self._workers[0]
        assert first
        self.offers = first.hello.offers
        self._tasks = [
            asyncio.create_task(self._work(at), name=f"scoring-{at}")
            for at in range(len(self._workers))
        ]

    async def stop(self) -> None:
        """End the processes; whatever still waits is not scored."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers if worker))
        self._workers = [None] * len(self._workers)

    async def _work(self, at: int) -> None:
        """Feed one process, and replace it when it ends."""
        while True:
            worker = self._workers[at]
            if worker is None:
                worker = self._workers[at] = await self._restarted()
            await self._feed(worker)
            self._workers[at] = None
            log.warning("a scoring process ended; another is started")
            await worker.kill()

    async def _feed(self, worker: Worker) -> None:
        """Give a process batches until it ends; the last one goes back to the queue then."""
        while batch := await self._batch_for(worker):
            begun = time.perf_counter()
            try:
                reply = await worker.score(batch)
            except ENDED:
                self.queue.give_back(batch)
                return
            seconds = time.perf_counter() - begun
            batch.finish(reply.rows)
            self.queue.scored(len(batch.texts), seconds)
            self._observe(batch, seconds)

    async def _batch_for(self, worker: Worker) -> Batch | None:
        """The next batch, or None where the process ended while it was idle."""
        taking = asyncio.ensure_future(self.queue.take())
        try:
            await asyncio.wait({taking, worker.ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            taking.cancel()
        return taking.result() if taking.done() else None

    async def _restarted(self) -> Worker:
        pause = 0.0
        while True:
            await asyncio.sleep(pause)
            self.restarts += 1
            try:
                return await Worker.start(self.names, self.threads)
            except ScorerError as error:
                pause = min(LONGEST_PAUSE, 2 * pause + 0.5)
                log.error("a scoring process does not start: %s", error)


async def _receive(process: Process) -> bytes:
    assert process.stdout
    (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    return await process.stdout.readexactly(length)
