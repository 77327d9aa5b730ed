"""A prompt that a server refuses is unknown, not harmless, and does not end a run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from detoxlab.comparisons import compare
from detoxlab.errors import EngineError
from detoxlab.generate import WithheldWarning, generate_into
from detoxlab.measures import measure
from detoxlab.protocols import get_protocol
from detoxlab.records import Generation, Measurement, Prompt, Responses, Score, from_json, to_json
from detoxlab.runs import Run
from detoxlab.scorers import score_generations
from tests.support.completions_server import PROMPTS, SAMPLING, completions, engine

Handler = Callable[[httpx.Request], httpx.Response]
Body = Any

AZURE = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
        "management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"hate": {"filtered": True, "severity": "high"}},
        },
    }
}


def choice(content: Any, ended: Any, **more: Any) -> dict[str, Any]:
    """One choice, in the form of both endpoints."""
    message = {"role": "assistant", "content": content, **more}
    return {"index": 0, "message": message, "text": content, "finish_reason": ended}


def choices(*given: dict[str, Any]) -> Body:
    return {"object": "chat.completion", "choices": list(given)}


# Per provider: what it answers to a prompt that it refuses, and the reason that is recorded.
REFUSALS: dict[str, tuple[int, Body, str]] = {
    "azure, the prompt": (400, AZURE, "content_filter"),
    "azure, no choices": (
        200,
        {
            "choices": [],
            "prompt_filter_results": [
                {"prompt_index": 0, "content_filter_results": {"violence": {"filtered": True}}}
            ],
        },
        "content_filter",
    ),
    "azure, the response": (200, choices(choice(None, "content_filter")), "content_filter"),
    "azure, content cut off": (200, choices(choice("I th", "content_filter")), "content_filter"),
    "openai": (
        400,
        {
            "error": {
                "message": "Invalid prompt: your prompt was flagged as potentially violating our "
                "usage policy.",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_prompt",
            }
        },
        "invalid_prompt",
    ),
    "vllm, too long": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 512 tokens.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        "BadRequestError",
    ),
    "vllm, of late": (
        400,
        {"error": {"message": "Input is too long.", "type": "BadRequestError", "code": 400}},
        "BadRequestError",
    ),
    "llama.cpp": (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 600,
                "n_ctx": 512,
            }
        },
        "exceed_context_size_error",
    ),
    "openrouter, moderation": (
        403,
        {
            "error": {
                "code": 403,
                "message": "The model requires moderation and your input was flagged",
                "metadata": {"reasons": ["harassment"], "provider_name": "some"},
            }
        },
        "status 403",
    ),
    "openrouter, an error in a 200": (
        200,
        {"error": {"code": 403, "message": "Input was flagged by moderation"}, "user_id": "u"},
        "status 403",
    ),
    "openrouter, an error in the choice": (
        200,
        choices(
            choice("", "error")
            | {"error": {"code": 403, "message": "Output blocked by content filter"}}
        ),
        "status 403",
    ),
    "mistral, ended by an error": (200, choices(choice("", "error")), "error"),
    "mistral, refused": (
        400,
        {"object": "error", "message": "Input flagged", "type": "guardrail", "code": "1905"},
        "1905",
    ),
    "deepseek": (
        400,
        {
            "error": {
                "message": "Content Exists Risk",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_request_error",
            }
        },
        "invalid_request_error",
    ),
    "dashscope": (
        400,
        {"error": {"code": "data_inspection_failed", "message": "…", "param": None}},
        "data_inspection_failed",
    ),
    "gemini, null choices": (200, {"choices": None}, "answer without choices"),
    "gemini, prohibited": (200, choices(choice(None, "PROHIBITED_CONTENT")), "PROHIBITED_CONTENT"),
    "glm": (200, choices(choice("", "sensitive")), "sensitive"),
    "empty choices": (200, {"choices": []}, "answer without choices"),
    "null content": (200, choices(choice(None, "stop")), "no text (stop)"),
    "null content and no reason": (200, choices(choice(None, None)), "no text"),
    "a tool instead of a text": (200, choices(choice(None, "tool_calls")), "no text (tool_calls)"),
    "no message": (200, choices({"index": 0, "finish_reason": "stop"}), "no text (stop)"),
    "a gateway, as text": (400, {"error": "blocked: sensitive content"}, "status 400"),
    "fastapi": (422, {"detail": [{"loc": ["body"], "msg": "bad", "input": "Hi"}]}, "status 422"),
    "too large a body": (413, None, "status 413"),
    "for legal reasons": (451, None, "status 451"),
}


def answering(body: dict[str, Any]) -> Body:
    count = body.get("n", 1)
    return choices(*(choice("Fine.", "stop") | {"index": at} for at in range(count)))


def refusing(prompt: str, status: int, body: Body) -> Handler:
    """A server that answers everything but one prompt."""

    def handler(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        text = asked["prompt"] if "prompt" in asked else asked["messages"][-1]["content"]
        if text != prompt:
            return httpx.Response(200, json=answering(asked))
        return httpx.Response(status, json=body) if body else httpx.Response(status, text="<html>")

    return handler


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("case", REFUSALS)
def test_one_refused_prompt_is_missing_with_the_servers_reason(case: str, chat: bool) -> None:
    status, body, reason = REFUSALS[case]
    rows = engine(refusing("Hello 2", status, body), chat=chat).generate(PROMPTS, SAMPLING)
    assert [(row.prompt_id, row.sample) for row in rows] == [
        (prompt.id, sample) for prompt in PROMPTS for sample in range(SAMPLING.k)
    ]
    for row in rows:
        expected = ("", reason, "unknown") if row.prompt_id == "p2" else ("Fine.", None, "eos")
        assert (row.text, row.error, row.finish_reason) == expected


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (choice("", "stop"), ""),
        (choice("Fine.", None), "Fine."),
        (choice(None, "stop", refusal="I will not."), "I will not."),
        (
            choice([{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hi"}], "stop"),
            "Hi",
        ),
    ],
)
def test_what_the_model_said_stays(given: dict[str, Any], text: str) -> None:
    server = engine(lambda _: httpx.Response(200, json=choices(given)), chat=True)
    rows = server.generate(PROMPTS[:1], SAMPLING)
    assert {(row.text, row.error) for row in rows} == {(text, None)}


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, {"error": {"code": "invalid_api_key", "message": "…"}}, "status 401"),
        (402, {"error": {"code": 402, "message": "no credit"}}, "status 402"),
        (403, {"error": {"message": "no permission", "type": "permission_error"}}, "status 403"),
        (404, {"error": {"code": "model_not_found", "message": "…"}}, "status 404"),
        (404, {"detail": "Not Found"}, "status 404"),
        (400, {"error": {"code": "model_not_found", "message": "…"}}, "model_not_found"),
        (400, {"error": {"code": "unsupported_parameter", "param": "seed"}}, "unsupported_param"),
        (200, {"error": {"code": 401, "message": "no key"}}, "status 401"),
    ],
)
def test_what_is_no_fault_of_the_prompt_is_an_error_at_once(
    status: int, body: Body, says: str
) -> None:
    with pytest.raises(EngineError, match=says):
        engine(refusing("Hello 2", status, body)).generate(PROMPTS, SAMPLING)


@pytest.mark.parametrize("body", [{"error": {"code": 503}}, choices({"error": {"code": 502}})])
def test_a_passing_failure_in_a_200_is_retried(body: Body) -> None:
    calls = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        return httpx.Response(200, json=body) if calls == 1 else completions(request)

    rows = engine(handler).generate(PROMPTS[:1], SAMPLING)
    assert {row.error for row in rows} == {None}


UNKNOWN = {"error": {"message": "Invalid value for top_p", "type": "invalid_request_error"}}
LONG = {"error": {"message": "max_tokens is too large", "type": "invalid_request_error"}}


@pytest.mark.parametrize("body", [UNKNOWN, LONG])
@pytest.mark.parametrize("count", [1, 5])
def test_settings_that_hit_every_prompt_are_an_error_before_anything_is_written(
    tmp_path: Path, body: Body, count: int
) -> None:
    run = Run.start(tmp_path / "run", kind="measure", config={})
    server = engine(lambda _: httpx.Response(400, json=body))
    with pytest.raises(EngineError, match=rf"all {count} prompts .*\(invalid_request_error\)"):
        generate_into(run, server, PROMPTS[:count], SAMPLING)
    assert run.read_all("generations", Generation) == []


def test_a_filter_may_refuse_every_prompt() -> None:
    rows = engine(lambda _: httpx.Response(400, json=AZURE)).generate(PROMPTS, SAMPLING)
    assert {row.error for row in rows} == {"content_filter"}


def test_a_whole_batch_refused_for_no_known_reason_stops_a_run_that_went_well() -> None:
    many = [Prompt(f"m{i}", "Well", "t") for i in range(8)]
    server = engine(refusing("Well", 400, UNKNOWN))
    server.generate(PROMPTS, SAMPLING)
    with pytest.raises(EngineError, match="all 8 prompts"):
        server.generate(many, SAMPLING)
    assert {row.error for row in server.generate(many[:7], SAMPLING)} == {"invalid_request_error"}


@pytest.mark.filterwarnings("ignore::detoxlab.generate.store.WithheldWarning")
@pytest.mark.filterwarnings("ignore::detoxlab.generate.SameSamplesWarning")  # always "Fine."
def test_a_run_goes_on_over_a_refused_prompt_and_resumes(tmp_path: Path) -> None:
    def dying(request: httpx.Request) -> httpx.Response:
        if "Hello 4" in request.content.decode():
            return httpx.Response(401)
        return refusing("Hello 2", 400, UNKNOWN)(request)

    run = Run.start(tmp_path / "run", kind="measure", config={})
    with pytest.raises(EngineError):
        generate_into(run, engine(dying, batch_size=1), PROMPTS, SAMPLING)
    before = run.read_all("generations", Generation)
    assert {row.prompt_id for row in before if row.error} == {"p2"}
    # Only the last prompt is left, and it is refused: the server is known to answer others.
    generate_into(run, engine(refusing("Hello 4", 400, UNKNOWN), batch_size=1), PROMPTS, SAMPLING)
    rows = run.read_all("generations", Generation)
    assert rows[: len(before)] == before
    assert {row.prompt_id for row in rows if row.error} == {"p2", "p4"}
    assert run.info["responses_withheld"] == {"invalid_request_error": 2 * SAMPLING.k}


@pytest.mark.filterwarnings("ignore::detoxlab.generate.SameSamplesWarning")  # always "Fine."
def test_withheld_responses_are_told(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "run", kind="measure", config={})
    with pytest.warns(WithheldWarning, match=r"3 of 15 responses .*content_filter 3.*not harmless"):
        generate_into(run, engine(refusing("Hello 2", 400, AZURE)), PROMPTS, SAMPLING)


def test_a_reason_stands_in_files_only_where_there_is_one() -> None:
    there, withheld = Generation("p", 0, "x", (), "eos"), Generation("p", 1, "", (), "unknown", "y")
    assert "error" not in to_json(there)
    assert [from_json(Generation, to_json(row)) for row in (there, withheld)] == [there, withheld]


class Shown:
    """A scorer that gives even an empty text a score, and keeps what it was shown."""

    id, attributes = "shown@1", ("toxicity",)

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts: Any) -> Any:
        self.texts += texts
        return [[0.25] for _ in texts]

    def missing_reason(self, text: str) -> str:  # noqa: ARG002
        return ""


def responses(name: str, withheld: set[int]) -> Responses:
    """Ten prompts with a response each, but for those that were withheld."""
    prompts = tuple(Prompt(f"p{at}", "Who is there?", "test") for at in range(10))
    rows = tuple(
        Generation(one.id, 0, "", (), "unknown", "content_filter")
        if at in withheld
        else Generation(one.id, 0, "It is me and you.", (), "eos")
        for at, one in enumerate(prompts)
    )
    scores: list[Score] = score_generations(Shown(), rows)
    return Responses(name, prompts, rows, tuple(scores), judge_id="shown@1")


def test_no_scorer_is_shown_what_is_not_there() -> None:
    scorer = Shown()
    rows = [
        Generation("a", 0, "", (), "unknown", "content_filter"),
        Generation("b", 0, "", (), "eos"),
    ]
    scores = score_generations(scorer, rows)
    assert scorer.texts == [""]
    assert [(one.value, one.error) for one in scores] == [
        (None, "no response: content_filter"),
        (0.25, None),
    ]


def by_name(rows: list[Measurement]) -> dict[str, Measurement]:
    return {one.name: one for one in rows if one.group is None}


def test_withheld_responses_lower_coverage_and_are_no_empty_ones() -> None:
    rows = by_name(
        measure(responses("run", {0, 1}), protocol=get_protocol("imported"), resamples=50)
    )
    fraction = rows["toxic_fraction"]
    assert (fraction.value, fraction.coverage, fraction.n) == (0.0, 0.8, 8)
    assert (fraction.bound_low, fraction.bound_high) == (0.0, 0.2)
    assert rows["coverage"].value == 0.8
    assert (rows["empty"].value, rows["empty"].n) == (0.0, 8)
    assert rows["words"].value == 5.0


def test_a_pair_with_a_withheld_response_is_not_compared() -> None:
    compared = compare(responses("base", set()), responses("treated", {0, 1}), resamples=50)
    row = next(d for d in compared.differences if d.subset == "comparable")
    assert (row.n_pairs, row.difference) == (8, 0.0)
