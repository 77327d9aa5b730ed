"""The state that the methods share: settings, the queue, the attributes and the metrics."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from detoxlab.serve.answers.attributes import Source, served_attributes
from detoxlab.serve.config import ServeSettings
from detoxlab.serve.pool.batching import Queue, QueueFullError, WorkerLostError
from detoxlab.serve.pool.messages import Offer, Scored
from detoxlab.serve.web.metrics import Metrics
from detoxlab.serve.wire.refusals import exhausted, unavailable

MOST_BATCHES = 16  # that are read or answered at once, for their bodies are large


@dataclass
class Service:
    """A running server, without its HTTP."""

    settings: ServeSettings
    queue: Queue
    metrics: Metrics
    offers: tuple[Offer, ...] = ()
    attributes: dict[str, Source] = field(default_factory=dict)
    batches: int = 0
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def open(self, offers: tuple[Offer, ...]) -> None:
        """Take what the scoring processes offer."""
        self.offers, self.attributes = offers, served_attributes(offers)

    def admit(self) -> None:
        """Raises `Refusal` 429 where the queue is full."""
        try:
            self.queue.admit()
        except QueueFullError as full:
            raise exhausted(full.seconds) from None

    @contextmanager
    def one_batch(self) -> Iterator[None]:
        """A place for a batch while the block lasts. Raises `Refusal` 429 where all are taken."""
        if self.batches >= MOST_BATCHES:
            raise exhausted(self.queue.seconds_to_room())
        self.batches += 1
        try:
            yield
        finally:
            self.batches -= 1

    async def scores(self, scorer: int, texts: list[str], detect: list[int]) -> list[Scored]:
        """A row per text. Raises `Refusal` where the queue or the process does not give them."""
        try:
            rows = await self.queue.score(scorer, texts, detect)
        except QueueFullError as full:
            raise exhausted(full.seconds) from None
        except WorkerLostError:
            raise unavailable() from None
        self.metrics.count_texts(self.offers[scorer].id, rows)
        return rows
