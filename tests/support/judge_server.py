"""A small real server of a judge, which sees two texts and answers by a rule of the test."""

import contextlib
import json
import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, TypeVar

from tests.support.listening import listening

SHOWN = re.compile(r"Beginning: (.*)\nA: (.*)\nB: (.*)\nBetter:(?!.*\nBetter:)", re.DOTALL)
Rule = Callable[[str, str], str]


def always_a(_a: str, _b: str) -> str:
    return "A"


def longer(a: str, b: str) -> str:
    """A judge that looks at the texts alone; of two that are equal it says A."""
    return "A" if len(a) >= len(b) else "B"


@dataclass
class Judge:
    """A server's state: how it answers and fails, and the questions that it answered.

    `failure(number, times)` gives the status of the request with that number, which asks its
    question for that time (both from 0); None is an answer, 0 a broken connection. With `top` each
    answer has the probability of its letter.
    """

    rule: Rule
    failure: Callable[[int, int], int | None] = lambda _number, _times: None
    top: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    running: int = 0
    most_running: int = 0
    answered: list[tuple[str, str, str]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)  # the first one finds out
    keys: set[str | None] = field(default_factory=set)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        return f"{self.url}#org/judge"

    def answer(self, body: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]]:
        """The status and the content for a request, which is counted while it is under way."""
        with self.lock:
            number, times = len(self.requests), self.requests.count(body)
            self.requests.append(body)
            self.keys.add(key)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        time.sleep(self.seconds)
        with self.lock:
            self.running -= 1
            if (status := self.failure(number, times)) is not None:
                return status, {"error": {"code": "try_again"}}
            text = body["messages"][0]["content"] if "messages" in body else body["prompt"]
            found = SHOWN.search(text)
            assert found is not None
            prompt, a, b = found.groups()
            self.answered.append((prompt.rsplit("Beginning: ")[-1], a, b))
        return 200, {"choices": [self._choice(self.rule(a, b), chat="messages" in body)]}

    def _choice(self, letter: str, *, chat: bool) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        choice |= {"message": {"content": letter}} if chat else {"text": letter}
        if self.top is None:
            return choice
        tops = {letter: self.top, "B" if letter == "A" else "A": 1 - self.top}
        listed = [{"token": word, "logprob": math.log(p)} for word, p in tops.items()]
        inside = {"content": [{"token": letter, "logprob": 0.0, "top_logprobs": listed}]}
        plain = {"tokens": [letter], "top_logprobs": [{w: math.log(p) for w, p in tops.items()}]}
        return choice | {"logprobs": inside if chat else plain}


class Service(Protocol):
    """Whatever answers the requests of a server; `headers` go with each answer."""

    headers: dict[str, str]
    url: str

    def answer(self, body: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]]:
        """The status, 0 for a broken connection, and the content."""
        ...


S = TypeVar("S", bound=Service)


@contextlib.contextmanager
def serving(judge: S) -> Iterator[S]:
    """The service at an address of this machine; its thread ends with the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, content = judge.answer(body, self.headers["Authorization"])
            if status == 0:  # a broken connection
                self.close_connection = True
                self.connection.close()
                return
            data = json.dumps(content).encode()
            self.send_response(status)
            for name, value in judge.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that was killed is no news."""

    with listening(Server(("127.0.0.1", 0), Handler)) as address:
        judge.url = f"{address}/v1"
        yield judge
