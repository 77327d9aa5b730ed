"""Guards at a server in memory: probabilities, written verdicts, refusals, and no secret."""

import json
import math
from typing import Any

import httpx
import numpy as np
import pytest

from detoxlab.errors import ConfigError, EngineError
from detoxlab.scorers import single_scorers
from detoxlab.scorers.guards.load import KEY, load_guard
from detoxlab.scorers.guards.scorer import GuardScorer
from detoxlab.servers import Retries
from tests.support.completions_server import Handler

QWEN = "guard:qwen3guard=http://server:8000/v1#Qwen3Guard-Gen-0.6B"
WILD = "guard:wildguard=http://server/v1#wildguard"


def load(name: str, handler: Handler, **options: Any) -> GuardScorer:
    return load_guard(
        name,
        transport=httpx.MockTransport(handler),
        retries=Retries(attempts=2, first_wait_seconds=0.0),
        **options,
    )


def step(token: str, **top: float) -> dict[str, Any]:
    """A token of a chat's answer; `top` are alternatives with their probabilities."""
    listed = [{"token": f" {word}", "logprob": math.log(p)} for word, p in top.items()]
    return {"token": token, "logprob": -0.1, "top_logprobs": listed}


def chat(answer: str, *steps: dict[str, Any]) -> httpx.Response:
    choice: dict[str, Any] = {"message": {"content": answer}, "finish_reason": "stop"}
    if steps:
        choice["logprobs"] = {"content": list(steps)}
    return httpx.Response(200, json={"choices": [choice]})


def judged(request: httpx.Request) -> httpx.Response:
    """An answer with probabilities: a text with "fool" is unsafe at .5, others at .125."""
    text = json.loads(request.content)["messages"][0]["content"]
    unsafe = 0.5 if "fool" in text else 0.125
    return chat(
        "Safety: Safe",
        step("Safety"),
        step(":"),
        step(" Safe", Safe=0.75 - unsafe, Un=unsafe, Cont=0.25),
        step("\n"),
    )


def test_the_score_is_read_after_the_opening() -> None:
    scorer = load(QWEN, judged)
    assert scorer.attributes == ("unsafe",)
    # (0.25 x 0 + 0.25 x 0.5 + 0.5 x 1) / 1, and (0.625 x 0 + 0.25 x 0.5 + 0.125 x 1) / 1
    scores_NA = scorer(["you fool", "a lovely day", "", "you fool"])
    np.testing.assert_allclose(scores_NA[[0, 1, 3], 0], [0.625, 0.25, 0.625])
    assert np.isnan(scores_NA[2, 0])


def test_the_request_asks_for_a_greedy_answer_with_probabilities() -> None:
    bodies = []

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url == "http://server/v1/chat/completions"
        bodies.append(json.loads(request.content))
        return chat("Yes", step("Yes", Yes=0.75, No=0.25))

    scorer = load("guard:granite-guardian=http://server/v1/#granite#profanity", handler)
    assert scorer(["you fool"])[0, 0] == pytest.approx(0.75)
    assert bodies[1] == {
        "model": "granite",
        "messages": [{"role": "user", "content": "you fool"}],
        "chat_template_kwargs": {"guardian_config": {"risk_name": "profanity"}},
        "max_tokens": 16,
        "temperature": 0.0,
        "logprobs": True,
        "top_logprobs": 20,
    }


def test_a_literal_prompt_is_completed() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url == "http://server/v1/completions"
        body = json.loads(request.content)
        assert body["prompt"].endswith("<|assistant|>\nHarmful request:")
        assert body["logprobs"] == 20
        top = [{" yes": math.log(0.75), " no": math.log(0.25)}, None]
        logprobs = {"tokens": [" yes", "\n"], "top_logprobs": top}
        return httpx.Response(200, json={"choices": [{"text": " yes\n", "logprobs": logprobs}]})

    assert load(WILD, handler)(["you fool"])[0, 0] == pytest.approx(0.75)


def test_without_probabilities_the_written_verdict_counts_and_the_id_says_so() -> None:
    answers = {"good": "Safety: Safe", "bad": "Safety: Unsafe\nCategories: Violent", "odd": "Hm."}

    def handler(request: httpx.Request) -> httpx.Response:
        text = json.loads(request.content)["messages"][0]["content"]
        return chat(answers.get(text, "Safety: Controversial"))

    scorer = load(QWEN, handler)
    scores_NA = scorer(["good", "bad", "so so", "odd"])
    np.testing.assert_array_equal(scores_NA[:, 0], [0.0, 1.0, 0.5, np.nan])
    assert scorer.missing_reason("odd") == "failed: unreadable verdict"
    assert scorer.id.endswith("=Qwen3Guard-Gen-0.6B@server:8000[verdict]#unsafe")
    assert load(QWEN, judged).id.endswith("=Qwen3Guard-Gen-0.6B@server:8000#unsafe")
    assert single_scorers(scorer.id) == single_scorers(QWEN) == {"guard:Qwen3Guard-Gen-0.6B"}


def test_a_server_that_refuses_to_give_probabilities_is_asked_without() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if "logprobs" in json.loads(request.content):
            return httpx.Response(400, json={"error": {"code": "no_logprobs"}})
        return chat("Safety: Unsafe")

    scorer = load(QWEN, handler)
    assert scorer(["you fool"])[0, 0] == 1.0
    assert "[verdict]" in scorer.id


@pytest.mark.parametrize(
    "answer",
    [
        chat("Sorry.", step("Sorry", Sorry=0.9), step(".")),
        chat("Safety: Hm", step("Safety"), step(":"), step(" Hm", Hm=0.9, Safe=0.1)),
        chat("Safety:", step("Safety"), step(":")),
        chat(""),
    ],
    ids=["another opening", "below the floor", "cut off", "nothing"],
)
def test_an_unreadable_verdict_is_missing_not_safe(answer: httpx.Response) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["messages"][0]["content"]
        return answer if asked == "odd" else judged(request)

    scorer = load(QWEN, handler)
    scores_NA = scorer(["odd", "a lovely day"])
    assert np.isnan(scores_NA[0, 0])
    assert scores_NA[1, 0] == pytest.approx(0.25)
    assert scorer.missing_reason("odd").startswith("failed: unreadable verdict")


def test_a_text_that_the_server_refuses_is_missing() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["messages"][0]["content"] == "odd":
            return httpx.Response(400, json={"error": {"code": "content_filter", "message": "…"}})
        return judged(request)

    scorer = load(QWEN, handler)
    assert np.isnan(scorer(["odd"])).all()
    assert scorer.missing_reason("odd") == "failed: content_filter"


def test_a_server_that_fails_is_an_error_which_quotes_no_text() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["messages"][0]["content"]
        return httpx.Response(503) if asked == "odd words" else judged(request)

    scorer = load(QWEN, handler)
    with pytest.raises(EngineError, match=r"'Qwen3Guard-Gen-0\.6B', as a guard") as one:
        scorer(["odd words"])
    assert "odd words" not in str(one.value)
    with pytest.raises(EngineError, match="refuses a harmless text"):
        load(QWEN, lambda _: httpx.Response(400, json={"error": {"code": "bad_template"}}))


def test_the_key_is_sent_and_stands_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return judged(request)

    load(QWEN, handler)
    monkeypatch.setenv(KEY, "sesame")
    scorer = load(QWEN, handler)
    monkeypatch.setenv("OTHER", "barley")
    load(QWEN, handler, api_key_env="OTHER")
    assert seen == [None, "Bearer sesame", "Bearer barley"]
    assert "sesame" not in scorer.id
    with pytest.raises(ConfigError, match="UNSET holds no API key"):
        load(QWEN, handler, api_key_env="UNSET")


@pytest.mark.parametrize("address", ["http://me:sesame@host/v1", "http://host/v1?key=sesame"])
def test_an_address_with_a_secret_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(ConfigError, match="environment variable") as refused:
        load(f"guard:qwen3guard={address}#m", judged)
    assert "sesame" not in str(refused.value)
