"""A service as a scorer: scores, reasons for missing ones, and the end where it fails for all."""

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from detoxlab.errors import ScorerError
from detoxlab.scorers.base import FloatArray, encodable, is_empty
from detoxlab.scorers.batching import map_distinct
from detoxlab.scorers.remote.names import Place
from detoxlab.scorers.remote.reading import Dialect, Reading, Scored, Unscored
from detoxlab.scorers.remote.sending import Pace, Sender
from detoxlab.servers import Failed, Retries

T = TypeVar("T")
HARMLESS = "Good morning."
MANY = 8  # failures in a row; of so many the texts are hardly the cause


class RemoteScorer:
    """Scores texts by a service, each text by a request of its own.

    A text that the service turns down, or about which a request fails finally, is missing with the
    reason. Raises `ScorerError` when the service fails for a harmless text too: after the first
    failure of a server that has answered nothing yet, and after eight failures in a row.

    `texts_at_once` is how many texts a cache should let it score before it stores them.
    """

    def __init__(
        self,
        dialect: Dialect,
        place: Place,
        *,
        scorer_id: str,
        requests_per_second: float,
        concurrency: int,
        timeout_seconds: float,
        retries: Retries,
    ) -> None:
        self.id, self.attributes = scorer_id, dialect.attributes
        self.texts_at_once = 4 * concurrency
        self._dialect, self._place = dialect, place
        self._pace = Pace(requests_per_second)
        self._concurrency, self._timeout_seconds = concurrency, timeout_seconds
        self._retries = retries
        self._reasons: dict[str, str] = {}
        self._has_answered, self._failures_in_row = False, 0

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, A) scores in [0, 1]; NaN where `missing_reason` tells why."""
        return map_distinct(self._score, texts, len(self.attributes))

    def missing_reason(self, text: str) -> str:
        return "empty" if is_empty(text) else self._reasons.get(text, "")

    # --- inside ---

    def _score(self, texts: list[str]) -> FloatArray:
        scores_NA = np.full((len(texts), len(self.attributes)), np.nan)
        asked = [row for row, text in enumerate(texts) if not is_empty(text)]
        readings = _run(self._ask_all([encodable(texts[row]) for row in asked]))
        for row, reading in zip(asked, readings, strict=True):
            if isinstance(reading, Scored):
                scores_NA[row] = reading.scores_A
                self._reasons.pop(texts[row], None)
            else:
                self._reasons[texts[row]] = self._reason(reading)
        return scores_NA

    def _reason(self, reading: Unscored | Failed) -> str:
        if isinstance(reading, Unscored):
            return reading.reason
        return self._without_key(f"failed: {reading.problem}")

    def _without_key(self, said: str) -> str:
        """The words of a server that may have sent the key back."""
        return said.replace(self._place.key, "KEY") if self._place.key else said

    async def _ask_all(self, texts: Sequence[str]) -> list[Reading]:
        """A reading per text, in their order; requests run side by side."""
        found: list[Reading] = [Unscored("")] * len(texts)
        waiting = iter(enumerate(texts))
        probing = asyncio.Lock()

        async def work(sender: Sender) -> None:
            for row, text in waiting:
                found[row] = await sender.ask(text, self._dialect)
                await self._check(found[row], sender, probing)

        try:
            async with self._sender() as sender, asyncio.TaskGroup() as group:
                for _ in range(min(self._concurrency, len(texts))):
                    group.create_task(work(sender))
        except* ScorerError as errors:
            raise errors.exceptions[0] from None
        return found

    def _sender(self) -> Sender:
        key = self._place.key
        return Sender(
            self._place.address + self._dialect.path,
            self._dialect.headers(key) if key else {},
            pace=self._pace,
            timeout_seconds=self._timeout_seconds,
            retries=self._retries,
            concurrency=self._concurrency,
        )

    async def _check(self, reading: Reading, sender: Sender, probing: asyncio.Lock) -> None:
        """Count a failure, and give up when the service fails for a harmless text as well."""
        if not isinstance(reading, Failed):
            self._has_answered, self._failures_in_row = True, 0
            return
        self._failures_in_row += 1
        async with probing:
            if self._failures_in_row < (MANY if self._has_answered else 1):
                return
            harmless = await sender.ask(HARMLESS, self._dialect)
            if isinstance(harmless, Failed):
                raise ScorerError(
                    f"{self.id}: {self._without_key(harmless.problem)}, also for a harmless text",
                    remedy="Check the address, the key, the quota and the attributes that it has "
                    f"({self._dialect.name}#{self.attributes[0]}), then go on with --resume.",
                )
            self._has_answered, self._failures_in_row = True, 0


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, in a thread of its own where this one runs an event loop already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
