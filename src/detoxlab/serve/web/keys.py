"""API keys: from the environment, compared in constant time, never written anywhere."""

import hashlib
import hmac
import os
from collections.abc import Mapping
from urllib.parse import parse_qs

from detoxlab.errors import ConfigError
from detoxlab.serve.config import KEYS
from detoxlab.serve.wire.refusals import forbidden_key

BEARER = "bearer "


class Keys:
    """The keys that a server takes; without any, it takes every request."""

    def __init__(self, keys: tuple[str, ...] = ()) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def check(self, headers: Mapping[str, str], query: str) -> None:
        """Raises `Refusal` 403 without a valid key in `?key=` or a header."""
        if not self._digests:
            return
        given = key_in(headers, query)
        digest = _digest(given)
        # All are compared, so that the time does not tell which one it was.
        if not sum(hmac.compare_digest(digest, one) for one in self._digests):
            raise forbidden_key(bool(given))


def keys_from(variable: str) -> Keys:
    """The keys in an environment variable, separated by commas.

    Raises `ConfigError` where the variable was chosen and holds none.
    """
    keys = tuple(filter(None, (key.strip() for key in os.environ.get(variable, "").split(","))))
    if not keys and (variable != KEYS or variable in os.environ):
        raise ConfigError(
            f"keys_from: the environment variable {variable} holds no key",
            remedy="Set it to one or more keys, separated by commas.",
        )
    return Keys(keys)


def key_in(headers: Mapping[str, str], query: str) -> str:
    """The key of a request, "" where it has none; headers have names in lower case.

    >>> key_in({}, "alt=json&key=a%2Bb"), key_in({"authorization": "Bearer c"}, "")
    ('a+b', 'c')
    """
    if "key=" in query:
        found = parse_qs(query).get("key", [])
        if found:
            return found[0]
    if key := headers.get("x-goog-api-key", ""):
        return key
    bearer = headers.get("authorization", "")
    return bearer[len(BEARER) :].strip() if bearer.lower().startswith(BEARER) else ""


def _digest(key: str) -> bytes:
    # Of one length, whatever the key's is.
    return hashlib.sha256(key.encode(errors="replace")).digest()
