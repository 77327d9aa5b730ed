"""Servers of tests, which answer in threads of their own for as long as a block lasts."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer


@contextlib.contextmanager
def listening(server: ThreadingHTTPServer) -> Iterator[str]:
    """The address of the server, which ends with the block, as do its threads."""
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
