"""Connections with a bound on a request's head: its bytes, and the time that it takes to arrive.

uvicorn has neither: a client that sends half a head would hold its connection for ever.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 1 << 16  # bytes
_EMPTY = b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large" + _EMPTY
TOO_SLOW = b"HTTP/1.1 408 Request Timeout" + _EMPTY


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds on heads; `header_timeout` is in seconds."""

    header_timeout = 10.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._patience: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._patience:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._patience and self._head_bytes > LARGEST_HEAD:
            self._refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._patience:
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def _wait_for_head(self) -> None:
        self._head_bytes = 0
        self._patience = self.loop.call_later(self.header_timeout, self._refuse, TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._patience:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, answer: bytes) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            # Of a pipelined request nothing may be answered before the one under way.
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(answer)
            self.transport.close()


def guarded(header_timeout: float) -> type[GuardedProtocol]:
    """The protocol with that bound in seconds."""
    return type("Guarded", (GuardedProtocol,), {"header_timeout": header_timeout})
