"""Generations from any server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp and others."""

import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from detoxlab.errors import ConfigError, EngineError
from detoxlab.generate.noise import noise_key
from detoxlab.records import FinishReason, Generation, Prompt, Sampling

RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504})
LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Retries:
    """How often a failed request is sent again, and the first wait, which then doubles."""

    attempts: int = 6
    first_wait_seconds: float = 1.0

    def waits(self) -> Iterator[float]:
        """Seconds before each further attempt, with jitter so that clients do not move in step."""
        for i in range(self.attempts - 1):
            wait = min(LONGEST_WAIT, self.first_wait_seconds * 2.0**i)
            yield wait * random.uniform(0.75, 1.25)


class HttpEngine:
    """Prompts and `Sampling` to generations through `/completions` or `/chat/completions`.

    `base_url` ends before those, usually in "/v1". `api_key_env` names the environment
    variable that holds the key; the key itself is never stored or shown. k samples come
    from one request where the server can (`n`), else from several.

    Token ids are unknown here and stay empty; the noise is the server's, so the coupling and
    the byte-identical resume of `LocalEngine` do not hold. Each request carries a seed made
    of (seed, prompt id, first sample), for servers that honour it.

    A request that fails for good raises `EngineError`; finished batches are on disk, and the
    run goes on from them with --resume.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        chat: bool,
        api_key_env: str | None = None,
        concurrency: int = 8,
        batch_size: int = 32,
        timeout_seconds: float = 120.0,
        retries: Retries = Retries(),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"endpoint {base_url!r} is not a URL", remedy="Give one like http://host:8000/v1."
            )
        self.base_url = base_url.rstrip("/")
        self.model = model
        self.chat = chat
        self.api_key_env = api_key_env
        self.concurrency = concurrency
        self.batch_size = batch_size
        self.retries = retries
        self._client = httpx.Client(timeout=timeout_seconds, transport=transport)

    @property
    def id(self) -> str:
        """The engine's name in results."""
        return f"http:{self.model}"

    def facts(self) -> dict[str, Any]:
        """What a run records; of the address only the host, of the key only its variable."""
        return {
            "engine": "http",
            "model": self.model,
            "host": httpx.URL(self.base_url).host,
            "chat": self.chat,
            "api_key_env": self.api_key_env,
            "batch_size": self.batch_size,
        }

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Take the batch size that a run began with."""
        self.batch_size = facts.get("batch_size", self.batch_size)

    def batches(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Prompt]]:  # noqa: ARG002
        """The prompts in their order, cut into batches."""
        size = self.batch_size
        return [list(prompts[start : start + size]) for start in range(0, len(prompts), size)]

    def generate(self, batch: Sequence[Prompt], sampling: Sampling) -> list[Generation]:
        """k generations per prompt, prompt after prompt; requests run side by side."""
        headers = self._headers()
        with ThreadPoolExecutor(max_workers=self.concurrency) as pool:
            parts = pool.map(lambda prompt: self._samples(prompt, sampling, headers), batch)
            return [row for part in parts for row in part]

    # --- inside ---

    def _headers(self) -> dict[str, str]:
        if self.api_key_env is None:
            return {}
        key = os.environ.get(self.api_key_env)
        if not key:
            raise ConfigError(
                f"the environment variable {self.api_key_env} holds no API key",
                remedy=f"Set {self.api_key_env}, or name another variable.",
            )
        return {"Authorization": f"Bearer {key}"}

    def _samples(
        self, prompt: Prompt, sampling: Sampling, headers: Mapping[str, str]
    ) -> list[Generation]:
        """k samples, by as many requests as the server needs for them."""
        rows: list[Generation] = []
        while len(rows) < sampling.k:
            body = self._body(prompt, sampling, first=len(rows))
            choices = self._choices(self._post(body, headers, prompt), prompt)
            for choice in choices[: sampling.k - len(rows)]:
                text, reason = self._text(choice, prompt), finish_reason(choice)
                rows.append(Generation(prompt.id, len(rows), text, (), reason))
        return rows

    def _body(self, prompt: Prompt, sampling: Sampling, first: int) -> dict[str, Any]:
        text = prompt.text
        asked: dict[str, Any] = (
            {"messages": [{"role": "user", "content": text}]} if self.chat else {"prompt": text}
        )
        seed = noise_key(sampling.seed, f"{prompt.id}\x1f{first}")[0] & 0x7FFFFFFF
        body = {
            "model": self.model,
            **asked,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed,
        }
        optional = {"n": sampling.k - first, "stop": list(sampling.stop), "top_k": sampling.top_k}
        unset = {"n": 1, "stop": [], "top_k": 0}
        return body | {name: value for name, value in optional.items() if value != unset[name]}

    def _post(self, body: Mapping[str, Any], headers: Mapping[str, str], prompt: Prompt) -> Any:
        path = "/chat/completions" if self.chat else "/completions"
        problem = ""
        for wait in (0.0, *self.retries.waits()):
            time.sleep(wait)
            try:
                response = self._client.post(self.base_url + path, json=body, headers=headers)
            except httpx.TransportError as error:
                problem = type(error).__name__
                continue
            if response.status_code not in RETRIED:
                return self._answer(response, prompt)
            problem = f"status {response.status_code}"
        raise self._error(f"{problem}, {self.retries.attempts} times", prompt)

    def _answer(self, response: httpx.Response, prompt: Prompt) -> Any:
        if not response.is_success:
            raise self._error(f"status {response.status_code}", prompt)
        try:
            return response.json()
        except ValueError:
            raise self._error("an answer that is not JSON", prompt) from None

    def _choices(self, answer: Any, prompt: Prompt) -> list[Mapping[str, Any]]:
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not choices:
            raise self._error("an answer without choices", prompt)
        return sorted(choices, key=lambda choice: choice.get("index", 0))

    def _text(self, choice: Mapping[str, Any], prompt: Prompt) -> str:
        holder = choice.get("message") if self.chat else choice
        if not isinstance(holder, Mapping):
            raise self._error("a choice without message", prompt)
        text = holder.get("content" if self.chat else "text")
        return text if isinstance(text, str) else ""

    def _error(self, problem: str, prompt: Prompt) -> EngineError:
        host = httpx.URL(self.base_url).host
        return EngineError(
            f"{host}, model {self.model!r}, prompt {prompt.id!r}: {problem}",
            remedy="Check the server, the model's name and the key, then go on with --resume.",
        )


def finish_reason(choice: Mapping[str, Any]) -> FinishReason:
    """The server's word in ours. "stop" alone means EOS; a stop string is named beside it.

    >>> finish_reason({"finish_reason": "stop", "stop_reason": "User:"})
    'stop'
    >>> finish_reason({"finish_reason": "content_filter"})
    'unknown'
    """
    reason = choice.get("finish_reason")
    if reason == "length":
        return "length"
    if reason == "stop":
        return "stop" if isinstance(choice.get("stop_reason"), str) else "eos"
    return "unknown"
