"""A server of completions in memory, and an engine that asks it."""

import json
from collections.abc import Callable

import httpx

from detoxlab.generate import HttpEngine, Retries
from detoxlab.records import Prompt, Sampling

PROMPTS = [Prompt(f"p{i}", f"Hello {i}", "t") for i in range(5)]
SAMPLING = Sampling(k=3, max_new_tokens=7, temperature=0.8, top_p=0.9, stop=("User:",), seed=2)
Handler = Callable[[httpx.Request], httpx.Response]


def completions(request: httpx.Request) -> httpx.Response:
    """A server that gives as many choices as asked for, the last one first."""
    body = json.loads(request.content)
    choices = [
        {
            "index": i,
            "text": f" to {body['prompt']} ({body['seed']}:{i})",
            "finish_reason": "length",
        }
        for i in range(body.get("n", 1))
    ]
    return httpx.Response(200, json={"choices": choices[::-1]})


def engine(handler: Handler, *, chat: bool = False, **options: object) -> HttpEngine:
    return HttpEngine(
        "http://server/v1/",
        "some-model",
        chat=chat,
        retries=Retries(attempts=3, first_wait_seconds=0.0),
        transport=httpx.MockTransport(handler),
        **options,  # type: ignore[arg-type]
    )
