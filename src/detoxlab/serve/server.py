"""Starts a server, says where it listens, and stops it without losing what it accepted."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from detoxlab.errors import ConfigError
from detoxlab.serve.answers.service import Service
from detoxlab.serve.app import make_app
from detoxlab.serve.config import ServeSettings
from detoxlab.serve.pool.batching import Queue
from detoxlab.serve.pool.processes import Pool
from detoxlab.serve.web.connections import guarded
from detoxlab.serve.web.keys import Keys, keys_from
from detoxlab.serve.web.metrics import Metrics

BACKLOG = 2048


def serve(settings: ServeSettings, say: Callable[[str], None]) -> None:
    """Serve until a signal comes; `say` gets the lines for the operator.

    Raises `ConfigError` for keys or an address that cannot be had, `ScorerError` for a scorer.
    """
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s: %(message)s", level="WARNING")
    # Its warnings are of requests that are no HTTP, which the metrics of a proxy count better.
    logging.getLogger("uvicorn").setLevel("ERROR")
    keys = keys_from(settings.keys_from)
    listener = listen(settings.host, settings.port)
    loop = uvicorn.Config(app="", log_config=None).get_loop_factory()
    with listener, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_serve(settings, keys, listener, say))


async def _serve(
    settings: ServeSettings, keys: Keys, listener: socket.socket, say: Callable[[str], None]
) -> None:
    service, pool = assemble(settings)
    say(f"loading {', '.join(settings.scorers)}")
    await pool.start()
    service.open(pool.offers)
    server = Server(uvicorn_config(settings, make_app(service, pool, keys)))
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    say(f"serving {', '.join(service.attributes)}")
    say(f"listening at http://{shown}:{port}")
    try:
        await server.serve(sockets=[listener])
    finally:
        await pool.stop()


class Server(uvicorn.Server):
    """uvicorn's server, for which a signal to end is no failure."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals to end; uvicorn would raise them again afterwards."""
        ends = (signal.SIGINT, signal.SIGTERM)
        before = {one: signal.signal(one, self.handle_exit) for one in ends}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def assemble(settings: ServeSettings) -> tuple[Service, Pool]:
    """The service and its processes, not yet started."""
    metrics = Metrics()
    queue = Queue(
        len(settings.scorers),
        batch_size=settings.batch_size,
        batch_wait=settings.batch_wait,
        most=settings.queue,
        longest_wait=settings.queue_wait,
        clock=time.monotonic,
    )
    cores = os.cpu_count() or 1
    pool = Pool(
        settings.scorers,
        queue,
        workers=settings.workers,
        threads=settings.threads or max(1, cores // settings.workers),
        observe=lambda batch, seconds: metrics.count_batch(len(batch.texts), seconds),
    )
    metrics.watch("queue_texts", "Texts that wait.", lambda: queue.waiting)
    metrics.watch("worker_restarts", "Scoring processes started again.", lambda: pool.restarts)
    return Service(settings, queue, metrics), pool


def uvicorn_config(settings: ServeSettings, app: object) -> uvicorn.Config:
    """uvicorn without its access log, which would show keys."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=guarded(settings.header_timeout),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=int(settings.keep_alive) or 1,
        timeout_graceful_shutdown=int(settings.grace) or 1,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises `ConfigError` where it cannot."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {host}:{port} ({error.strerror or error})",
            remedy="Choose another --host or --port; --port 0 takes a free one.",
        ) from None
    listener.setblocking(False)
    return listener
