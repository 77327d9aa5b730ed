"""Requests to one server: within its quota, again after passing failures, never redirected."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeGuard

import httpx

from detoxlab.scorers.remote.reading import Dialect, Reading
from detoxlab.servers import RETRIED, Failed, Retries, asked_wait

TOO_OFTEN = "status 429"
LARGEST_ANSWER = 1 << 20  # bytes; an answer about one text has a few thousand


class Pace:
    """The time of the next request, whichever task or call sends it; not shared by threads.

    `hold` puts all of them off, as a server asks for that is asked too often.
    """

    def __init__(self, per_second: float) -> None:
        self._gap_seconds = 1 / per_second
        self._next = 0.0

    async def turn(self, line: asyncio.Lock) -> None:
        """Wait in `line` until the next request may be sent."""
        async with line:
            while (left := self._next - time.monotonic()) > 0:
                await asyncio.sleep(left)
            self._next = time.monotonic() + self._gap_seconds

    def hold(self, seconds: float) -> None:
        """Send nothing for so long."""
        self._next = max(self._next, time.monotonic() + seconds)


class Sender:
    """Asks one server about texts, in one event loop: `async with Sender(...) as sender`.

    A redirect is not followed, so that the key goes to no other server. `timeout_seconds` is for a
    whole answer, also of a server that sends it byte by byte.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        pace: Pace,
        timeout_seconds: float,
        retries: Retries,
        concurrency: int,
    ) -> None:
        self._url, self._pace, self._retries = url, pace, retries
        self._timeout_seconds = timeout_seconds
        self._line = asyncio.Lock()
        self._client = httpx.AsyncClient(
            headers=dict(headers),
            timeout=timeout_seconds,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=concurrency),
        )

    async def __aenter__(self) -> "Sender":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(self, text: str, dialect: Dialect) -> Reading:
        """The server's word on a text, at most `retries.attempts` times asked for.

        Between two attempts it waits as `retries` say, or longer where the server says so. A server
        that is asked too often (429) is not asked about other texts either in that time.
        """
        body = dialect.body(text)
        found = await self._attempt(body, dialect)
        for wait in self._retries.waits():
            if not _is_passing(found):
                return found
            await self._pause(found, wait)
            found = await self._attempt(body, dialect)
        if not _is_passing(found):
            return found
        return replace(found, problem=f"{found.problem}, {self._retries.attempts} times")

    # --- inside ---

    async def _pause(self, failed: Failed, wait: float) -> None:
        seconds = max(wait, failed.wait_seconds)
        if failed.wait_seconds or failed.problem == TOO_OFTEN:
            self._pace.hold(seconds)
        else:
            await asyncio.sleep(seconds)

    async def _attempt(self, body: Mapping[str, Any], dialect: Dialect) -> Reading:
        await self._pace.turn(self._line)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchange(body, dialect)
        except (TimeoutError, httpx.TimeoutException):
            return Failed(f"no whole answer in {self._timeout_seconds:g} s", passing=True)
        except httpx.RequestError as error:
            return Failed(type(error).__name__, passing=True)

    async def _exchange(self, body: Mapping[str, Any], dialect: Dialect) -> Reading:
        async with self._client.stream("POST", self._url, json=body) as response:
            status = response.status_code
            if response.is_redirect:
                return Failed(f"a redirect, which is not followed (status {status})", passing=False)
            if status in RETRIED:
                wait = asked_wait(response.headers.get("Retry-After"))
                return Failed(f"status {status}", passing=True, wait_seconds=wait)
            content = bytearray()
            async for part in response.aiter_bytes():
                content += part
                if len(content) > LARGEST_ANSWER:
                    return Failed("an answer that is far too large", passing=False)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            if status == 200:
                return Failed("an answer that is not JSON", passing=False)
            answer = None
        return dialect.read(status, answer, response.headers)


def _is_passing(reading: Reading) -> TypeGuard[Failed]:
    return isinstance(reading, Failed) and reading.passing
