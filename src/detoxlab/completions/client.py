"""Sends requests to a server of completions, tries again after passing failures, reads replies."""

import os
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from detoxlab.completions.replies import Answered, Failed, Withheld, read_reply
from detoxlab.errors import ConfigError, EngineError

LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Retries:
    """The number of attempts for a failed request, and the first wait, which then doubles."""

    attempts: int = 6
    first_wait_seconds: float = 1.0

    def waits(self) -> Iterator[float]:
        """Seconds before each further attempt, with jitter so that clients do not move in step."""
        for i in range(self.attempts - 1):
            wait = min(LONGEST_WAIT, self.first_wait_seconds * 2.0**i)
            yield wait * random.uniform(0.75, 1.25)


USUAL_RETRIES = Retries()


class Completions:
    """A model that a server offers through `/completions` or `/chat/completions`.

    `base_url` ends before those, usually in "/v1". `api_key_env` names the environment
    variable that holds the key; the key itself is never stored or shown. Threads may share it.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        chat: bool,
        api_key_env: str | None = None,
        timeout_seconds: float = 120.0,
        retries: Retries = USUAL_RETRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        check_address(base_url)
        self.base_url = base_url.rstrip("/")
        self.model = model
        self.chat = chat
        self.api_key_env = api_key_env
        self.retries = retries
        self._client = httpx.Client(timeout=timeout_seconds, transport=transport)

    @property
    def host(self) -> str:
        """The server's name in records and errors; its port is left out."""
        return httpx.URL(self.base_url).host

    def headers(self) -> dict[str, str]:
        """The headers of a request; `ConfigError` when the variable of the key is not set."""
        if self.api_key_env is None:
            return {}
        key = os.environ.get(self.api_key_env)
        if not key:
            raise ConfigError(
                f"the environment variable {self.api_key_env} holds no API key",
                remedy=f"Set {self.api_key_env}, or name another variable.",
            )
        return {"Authorization": f"Bearer {key}"}

    def asked(self, text: str) -> dict[str, Any]:
        """The part of a request that holds the model and one prompt, as a user's turn in chat."""
        if self.chat:
            return {"model": self.model, "messages": [{"role": "user", "content": text}]}
        return {"model": self.model, "prompt": text}

    def reply(
        self, body: Mapping[str, Any], headers: Mapping[str, str], *, place: str
    ) -> Answered | Withheld:
        """The server's reply to a request, at most `retries.attempts` times asked for.

        Raises `EngineError`, which names `place` and quotes no text, when the request fails for
        another reason than its prompt.
        """
        problem = ""
        for wait in (0.0, *self.retries.waits()):
            time.sleep(wait)
            reply = self._post(body, headers)
            if not isinstance(reply, Failed):
                return reply
            if not reply.passing:
                raise self.error(reply.problem, place)
            problem = reply.problem
        raise self.error(f"{problem}, {self.retries.attempts} times", place)

    def error(self, problem: str, place: str) -> EngineError:
        """The error of a request that fails finally."""
        return EngineError(
            f"{self.host}, model {self.model!r}, {place}: {problem}",
            remedy="Check the server, the model's name, the settings and the key, then go on with "
            "--resume.",
        )

    def _post(
        self, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Answered | Withheld | Failed:
        path = "/chat/completions" if self.chat else "/completions"
        try:
            response = self._client.post(self.base_url + path, json=body, headers=headers)
        except httpx.TransportError as error:
            return Failed(type(error).__name__, passing=True)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        return read_reply(response.status_code, answer)


def check_address(base_url: str) -> None:
    """Raise `ConfigError` unless it is an address of HTTP."""
    if not base_url.startswith(("http://", "https://")):
        raise ConfigError(
            f"endpoint {base_url!r} is not a URL", remedy="Give one like http://host:8000/v1."
        )
