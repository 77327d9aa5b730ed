"""Load, overload, kills and restarts: whatever was accepted is answered, nothing is mixed up."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from detoxlab.scorers import load_scorer
from tests.support.served import ANALYZE, Server, asked, serving, start, workers_of

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow]
TEXTS = [f"You are fool number {n}, and it is {n * n} days since it rained." for n in range(300)]
CLIENTS = 16


@pytest.fixture(scope="module")
def expected() -> dict[str, float]:
    scores = load_scorer("rtp-linear")(TEXTS)[:, 0].tolist()
    return dict(zip(TEXTS, scores, strict=True))


def value(answer: httpx.Response) -> float:
    return float(answer.json()["attributeScores"]["TOXICITY"]["summaryScore"]["value"])


def ask(client: httpx.Client, text: str) -> httpx.Response:
    return client.post(ANALYZE, json=asked(text, languages=["en"]))


def all_scored(server: Server, one: Callable[[httpx.Client, str], float]) -> dict[str, float]:
    """The scores of all texts, asked for by several clients at once."""
    with server.client() as client, ThreadPoolExecutor(CLIENTS) as pool:
        return dict(zip(TEXTS, pool.map(lambda text: one(client, text), TEXTS), strict=True))


def persistent(client: httpx.Client, text: str) -> float:
    """The score, by a client that comes back after 429, 5xx and broken connections."""
    for _ in range(400):
        try:
            answer = ask(client, text)
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.status_code == 200:
            return value(answer)
        assert answer.status_code in (429, 503), answer.status_code
        time.sleep(0.1)
    raise AssertionError("not answered")


def test_answers_belong_to_their_texts(linear: Server, expected: dict[str, float]) -> None:
    found = all_scored(linear, lambda client, text: value(ask(client, text)))
    assert found == pytest.approx(expected, abs=1e-12)


def test_two_processes_give_the_same(expected: dict[str, float]) -> None:
    with serving("rtp-linear", options=["--workers", "2", "--batch-size", "8"]) as server:
        assert len(workers_of(server)) == 2
        found = all_scored(server, lambda client, text: value(ask(client, text)))
    assert found == pytest.approx(expected, abs=1e-12)


def test_overload_is_answered_429_and_a_patient_client_loses_nothing(
    expected: dict[str, float],
) -> None:
    options = ["--queue", "2", "--batch-size", "1"]
    with serving("rtp-linear", options=options) as server:
        statuses: list[int] = []

        def one(client: httpx.Client, text: str) -> float:
            answer = ask(client, text)
            statuses.append(answer.status_code)
            if answer.status_code == 429:
                assert int(answer.headers["Retry-After"]) >= 1
                assert answer.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
                return persistent(client, text)
            return value(answer)

        found = all_scored(server, one)
        with server.client() as client:
            metrics = client.get("/metrics").text
    assert found == pytest.approx(expected, abs=1e-12)
    assert statuses.count(429) > 10
    assert 'reason="RESOURCE_EXHAUSTED"' in metrics


def killed(server: Server) -> None:
    """Kill the scoring process, and wait until there is another."""
    (worker,) = workers_of(server)
    os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while workers_of(server) in ([worker], []) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers_of(server) not in ([worker], [])


def test_a_process_that_is_killed_is_replaced_and_loses_nothing(
    expected: dict[str, float],
) -> None:
    # On a busy machine a process may take longer to start than texts usually wait.
    with serving("rtp-linear", options=["--set", "queue_wait=300"]) as server:
        killing = threading.Timer(0.05, killed, [server])
        killing.start()
        found = all_scored(server, lambda client, text: value(ask(client, text)))
        killing.join()
        killed(server)  # while it is idle
        found |= all_scored(server, lambda client, text: value(ask(client, text)))
        with server.client() as client:
            assert client.get("/readyz").status_code == 200
            assert "detoxlab_worker_restarts 2.0" in client.get("/metrics").text
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_is_answered_before_the_end(
    expected: dict[str, float], number: int
) -> None:
    """The process that scores is stopped for a while, so that all requests wait when it ends."""
    with serving("rtp-linear", options=["--batch-size", "1"]) as server:
        (worker,) = workers_of(server)
        os.kill(worker, signal.SIGSTOP)
        with server.client() as client, ThreadPoolExecutor(32) as pool:
            asked_for = [pool.submit(ask, client, text) for text in TEXTS[:32]]
            deadline = time.monotonic() + 20
            while waiting(server) < 31 and time.monotonic() < deadline:  # one is with the process
                time.sleep(0.02)
            os.kill(server.process.pid, number)
            time.sleep(0.3)
            os.kill(worker, signal.SIGCONT)
            answers = [one.result() for one in asked_for]
        assert server.stop() == 0
    assert [value(answer) for answer in answers] == pytest.approx(
        [expected[text] for text in TEXTS[:32]], abs=1e-12
    )
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert "Traceback" not in server.log()


def waiting(server: Server) -> float:
    with server.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith("detoxlab_queue_texts")).split()[1])


def test_kill_and_restart_under_load(expected: dict[str, float]) -> None:
    """`kill -9`, and another server in its place: clients that come back lose nothing."""
    server = start("rtp-linear")
    workers, port = workers_of(server), server.port
    found: dict[str, float] = {}

    def ask_all() -> None:
        found.update(all_scored(server, persistent))

    asking = threading.Thread(target=ask_all)
    asking.start()
    time.sleep(0.2)
    server.stop(signal.SIGKILL)
    again = start("rtp-linear", port=port)
    try:
        asking.join(120)
        assert found == pytest.approx(expected, abs=1e-12)
        for worker in workers:  # its scoring process ended with it
            with pytest.raises(ProcessLookupError):
                os.kill(worker, 0)
    finally:
        again.stop()


def test_memory_does_not_grow(linear: Server) -> None:
    """Ten thousand texts, after a thousand to warm up; benchmarks/serve.py has more."""

    def resident() -> int:
        pids = [linear.process.pid, *workers_of(linear)]
        return sum(_resident(pid) for pid in pids)

    with linear.client() as client:
        batch = _batch(TEXTS[:250])
        for _ in range(4):
            client.post("/batch", **batch)
        before = resident()
        for _ in range(40):
            assert client.post("/batch", **batch).status_code == 200
        after = resident()
    assert after - before < 8 << 20


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _batch(texts: list[str]) -> dict[str, Any]:
    parts = "".join(
        f"--x\r\nContent-Type: application/http\r\nContent-ID: <{at}>\r\n\r\n"
        f"POST {ANALYZE} HTTP/1.1\r\n\r\n{json.dumps(asked(text, languages=['en']))}\r\n"
        for at, text in enumerate(texts)
    )
    return {
        "content": f"{parts}--x--",
        "headers": {"Content-Type": "multipart/mixed; boundary=x"},
    }
