"""A small real server of a language model, whose responses depend on prompt and seed alone."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from detoxlab.generate import HttpEngine
from detoxlab.models import LanguageModel, log_probs_that_fit
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.servers import Retries
from tests.support.tiny import tiny_lm

Failure = Callable[[int, dict[str, Any]], int | None]
QUICK = Retries(attempts=4, first_wait_seconds=0.01)


def never(_number: int, _body: dict[str, Any]) -> int | None:
    return None


def half(number: int, _body: dict[str, Any]) -> int | None:
    """Every second request fails: with status 500, a broken connection, or status 429."""
    return (500, 0, 429)[number // 2 % 3] if number % 2 else None


def seeded(body: dict[str, Any]) -> str:
    return f" said {body['seed']} of {body['prompt']}"


@dataclass
class FakeEndpoint:
    """A server's state: how it fails, and the requests that it got and answered.

    `failure(number, body)` gives the status of the request with that number (from 0); None is an
    answer, 0 a broken connection. `says(body)` is the response.
    """

    failure: Failure = never
    seconds: float = 0.0
    says: Callable[[dict[str, Any]], str] = seeded
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    answered: list[tuple[str, int]] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, body: dict[str, Any], _key: str | None) -> tuple[int, dict[str, Any]]:
        """The status and the content for a request, which is counted while it is under way."""
        with self.lock:
            number = len(self.requests)
            self.requests.append(body)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        time.sleep(self.seconds)
        with self.lock:
            self.running -= 1
            if (status := self.failure(number, body)) is not None:
                return status, {"error": {"code": "try_again"}}
            self.answered.append((body["prompt"], body["seed"]))
        return 200, {"choices": [{"index": 0, "text": self.says(body), "finish_reason": "stop"}]}


@dataclass
class Likely(FakeEndpoint):
    """Such a server that also tells the log-probabilities of a prompt by `lm`, as vLLM does.

    `tells(body)` says what it does when asked for them: True, or the status of its refusal, or None
    for an answer that lacks them.
    """

    lm: LanguageModel = field(default_factory=tiny_lm)
    tells: Callable[[dict[str, Any]], int | bool | None] = lambda _body: True
    told: list[str] = field(default_factory=list)
    one_by_one: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, body: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]]:
        """The status and the content for a request."""
        if "prompt_logprobs" not in body:
            return super().answer({"seed": 0} | body, key)
        choice: dict[str, Any] = {"index": 0, "text": "x", "finish_reason": "length"}
        tells = self.tells(body)
        if tells is True:
            with self.one_by_one:
                self.told.append(body["prompt"])
                choice["prompt_logprobs"] = self._told(body["prompt"])
        elif tells is not None:
            return tells, {"error": {"code": "unknown_parameter" if tells == 422 else "too_long"}}
        return 200, {"choices": [choice]}

    def _told(self, text: str) -> list[dict[str, Any] | None]:
        first, *ids = self.lm.prompt_ids(text, False)
        (found,) = log_probs_that_fit(self.lm, [[first]], [ids])
        assert found is not None
        steps = zip(ids, found, strict=True)
        return [None, *({str(one): {"logprob": float(value), "rank": 1}} for one, value in steps)]


@contextlib.contextmanager
def engine_at(*endpoints: FakeEndpoint, **options: Any) -> Iterator[HttpEngine]:
    """An engine that asks these servers, and waits little."""
    usual: dict[str, Any] = {"chat": False, "retries": QUICK, "concurrency": 3}
    engine = HttpEngine([one.url for one in endpoints], "some-model", **usual | options)
    with contextlib.closing(engine):
        yield engine


def drawn_at(
    *endpoints: FakeEndpoint, prompts: Sequence[Prompt], sampling: Sampling, **options: Any
) -> list[Generation]:
    """The rows of one batch of prompts, asked of these servers."""
    with engine_at(*endpoints, **options) as engine:
        return engine.generate(prompts, sampling)


def answered(endpoints: Sequence[FakeEndpoint]) -> list[tuple[str, int]]:
    """The prompts and seeds that were answered by any of the servers, sorted."""
    return sorted(pair for one in endpoints for pair in one.answered)
