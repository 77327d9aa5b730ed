"""The server of the pages: the standard library's, on this machine alone unless told.

Texts of models are hostile, and so may be other pages in the same browser. The server answers GET
and HEAD alone, under the names it expects (a page elsewhere cannot reach it by a name of its own
that leads here), and sends a policy by which only its own script runs.
"""

import ipaddress
import socket
import sys
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from detoxlab.errors import ConfigError, MissingFileError
from detoxlab.viewing.pages import policy
from detoxlab.viewing.site import Answer, Site
from detoxlab.viewing.store import Store

HOST, PORT = "127.0.0.1", 8766
LOCAL = "localhost"
SECONDS = 30  # that a client may take to send its request
WENT_WRONG = Answer(500, "<!DOCTYPE html><title>Error</title><p>The page could not be made.</p>")
WRONG_HOST = Answer(
    421, "<!DOCTYPE html><title>Wrong host</title><p>This server is not known by that name.</p>"
)


class ViewServer(ThreadingHTTPServer):
    """Serves a site; `names` are further host names by which it is known."""

    daemon_threads = True

    def __init__(self, site: Site, host: str, port: int, names: Collection[str] = ()) -> None:
        self.site, self.names = site, frozenset(names)
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, unless the browser only went away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The address of the list."""
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{shown}:{port}/"

    def knows(self, host: str | None) -> bool:
        """Whether a request's `Host` is one of this server.

        An address is no name that another one could lead here, so each is fine.
        """
        name = urlsplit(f"//{host}").hostname if host and "@" not in host else None
        return name is not None and (name == LOCAL or name in self.names or _is_address(name))


@contextmanager
def serving(
    folder: Path | str,
    *,
    host: str = HOST,
    port: int = PORT,
    names: Collection[str] = (),
    cache: Path | None = None,
) -> Iterator[ViewServer]:
    """A server of the runs under a folder, until the block ends; `serve_forever` begins it.

    Port 0 takes a free one. Raises `MissingFileError` where there is no such folder, `ConfigError`
    where the port is taken.
    """
    root = Path(folder)
    if not root.is_dir():
        raise MissingFileError(f"{root}: no such folder", remedy="Name a folder of runs.")
    store = Store(cache)
    try:
        site = Site(root, store)
        site.answer("/", "")  # templates and runs are read before the first request
        try:
            server = ViewServer(site, host, port, names)
        except OSError as error:
            raise ConfigError(
                f"{host}:{port}: {error.strerror or error}", remedy="Choose another --port."
            ) from None
        with server:
            yield server
    finally:
        store.close()


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: ViewServer
    timeout = SECONDS
    server_version, sys_version = "detoxlab", ""

    def do_GET(self) -> None:
        """Send the page."""
        self._send(self._answer(), with_body=True)

    def do_HEAD(self) -> None:
        """Send the head of the page."""
        self._send(self._answer(), with_body=False)

    def log_message(self, *_parts: Any) -> None:
        """Nothing: URLs hold what was searched for."""

    def _answer(self) -> Answer:
        if not self.server.knows(self.headers.get("Host")):
            return WRONG_HOST
        asked = urlsplit(self.path)
        try:
            return self.server.site.answer(asked.path, asked.query)
        except Exception:  # noqa: BLE001  the server lives on, and the person who started it sees why
            traceback.print_exc(file=sys.stderr)
            return WENT_WRONG

    def _send(self, answer: Answer, *, with_body: bool) -> None:
        body = answer.html.encode("utf-8", "replace")
        self.send_response(answer.status)
        for name, value in _headers(len(body)).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _headers(length: int) -> dict[str, str]:
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": str(length),
        "Content-Security-Policy": f"{policy(served=True)}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
