"""Loads a guard by its name."""

import os
from typing import Any
from urllib.parse import urlsplit

from detoxlab.completions import Completions
from detoxlab.scorers.guards.formats import GuardFormat, load_format
from detoxlab.scorers.guards.names import GuardName
from detoxlab.scorers.guards.scorer import GuardScorer
from detoxlab.servers import USUAL_RETRIES, Retries

KEY = "DETOXLAB_GUARD_KEY"


def load_guard(name: str, **options: Any) -> GuardScorer:
    """The guard of that name, in this process (`load_local`) or at a server (`load_remote`).

    `options` are those of the two functions. Raises their errors, and those of `check_guard`.
    """
    guard = GuardName.read(name)
    guard_format = load_format(guard.format)
    load = load_remote if guard.address else load_local
    return load(guard, guard_format, **options)


def load_local(
    guard: GuardName, guard_format: GuardFormat, *, batch_tokens: int = 4096, **loading: Any
) -> GuardScorer:
    """A guard whose weights are on this machine or on the hub; `loading` goes to `load_model`."""
    from detoxlab.models import load_model
    from detoxlab.scorers.guards.local import LocalGuard, rendering

    policies = guard.chosen(guard_format)
    loading = {"rendering": rendering(guard_format, policies[0]), **loading}
    lm = load_model(guard.model, **{"revision": guard.revision, **loading})
    dtype = str(lm.dtype).removeprefix("torch.")
    return GuardScorer(
        LocalGuard(lm, guard_format, policies, batch_tokens=batch_tokens),
        guard_format,
        policies,
        model=lm.id + (f"[{dtype}]" if dtype != "float32" else ""),
    )


def load_remote(
    guard: GuardName,
    guard_format: GuardFormat,
    *,
    api_key_env: str | None = None,
    concurrency: int = 8,
    timeout_seconds: float = 120.0,
    retries: Retries = USUAL_RETRIES,
    transport: Any = None,
) -> GuardScorer:
    """A guard at a server, which is asked once whether it gives log-probabilities.

    The key is in the environment variable `api_key_env`, by default `DETOXLAB_GUARD_KEY` where that
    is set. The id has the server's host, and "verdict" where a score is the word that was written.
    """
    from detoxlab.scorers.guards.remote import RemoteGuard

    address = str(guard.address)
    server = Completions(
        address,
        guard.model,
        chat=guard_format.prompt is None,
        api_key_env=api_key_env or (KEY if os.environ.get(KEY) else None),
        timeout_seconds=timeout_seconds,
        retries=retries,
        transport=transport,
    )
    policies = guard.chosen(guard_format)
    asked = RemoteGuard(server, guard_format, policies, concurrency=concurrency)
    mark = "" if asked.gives_probabilities else "[verdict]"
    model = f"{guard.model}@{urlsplit(address).netloc}{mark}"
    return GuardScorer(asked, guard_format, policies, model=model)
