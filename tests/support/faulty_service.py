"""A small real server of Perspective and of moderations, with the faults that a test asks for."""

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from detoxlab.scorers import Scorer, load_scorer
from detoxlab.scorers.remote.load import load_remote
from detoxlab.scorers.remote.scorer import RemoteScorer
from detoxlab.servers import Retries
from tests.support.listening import listening

PERSPECTIVE, MODERATIONS = "/v1alpha1/comments:analyze", "/v1/moderations"
QUICK = Retries(attempts=3, first_wait_seconds=0.01)
TIMEOUT_SECONDS = 1.0
UNKNOWN_LANGUAGE = "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"


@dataclass(frozen=True)
class Fault:
    """A wrong answer: a status, or in `kind` what goes wrong with an answer that is right."""

    status: int = 200
    kind: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)


FAULTS = {
    "429": Fault(429, headers={"Retry-After": "0.05"}),
    "500": Fault(500),
    "503": Fault(503),
    "hang": Fault(kind="hang"),
    "byte by byte": Fault(kind="drip"),
    "broken connection": Fault(kind="broken"),
    "half an answer": Fault(kind="half"),
    "truncated JSON": Fault(kind="truncated"),
    "wrong number of scores": Fault(kind="few"),
    "no probability": Fault(kind="high"),
    "redirect": Fault(307),  # `elsewhere` is its target
}
PASSING = ("429", "500", "503", "hang", "byte by byte", "broken connection", "half an answer")


def length_scores(text: str, count: int) -> list[float]:
    """Scores that tell texts apart: the length in thousandths, then falling by the number."""
    return [round(len(text) / 1000 / (1 + number), 9) for number in range(count)]


@dataclass
class FaultyService:
    """The server's state. `fault(text, times)` says how it fails, `times` being earlier requests.

    `requests` has time, text and headers of each, `paths` where they went, `answered` how often
    each text got right scores. `judge` scores the texts, in place of their lengths.
    """

    fault: Callable[[str, int], Fault | None] = lambda _text, _times: None
    judge: Scorer | None = None
    elsewhere: str = ""
    url: str = ""
    left_out: tuple[str, ...] = ()
    filled: str = ""
    requests: list[tuple[float, str, dict[str, str]]] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def asked(self) -> Counter[str]:
        """How often each text was asked about."""
        return Counter(text for _, text, _ in self.requests)

    def fault_of(self, text: str, headers: dict[str, str], path: str, body: Any) -> Fault | None:
        with self.lock:
            times = self.asked[text]
            self.requests.append((time.monotonic(), text, headers))
            self.paths.add(path)
            self.bodies.append(body)
        return self.fault(text, times)

    def answer(self, path: str, body: dict[str, Any], text: str, kind: str) -> dict[str, Any]:
        """The right answer, but for the kind of fault."""
        names = list(body.get("requestedAttributes", ())) or [
            name for name in ("harassment", "hate", "violence") if name not in self.left_out
        ]
        scores = dict(zip(names, self._scores(text, names), strict=True))
        if kind == "few":
            scores.popitem()
        if kind == "high":
            scores[names[0]] = 1.5
        if path == PERSPECTIVE:
            each = {name: {"summaryScore": {"value": value}} for name, value in scores.items()}
            return {"attributeScores": each, "languages": ["en"]}
        result = {"flagged": False, "category_scores": scores}
        return {"id": "modr-1", "results": [result] * (2 if kind == "few" else 1)}

    def _scores(self, text: str, names: list[str]) -> list[float]:
        if self.judge is None or names[0].islower():  # categories of moderations
            return length_scores(text, len(names))
        row_A = self.judge([text])[0]
        return [float(row_A[self.judge.attributes.index(name.lower())]) for name in names]


def about_the_text(kind: str) -> Fault:
    """A refusal of a text in Google's layout."""
    return Fault(400, error={"message": "no", "details": [{"errorType": kind}]})


class Handler(BaseHTTPRequestHandler):
    """Answers by the service of its server."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        service = self.server.service
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["comment"]["text"] if "comment" in body else body["input"]
        fault = service.fault_of(text, dict(self.headers), self.path, body) or Fault()
        if fault.kind in ("hang", "broken"):
            if fault.kind == "hang":
                service.ended.wait(30)
            self.close_connection = True
            self.connection.close()
        elif fault.status != 200:
            self.refuse(fault)
        else:
            content = json.dumps(service.answer(self.path, body, text, fault.kind)).encode()
            if not fault.kind:
                with service.lock:
                    service.answered[text] += 1
            self.answer(content, fault.kind)

    def refuse(self, fault: Fault) -> None:
        headers = dict(fault.headers)
        if fault.status < 400:
            headers["Location"] = self.server.service.elsewhere + self.path
        content = json.dumps({"error": {"code": fault.status, **fault.error}}).encode()
        self.begin(fault.status, len(content), headers)
        self.wfile.write(content)

    def answer(self, content: bytes, kind: str) -> None:
        if kind == "truncated":
            content = content[: len(content) // 2]
        filled = self.server.service.filled
        self.begin(200, len(content), {"X-Detoxlab-Filled-Categories": filled} if filled else {})
        if kind == "drip":
            for byte in content:
                self.wfile.write(bytes([byte]))
                if self.server.service.ended.wait(TIMEOUT_SECONDS / 8):
                    return
        elif kind == "half":
            self.wfile.write(content[:10])
            self.close_connection = True
        else:
            self.wfile.write(content)

    def begin(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A server with its service."""

    request_queue_size = 128

    def __init__(self, service: FaultyService) -> None:
        self.service = service
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_: object) -> None:
        """A client that gave up is no news."""


@contextlib.contextmanager
def serving(service: FaultyService) -> Iterator[FaultyService]:
    """The service at an address of this machine; its threads end with the block."""
    with listening(Server(service)) as service.url:
        try:
            yield service
        finally:
            service.ended.set()


def scorer_at(service: FaultyService, name: str = "perspective", **options: Any) -> RemoteScorer:
    """A scorer at the service, which tries thrice and waits little."""
    kind, mark, chosen = name.partition("#")
    tail = "/v1" if kind == "openai-moderation" else ""
    usual: dict[str, Any] = {"retries": QUICK, "timeout_seconds": TIMEOUT_SECONDS}
    return load_remote(f"{kind}={service.url}{tail}{mark}{chosen}", **usual | options)


@contextlib.contextmanager
def serving_linear() -> Iterator[FaultyService]:
    """A service that scores as `rtp-linear` does, and refuses what that scorer cannot read."""
    judge = load_scorer("rtp-linear")

    def unread(text: str, _times: int) -> Fault | None:
        return about_the_text(UNKNOWN_LANGUAGE) if np.isnan(judge([text])).any() else None

    with serving(FaultyService(unread, judge)) as service:
        yield service
