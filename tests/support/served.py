"""A live server of scorers on this machine, started by its command."""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

PATIENCE = 120.0  # seconds; a busy machine takes long to load a scorer
ANALYZE = "/v1alpha1/comments:analyze"


@dataclass
class Server:
    """A running `detoxlab serve`: its process, its URL, and what it printed so far."""

    process: "subprocess.Popen[str]"
    url: str = ""
    printed: list[str] = field(default_factory=list)
    reader: threading.Thread = field(default_factory=threading.Thread)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False, **options)  # type: ignore[arg-type]

    def log(self) -> str:
        return "".join(self.printed)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal, unless it has ended; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        assert self.process.stdout
        self.process.stdout.close()
        return code


def start(
    *scorers: str, options: Sequence[str] = (), env: dict[str, str] | None = None, port: int = 0
) -> Server:
    """A server that listens; it fails with what it printed where it does not come so far."""
    named = [word for scorer in scorers for word in ("--scorer", scorer)]
    process = subprocess.Popen(
        [sys.executable, "-m", "detoxlab", "serve", *named, "--port", str(port), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | (env or {}),
    )
    server = Server(process)
    arrived: queue.Queue[str] = queue.Queue()
    server.reader = threading.Thread(target=_read, args=(server, arrived), daemon=True)
    server.reader.start()
    with contextlib.suppress(queue.Empty):
        while line := arrived.get(timeout=PATIENCE):
            if found := re.match(r"listening at (http://\S+)", line):
                server.url = found[1]
                return server
    process.kill()
    raise AssertionError(f"the server did not start: {server.log()}")


@contextlib.contextmanager
def serving(
    *scorers: str, options: Sequence[str] = (), env: dict[str, str] | None = None
) -> Iterator[Server]:
    """A server while the block lasts."""
    server = start(*scorers, options=options, env=env)
    try:
        yield server
    finally:
        server.stop()


def _read(server: Server, arrived: "queue.Queue[str]") -> None:
    assert server.process.stdout
    for line in server.process.stdout:
        server.printed.append(line)
        arrived.put(line)
    arrived.put("")


def asked(text: str, *attributes: str, **more: object) -> dict[str, object]:
    """The body of a request for the scores of a text."""
    wanted: dict[str, object] = {name: {} for name in attributes or ("TOXICITY",)}
    return {"comment": {"text": text}, "requestedAttributes": wanted, **more}


def workers_of(server: Server) -> list[int]:
    """The process ids of its scoring processes."""
    found = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return [int(pid) for pid in found.split()]
