"""Sends requests to a server of completions, tries again after passing failures, reads replies."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from detoxlab.completions.replies import Answered, Withheld, read_reply
from detoxlab.errors import ConfigError, EngineError
from detoxlab.progress import say
from detoxlab.servers import (
    USUAL_RETRIES,
    Endpoint,
    Endpoints,
    Failed,
    Retries,
    asked_wait,
    check_address,
)


class Completions:
    """A model that servers offer through `/completions` or `/chat/completions`.

    `base_url` ends before those, usually in "/v1"; several addresses are servers of the same model,
    which share the requests, at most `concurrency` at once each (`Endpoints`). `api_key_env` names
    the environment variable that holds the key of all; the key itself is never stored or shown.
    Threads may share it.
    """

    def __init__(
        self,
        base_url: str | Sequence[str],
        model: str,
        *,
        chat: bool,
        api_key_env: str | None = None,
        timeout_seconds: float = 120.0,
        retries: Retries = USUAL_RETRIES,
        transport: httpx.BaseTransport | None = None,
        concurrency: int | None = None,
    ) -> None:
        addresses = [base_url] if isinstance(base_url, str) else list(base_url)
        for address in addresses:
            check_address(address)
        self.endpoints = Endpoints([one.rstrip("/") for one in addresses], concurrency, retries)
        self.model = model
        self.chat = chat
        self.api_key_env = api_key_env
        self.retries = retries
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout_seconds, pool=None),
            transport=transport,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        )

    def close(self) -> None:
        """Close the connections to the server."""
        self._client.close()

    @property
    def host(self) -> str:
        """The name of the server, or of each, in records and errors; ports are left out."""
        hosts = [httpx.URL(one.address).host for one in self.endpoints.all]
        return ", ".join(dict.fromkeys(hosts))

    @property
    def places(self) -> int | None:
        """The requests that all servers together work on at once; None: any number."""
        return self.endpoints.places

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

        Where there are several servers, each attempt goes on to the next one at once when a server
        fails. Between two attempts it waits as `retries` say, or longer where the server says so
        (`Retry-After`), but ten minutes at most. A server that fails for good while others are left
        is asked no more, which is said on stderr.

        Raises `EngineError`, which names `place` and quotes no text, when the request fails for
        another reason than its prompt.
        """
        problem, asked = "", 0.0
        for wait in (0.0, *self.retries.waits()):
            time.sleep(max(wait, asked))
            failures: dict[Endpoint, Failed] = {}
            while endpoint := self.endpoints.take(failures):
                reply = self._asked_of(endpoint, body, headers)
                if not isinstance(reply, Failed):
                    return reply
                if endpoint.in_service and not reply.passing:
                    raise self.error(reply.problem, place)
                failures[endpoint] = reply
            problem = next((one.problem for one in failures.values()), problem)
            asked = min((one.wait_seconds for one in failures.values()), default=0.0)
        raise self.error(f"{problem}, {self.retries.attempts} times", place)

    def error(self, problem: str, place: str) -> EngineError:
        """The error of a request that fails finally."""
        return EngineError(
            f"{self.host}, model {self.model!r}, {place}: {problem}",
            remedy="Check the server, the model's name, the settings and the key, then go on with "
            "--resume.",
        )

    # --- inside ---

    def _asked_of(
        self, endpoint: Endpoint, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Answered | Withheld | Failed:
        """One attempt at an endpoint that was taken; it is given back."""
        reply: Answered | Withheld | Failed = Failed("no answer", passing=True)
        is_lost = False
        try:
            reply = self._post(endpoint.address, body, headers)
        finally:
            failed = reply if isinstance(reply, Failed) else None
            is_lost = self.endpoints.give_back(endpoint, failed)
        if is_lost and failed:
            server = httpx.URL(endpoint.address).netloc.decode()
            say(f"warning: {server}: {failed.problem}; it is asked no more, the others go on")
        return reply

    def _post(
        self, address: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Answered | Withheld | Failed:
        path = "/chat/completions" if self.chat else "/completions"
        try:
            response = self._client.post(address + path, json=body, headers=headers)
        except httpx.TransportError as error:
            return Failed(type(error).__name__, passing=True)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        reply = read_reply(response.status_code, answer)
        if isinstance(reply, Failed):
            return replace(reply, wait_seconds=asked_wait(response.headers.get("Retry-After")))
        return reply
