"""A thousand hostile requests: each is refused or answered, the server lives, its log is silent."""

import json
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.served import ANALYZE, Server, asked, serving, workers_of

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow]
SECRET = "quiddlesworth"
SECONDS = 1.0
OPTIONS = ("header_timeout", "body_timeout")
BATCH = {"Content-Type": "multipart/mixed; boundary=x"}


@pytest.fixture(scope="module")
def hardy() -> Iterator[Server]:
    """A server that is impatient, so that slow clients can be tested in a second."""
    options = [word for name in OPTIONS for word in ("--set", f"{name}={SECONDS}")]
    with serving("rtp-linear", options=options) as server:
        before = workers_of(server)
        yield server
        with server.client() as client:
            assert client.get("/healthz").status_code == 200
            assert client.post(ANALYZE, json=asked("fool")).status_code == 200
        assert workers_of(server) == before
        assert SECRET not in server.log()
        assert "Error" not in server.log()


def texts() -> Iterator[str]:
    """Odd texts, each with a word that must not be found in the log."""
    odd = [
        "\U0001f600" * 50,
        "\u202e\u0639\u0631\u0628",
        "\x00\x01",
        "\u200d\u200b",
        "a\u0301" * 500,
    ]
    odd += ["\ufeff", "\uffff", "\U0010ffff", "%s%n{0}", "<script>", "'; DROP", "\r\nX: y", "\\"]
    odd += ["a" * 20_000, "\n" * 5000, "?!" * 5000, "\u2028", "{{7*7}}", "$(id)", "A. " * 5000]
    for one in odd:
        yield f"{SECRET} {one}"
        yield one + SECRET


def wrong_values() -> Iterator[Any]:
    yield from (1, -1.5, True, [], {}, [SECRET], {SECRET: SECRET}, SECRET, [[]], 10**30, "")


FIELDS: tuple[tuple[str, ...], ...] = (
    ("comment",),
    ("comment", "text"),
    ("comment", "type"),
    ("context",),
    ("context", "entries"),
    ("requestedAttributes",),
    ("requestedAttributes", "TOXICITY"),
    ("requestedAttributes", "TOXICITY", "scoreType"),
    ("requestedAttributes", "TOXICITY", "scoreThreshold"),
    ("languages",),
    ("spanAnnotations",),
    ("dropUnsupportedAttributes",),
    ("doNotStore",),
    ("clientToken",),
    ("sessionId",),
    ("communityId",),
    (SECRET,),
    ("comment", SECRET),
)


def wrong_types() -> Iterator[bytes]:
    for path in FIELDS:
        for value in wrong_values():
            body: dict[str, Any] = asked(SECRET)
            inside = body
            for name in path[:-1]:
                inside = inside.setdefault(name, {})
            inside[path[-1]] = value
            yield json.dumps(body).encode()


def broken_json(draw: random.Random) -> Iterator[bytes]:
    """Bodies that are no JSON, or JSON that nobody should send."""
    whole = json.dumps(asked(SECRET, spanAnnotations=True)).encode()
    yield from (whole[:at] for at in range(0, len(whole), 3))
    for _ in range(200):
        broken = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        yield bytes(broken)
    yield b"[" * 100_000
    yield b'{"comment":' * 50_000
    yield b'{"comment": {"text": "' + b"x" * 1_000_000 + b'"}}'
    yield b'{"comment": {"text": "a", "text": "b"}}'
    yield b'{"comment": {"text": "\\ud83d"}}'
    yield b'{"comment": {"text": "\\ude00\\ud83d"}}'
    yield b'{"requestedAttributes": {"TOXICITY": {"scoreThreshold": NaN}}}'
    yield b'{"a": ' + b"9" * 100_000 + b"}"
    yield b"\xff\xfe" + whole.decode().encode("utf-16-le")
    yield b"\x00" * 1000
    yield from (bytes(draw.randrange(256) for _ in range(200)) for _ in range(100))


def post_all(server: Server, path: str, bodies: Iterator[bytes], headers: Any = None) -> list[int]:
    """The statuses of requests; an answer that is no error in Google's layout fails the test."""
    statuses = []
    with server.client() as client:
        for body in bodies:
            answer = client.post(path, content=body, headers=headers)
            assert answer.status_code < 500, answer.status_code
            if answer.status_code >= 400:
                assert answer.json()["error"]["message"]
            statuses.append(answer.status_code)
    return statuses


def test_odd_texts_are_answered(hardy: Server) -> None:
    bodies = (json.dumps(asked(text, spanAnnotations=True)).encode() for text in texts())
    assert set(post_all(hardy, ANALYZE, bodies)) <= {200, 400}
    bodies = (json.dumps({"input": [text]}).encode() for text in texts())
    assert set(post_all(hardy, "/v1/moderations", bodies)) <= {200, 400}


def test_wrong_types_are_refused(hardy: Server) -> None:
    statuses = post_all(hardy, ANALYZE, wrong_types())
    assert set(statuses) == {200, 400}  # some values are right for some fields
    assert statuses.count(200) < 35
    statuses = post_all(hardy, "/v1alpha1/comments:suggestscore", wrong_types())
    assert set(statuses) == {403}


@pytest.mark.parametrize("path", [ANALYZE, "/v1/moderations", "/v1alpha1/comments:suggestscore"])
def test_broken_json_is_refused(hardy: Server, path: str) -> None:
    statuses = post_all(hardy, path, broken_json(random.Random(0)))
    assert set(statuses) <= {200, 400, 403, 413}
    assert statuses.count(200) < 0.1 * len(statuses)  # a flipped letter of the text is no error


def wrong_batches(draw: random.Random) -> Iterator[bytes]:
    inner = f"POST {ANALYZE} HTTP/1.1\r\n\r\n{json.dumps(asked(SECRET))}"
    part = f"--x\r\nContent-Type: application/http\r\nContent-ID: <1>\r\n\r\n{inner}\r\n".encode()
    whole = part * 3 + b"--x--\r\n"
    yield from (whole[:at] for at in range(0, len(whole) - 6, 40))
    for _ in range(150):
        broken = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        yield bytes(broken)
    yield part * 2000 + b"--x--"
    yield b"--x\r\n" * 50_000 + b"--x--"
    yield b"--x--"
    nested = (
        b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n" + part + b"--y--\r\n"
    )
    yield nested + b"--x--"
    again = b"POST /batch HTTP/1.1\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" + whole
    yield b"--x\r\nContent-Type: application/http\r\n\r\n" + again + b"--x--"


def test_wrong_batches_are_refused_whole_or_part_by_part(hardy: Server) -> None:
    statuses = []
    with hardy.client() as client:
        for body in wrong_batches(random.Random(1)):
            answer = client.post("/batch", content=body, headers=BATCH)
            statuses.append(answer.status_code)
            inner = [line for line in answer.text.splitlines() if line.startswith("HTTP/1.1 ")]
            assert all(" 200 " in line or " 40" in line for line in inner)
    assert set(statuses) == {200, 400}


@pytest.mark.parametrize(
    "content_id",
    [
        "<1>\r\n\tSet-Cookie: a=b",
        "<1\r\n Set-Cookie: a=b>",
        "<1>\rSet-Cookie: a=b",
        "<1>\nSet-Cookie: a=b",
        "<1>\x0bSet-Cookie: a=b",
        "<1>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}",
        "<1%0d%0aSet-Cookie: a=b>",
    ],
)
def test_an_id_does_not_become_a_header(hardy: Server, content_id: str) -> None:
    body = (
        f"--x\r\nContent-Type: application/http\r\nContent-ID: {content_id}\r\n\r\n"
        f"POST {ANALYZE} HTTP/1.1\r\n\r\n{json.dumps(asked(SECRET))}\r\n--x--"
    )
    with hardy.client() as client:
        answer = client.post("/batch", content=body, headers=BATCH)
    assert answer.status_code in (200, 400)
    assert "set-cookie" not in answer.headers
    lines = answer.content.replace(b"\r", b"\n").split(b"\n")
    assert not any(line.lower().lstrip().startswith(b"set-cookie") for line in lines)
    assert sum(line.startswith(b"HTTP/1.1 ") for line in lines) <= 1


def raw(server: Server, data: bytes, *, end: bool = False, wait: float = 20.0) -> bytes:
    """What the server answers to bytes on a connection, until it closes it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait) as connection:
        try:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
            parts = []
            while part := connection.recv(1 << 16):
                parts.append(part)
        except ConnectionError:
            pass
        return b"".join(parts)


HEAD = f"POST {ANALYZE} HTTP/1.1\r\nHost: x\r\n"
NO_HTTP = [
    b"\x16\x03\x01\x02\x00" + SECRET.encode() + b"\r\n\r\n",
    f"GET /{SECRET}\r\n\r\n".encode(),
    f"{HEAD}Content-Length: x\r\n\r\n".encode(),
    f"{HEAD}Content-Length: -5\r\n\r\n".encode(),
    f"{HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello".encode(),
    f"{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
    f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n{SECRET}\r\n".encode(),
    f"{HEAD}Transfer-Encoding: {SECRET}\r\n\r\n".encode(),
    f"{HEAD}Content-Length: {2**70}\r\n\r\n".encode(),
    f"{HEAD}{SECRET} : y\r\n\r\n".encode(),
    f"{HEAD}X: {'y' * 100_000}\r\n".encode(),
    f"{HEAD}{'X: y' * 5 + chr(13) + chr(10)}".encode() * 10_000,
    f"GET /{'y' * 200_000} HTTP/1.1\r\n".encode(),
    b"\r\n" * 100_000,
]


@pytest.mark.parametrize("data", NO_HTTP, ids=range(len(NO_HTTP)))
def test_what_is_no_http_is_refused(hardy: Server, data: bytes) -> None:
    answer = raw(hardy, data)
    assert not answer or answer.split()[1][:1] == b"4", answer[:40]


def test_slow_clients_are_cut_off(hardy: Server) -> None:
    """Half a head, half a body, a head after an answer, and one byte at a time: all at once."""
    body = json.dumps(asked(SECRET)).encode()
    whole = f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body
    halves = [
        whole[:10],
        whole[: len(HEAD)],
        whole[:-1],
        whole + whole[:30],
        b"",
        whole + whole[:-9],
    ]

    def trickle(data: bytes) -> float:
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", hardy.port), timeout=20) as connection:
            try:
                for at in range(len(data)):
                    connection.sendall(data[at : at + 1])
                    connection.settimeout(0.1)
                    try:
                        if connection.recv(1 << 16):
                            break
                        break
                    except TimeoutError:
                        continue
            except ConnectionError:
                pass
        return time.monotonic() - begun

    with ThreadPoolExecutor(64) as pool:
        begun = time.monotonic()
        waiting = [pool.submit(raw, hardy, half) for half in halves * 5]
        slow = [pool.submit(trickle, whole) for _ in range(8)]
        answers = [one.result() for one in waiting]
        seconds = [one.result() for one in slow]
        assert time.monotonic() - begun < 15
    assert max(seconds) < 12
    statuses = [answer.split()[1] if answer else b"" for answer in answers]
    assert set(statuses) <= {b"", b"408", b"200"}
    assert b"408" in statuses


def test_half_sent_bodies_leave_nothing_behind(hardy: Server) -> None:
    body = json.dumps(asked(SECRET)).encode()
    whole = f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body
    for at in range(0, len(whole), 5):
        with socket.create_connection(("127.0.0.1", hardy.port), timeout=20) as connection:
            connection.sendall(whole[:at])
    with hardy.client() as client:
        metrics = client.get("/metrics").text
    assert "detoxlab_queue_texts 0.0" in metrics


def test_large_bodies_are_refused_before_they_are_read(hardy: Server) -> None:
    head = f"{HEAD}Content-Length: {1 << 40}\r\n\r\n".encode()
    assert raw(hardy, head + b"x" * 1000).split()[1] == b"413"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer = raw(hardy, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 40)
    assert answer[:12] in (b"HTTP/1.1 413", b"")
    with hardy.client() as client:
        packed = client.post(ANALYZE, content=b"x", headers={"Content-Encoding": "gzip"})
        batch = client.post("/batch", content=b"x" * (17 << 20), headers=BATCH)
    assert (packed.status_code, batch.status_code) == (415, 413)


def test_paths_and_queries_do_no_harm(hardy: Server) -> None:
    paths = ["/%00", "/../etc/passwd", "//", "/%2e%2e/", "/docs/..", f"/{SECRET}", "/v1alpha1/%ff"]
    with httpx.Client(base_url=hardy.url, timeout=60, trust_env=False) as client:
        for path in paths:
            assert client.get(path).status_code in (200, 404)
        for query in ("key=%FF%00", "key=" + "k" * 9000, "a=b&" * 2000, f"key={SECRET}"):
            assert client.post(f"{ANALYZE}?{query}", json=asked("fool")).status_code == 200
