"""The HTTP engine against a server in memory."""

import datetime
import email.utils
import json
import threading
import time
from pathlib import Path

import httpx
import pytest

from detoxlab.errors import ConfigError, EngineError
from detoxlab.generate import HttpEngine, generate_into
from detoxlab.records import Generation, Sampling
from detoxlab.runs import Run
from detoxlab.servers import asked_wait
from tests.support.completions_server import PROMPTS, SAMPLING, Handler, completions, engine

AFTER = {"Retry-After": "0.2"}


def test_completions_come_prompt_after_prompt_without_token_ids() -> None:
    rows = engine(completions).generate(PROMPTS, SAMPLING)
    assert [(row.prompt_id, row.sample) for row in rows] == [
        (prompt.id, sample) for prompt in PROMPTS for sample in range(3)
    ]
    assert all(row.text.startswith(f" to Hello {row.prompt_id[1:]}") for row in rows)
    assert {row.finish_reason for row in rows} == {"length"}
    assert {row.token_ids for row in rows} == {()}


def test_each_sample_is_a_request_that_says_what_the_sampling_says() -> None:
    bodies: list[dict[str, object]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url == "http://server/v1/completions"
        bodies.append(json.loads(request.content))
        return completions(request)

    rows = engine(handler).generate(PROMPTS[:1], SAMPLING)
    seeds = [body.pop("seed") for body in bodies]
    assert all(isinstance(seed, int) for seed in seeds)
    assert {row.text for row in rows} == {f" to Hello 0 ({seed}:0)" for seed in seeds}
    assert len(set(seeds)) == 3
    usual = {"model": "some-model", "prompt": "Hello 0", "max_tokens": 7}
    assert bodies == [usual | {"temperature": 0.8, "top_p": 0.9, "stop": ["User:"]}] * 3


def test_chat_sends_messages_and_reads_them() -> None:
    lock = threading.Lock()
    reasons = ({"finish_reason": "stop"}, {"finish_reason": "stop", "stop_reason": "User:"})
    choices = [
        {"message": {"content": None}},
        *({"message": {"content": "Fine."}, **reason} for reason in reasons),
    ]

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/chat/completions"
        assert json.loads(request.content)["messages"] == [{"role": "user", "content": "Hello 0"}]
        with lock:
            choice = choices.pop()
        return httpx.Response(200, json={"choices": [choice]})

    rows = engine(handler, chat=True).generate(PROMPTS[:1], SAMPLING)
    assert sorted((row.text, row.finish_reason) for row in rows) == [
        ("", "unknown"),
        ("Fine.", "eos"),
        ("Fine.", "stop"),
    ]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_failures_are_retried(status: int) -> None:
    calls = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        if calls == 1:
            return httpx.Response(status)
        if calls == 2:
            raise httpx.ReadTimeout("slow", request=request)
        return completions(request)

    assert len(engine(handler).generate(PROMPTS[:1], Sampling())) == 1
    assert calls == 3


def test_a_server_is_not_asked_again_before_it_says() -> None:
    calls: list[float] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(time.monotonic())
        return completions(request) if calls[1:] else httpx.Response(429, headers=AFTER)

    engine(handler).generate(PROMPTS[:1], Sampling())
    assert len(calls) == 2
    assert calls[1] - calls[0] >= 0.2


@pytest.mark.parametrize("seconds", [90, -90])
def test_the_wait_may_be_given_as_a_date(seconds: int) -> None:
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    wait = asked_wait(email.utils.format_datetime(until, usegmt=True))
    assert wait == pytest.approx(max(0, seconds), abs=3)


def refusing(problem: str) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        if problem == "ConnectError":
            raise httpx.ConnectError("no", request=request)
        answers = {
            "status 503": httpx.Response(503),
            "status 401": httpx.Response(401),
            "not JSON": httpx.Response(200, text="hello"),
            "without choices": httpx.Response(200, json={"choices": []}),
        }
        return answers[problem]

    return handler


@pytest.mark.parametrize(
    "problem", ["ConnectError", "status 503", "status 401", "not JSON", "without choices"]
)
def test_a_lasting_failure_is_an_error_that_does_not_quote_the_prompt(problem: str) -> None:
    with pytest.raises(EngineError, match=problem) as caught:
        engine(refusing(problem)).generate(PROMPTS[:1], SAMPLING)
    assert "prompt 'p0'" in str(caught.value)
    assert "Hello" not in str(caught.value)


def test_what_was_generated_before_a_failure_is_kept_and_resumed(tmp_path: Path) -> None:
    def half(request: httpx.Request) -> httpx.Response:
        late = "Hello 3" in json.loads(request.content)["prompt"]
        return httpx.Response(401) if late else completions(request)

    run = Run.start(tmp_path / "run", kind="measure", config={})
    with pytest.raises(EngineError):
        generate_into(run, engine(half, batch_size=2), PROMPTS, SAMPLING)
    assert len(run.read_all("generations", Generation)) == 2 * SAMPLING.k
    generate_into(run, engine(completions, batch_size=2), PROMPTS, SAMPLING)
    assert len(run.read_all("generations", Generation)) == len(PROMPTS) * SAMPLING.k


def test_the_key_comes_from_the_named_variable_and_is_never_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "hidden-value")

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer hidden-value"
        return completions(request)

    run = Run.start(tmp_path / "run", kind="measure", config={})
    generate_into(run, engine(handler, api_key_env="SOME_KEY"), PROMPTS, SAMPLING)
    written = "".join(path.read_text() for path in run.path.rglob("*") if path.is_file())
    assert "hidden-value" not in written
    assert run.info["engine"]["api_key_env"] == "SOME_KEY"


def test_a_missing_key_and_a_wrong_address_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(ConfigError, match="SOME_KEY holds no API key"):
        engine(completions, api_key_env="SOME_KEY").generate(PROMPTS, SAMPLING)
    with pytest.raises(ConfigError, match="'server:8000' is not a URL"):
        HttpEngine("server:8000", "m", chat=False)
