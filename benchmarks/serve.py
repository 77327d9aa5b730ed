"""Load on `detoxlab serve` on this machine: rates, latencies, memory, overload; answers checked.

    python benchmarks/serve.py linear             # single requests and batches
    python benchmarks/serve.py neural             # batches across requests against one by one
    python benchmarks/serve.py memory             # 100,000 requests
    python benchmarks/serve.py overload           # more than the queue takes

A figure is bounded by its number of requests and by `--seconds`. Every answer is compared with the
score that the scorer gives its text in this process. Beside the time on the clock stand the
milliseconds of CPU per text of the server's loop and of its scoring processes, which the load of
other programs on the machine changes little.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANALYZE = "/v1alpha1/comments:analyze"
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
Score = dict[str, float]


def text_of(number: int) -> str:
    """A text of its own for each number, about as long as a comment."""
    words = (
        "you are a fool",
        "it rains today",
        "what a nice dog",
        "I hate this",
        "they left early",
    )
    return f"{number}: {words[number % 5]}, and {words[number // 5 % 5]} at {number % 97} o'clock."


@dataclass
class Server:
    """A running server and its processes."""

    pid: int
    port: int

    @property
    def workers(self) -> list[int]:
        found = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def cpu(self) -> tuple[float, float]:
        """CPU seconds so far of the server's loop and of its scoring processes."""
        return _cpu(self.pid), sum(map(_cpu, self.workers))

    def megabytes(self) -> tuple[float, float]:
        """Memory in use by the server and by its scoring processes."""
        return _resident(self.pid), sum(map(_resident, self.workers))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


@contextmanager
def serving(scorer: str, *options: str) -> Iterator[Server]:
    """A server of a scorer while the block lasts."""
    command = [sys.executable, "-m", "detoxlab", "serve", "--scorer", scorer, "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout
    for line in process.stdout:
        if found := re.match(r"listening at http://127.0.0.1:(\d+)", line):
            break
    else:
        raise SystemExit("the server did not start")
    try:
        yield Server(process.pid, int(found[1]))
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@dataclass
class Result:
    """The outcome of a load: answers by status, seconds of each, and answers that were wrong."""

    statuses: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    texts: int = 0
    wrong: int = 0

    def count(self, status: int, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.seconds.append(seconds)

    def percentile(self, share: float) -> float:
        """Milliseconds within which that share of the requests was answered."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Client:
    """A connection that is kept, with as little work per request as can be."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
        if self.writer is None:
            connected = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 25)
            self.reader, self.writer = connected
        assert self.reader
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
        self.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", answer)
        assert found
        return int(answer[9:12]), await self.reader.readexactly(int(found[1]))

    def close(self) -> None:
        if self.writer:
            self.writer.close()


def request(text: str, token: int) -> dict[str, Any]:
    """The body of a request for the toxicity of a text."""
    return {
        "comment": {"text": text},
        "requestedAttributes": {"TOXICITY": {}},
        "languages": ["en"],
        "clientToken": str(token),
    }


def is_right(answer: dict[str, Any], number: int, expected: Score) -> bool:
    """Whether an answer is that of the text with the number."""
    value = answer["attributeScores"]["TOXICITY"]["summaryScore"]["value"]
    return answer["clientToken"] == str(number) and abs(value - expected[text_of(number)]) < 1e-6


async def one_by_one(client: Client, numbers: Iterator[int], expected: Score, out: Result) -> None:
    """Requests for a text each, until no number is left."""
    for number in numbers:
        body = json.dumps(request(text_of(number), number)).encode()
        begun = time.perf_counter()
        status, content = await client.post(ANALYZE, body, "application/json")
        out.count(status, time.perf_counter() - begun)
        if status == 200:
            out.texts += 1
            out.wrong += not is_right(json.loads(content), number, expected)


def in_batches(parts: int) -> Callable[[Client, Iterator[int], Score, Result], Awaitable[None]]:
    """Requests for that many texts each."""

    async def ask(client: Client, numbers: Iterator[int], expected: Score, out: Result) -> None:
        for number in numbers:
            own = range(number * parts, (number + 1) * parts)
            body = "".join(
                f"--x\r\nContent-Type: application/http\r\nContent-ID: <{at}>\r\n\r\n"
                f"POST {ANALYZE} HTTP/1.1\r\n\r\n{json.dumps(request(text_of(at), at))}\r\n"
                for at in own
            )
            begun = time.perf_counter()
            status, content = await client.post(
                "/batch", f"{body}--x--".encode(), "multipart/mixed; boundary=x"
            )
            out.count(status, time.perf_counter() - begun)
            ids = re.findall(rb"Content-ID: <response-(\d+)>", content)
            answers = re.findall(rb"\r\n\r\n(\{.*\})\r\n", content)
            out.texts += len(answers)
            right = [int(one) for one in ids] == list(own) and len(answers) == parts
            out.wrong += not right or not all(
                is_right(json.loads(answer), at, expected)
                for at, answer in zip(own, answers, strict=True)
            )

    return ask


def load(
    server: Server, ask: Any, clients: int, requests: int, expected: Score, most: float
) -> Result:
    """The outcome of so many requests by so many clients at once, or of as many as time allows."""

    async def run() -> Result:
        out, end = Result(), time.perf_counter() + most
        numbers = (n for n in range(requests) if time.perf_counter() < end)
        connections = [Client(server.port) for _ in range(clients)]
        await asyncio.gather(*(ask(one, numbers, expected, out) for one in connections))
        for one in connections:
            one.close()
        return out

    return asyncio.run(run())


def measured(name: str, server: Server, *arguments: Any) -> dict[str, Any]:
    """A load's figures; a wrong answer ends the program."""
    loop, scoring = server.cpu()
    begun = time.perf_counter()
    out = load(server, *arguments)
    seconds = time.perf_counter() - begun
    loop, scoring = server.cpu()[0] - loop, server.cpu()[1] - scoring
    if out.wrong:
        raise SystemExit(f"{name}: {out.wrong} wrong answers")
    texts = max(1, out.texts)
    found = {
        "load": name,
        "statuses": out.statuses,
        "texts": out.texts,
        "texts_per_second": round(texts / seconds, 1),
        "p50_ms": round(out.percentile(0.5), 2),
        "p99_ms": round(out.percentile(0.99), 2),
        "loop_cpu_ms_per_text": round(1000 * loop / texts, 4),
        "scoring_cpu_ms_per_text": round(1000 * scoring / texts, 4),
        "texts_per_busier_cpu_second": round(texts / max(loop, scoring, 1e-9), 1),
    }
    print(json.dumps(found), flush=True)
    return found


def scores_of(scorer: str, texts: int) -> Score:
    """The scores of the first so many texts, by the scorer in this process."""
    from detoxlab.scorers import load_scorer

    own = [text_of(number) for number in range(texts)]
    scores = load_scorer(scorer, cache=False)(own)[:, 0].tolist()
    return dict(zip(own, scores, strict=True))


def linear(seconds: float) -> None:
    """Single requests and batches of the fast scorer."""
    expected = scores_of("rtp-linear", 20_000)
    with serving("rtp-linear") as server:
        measured("warm-up", server, one_by_one, 8, 500, expected, seconds)
        for clients in (1, 16, 64):
            name = f"single, {clients} clients"
            measured(name, server, one_by_one, clients, 10_000, expected, seconds)
        for parts in (50, 250, 1000):
            name = f"batches of {parts}, 2 clients"
            measured(name, server, in_batches(parts), 2, 20_000 // parts, expected, seconds)


def neural(seconds: float) -> None:
    """The neural scorer with batches across requests, and one text at a time."""
    expected = scores_of("rtp-neural", 1500)
    found = {}
    for name, size in (("batches of at most 64", "64"), ("one by one", "1")):
        with serving("rtp-neural", "--batch-size", size, "--set", "threads=1") as server:
            measured("warm-up", server, one_by_one, 8, 64, expected, seconds)
            found[name] = measured(name, server, one_by_one, 64, 1500, expected, seconds)
    together, apart = found.values()
    for figure in ("texts_per_second", "texts_per_busier_cpu_second"):
        print(f"{figure}: {together[figure] / apart[figure]:.2f} times one by one")


def memory(seconds: float) -> None:
    """Memory over 100,000 requests."""
    expected = scores_of("rtp-linear", 10_000)
    with serving("rtp-linear") as server:
        done = 0
        for part in range(11):  # the first one warms up
            loop, scoring = server.megabytes()
            print(f"{done} requests: {loop:.1f} MB, scoring {scoring:.1f} MB", flush=True)
            found = measured(f"part {part}", server, one_by_one, 32, 10_000, expected, seconds)
            done += found["texts"]


def overload(seconds: float) -> None:
    """More clients than the queue has room for."""
    expected = scores_of("rtp-neural", 1500)
    with serving("rtp-neural", "--queue", "32", "--set", "threads=1") as server:
        measured("256 clients, room for 32", server, one_by_one, 256, 1500, expected, seconds)
        measured("afterwards", server, one_by_one, 8, 200, expected, seconds)


def main() -> None:
    """Run one of the loads."""
    loads = {"linear": linear, "neural": neural, "memory": memory, "overload": overload}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("load", choices=loads)
    parser.add_argument("--seconds", type=float, default=60.0, help="at most, for each figure")
    arguments = parser.parse_args()
    loads[arguments.load](arguments.seconds)


if __name__ == "__main__":
    main()
