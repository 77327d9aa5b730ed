"""The meaning of a service's answer about one text: scores, none for this text, or a failure."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from detoxlab.servers import Failed

CODE = re.compile(r"[A-Za-z][\w.-]{1,63}")


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores (A,) of a text; NaN where the service does not know this attribute."""

    scores_A: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Unscored:
    """The service has no score for this text, for a reason that lies in the text."""

    reason: str


Reading: TypeAlias = Scored | Unscored | Failed


class Dialect(Protocol):
    """The requests and answers of a service."""

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def attributes(self) -> tuple[str, ...]: ...

    def headers(self, key: str) -> dict[str, str]:
        """The header that carries the key, which no address and no body does."""
        ...

    def body(self, text: str) -> dict[str, Any]:
        """The request about a text."""
        ...

    def read(self, status: int, answer: Any, headers: Mapping[str, str]) -> Reading:
        """The meaning of an answer's status, JSON and headers."""
        ...


def probability(value: Any) -> float | None:
    """A number in [0, 1]; None for anything else.

    >>> probability(1), probability(0.5), probability(True), probability(float("nan"))
    (1.0, 0.5, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= 1 else None


def refused(status: int, *names: Any) -> Failed:
    """A status that another attempt would get again, with the first of the server's names for it.

    Names are words such as PERMISSION_DENIED; a message, which may quote texts, is none.

    >>> refused(403, None, "a message", "PERMISSION_DENIED").problem
    'status 403 (PERMISSION_DENIED)'
    """
    code = next((one for one in names if isinstance(one, str) and CODE.fullmatch(one)), None)
    return Failed(f"status {status}" + (f" ({code})" if code else ""), passing=False)


def at(value: Any, *keys: str) -> Any:
    """The value under nested keys; None where anything else than a mapping is on the way.

    >>> at({"error": {"status": "X"}}, "error", "status"), at({"error": []}, "error", "status")
    ('X', None)
    """
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
