"""Attempts of a request: how many, which failures are tried again, and the waits between."""

import email.utils
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504})
LONGEST_WAIT = 60.0
LONGEST_ASKED_WAIT = 600.0  # of a server; a longer wait would look like a standstill


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


@dataclass(frozen=True, slots=True)
class Failed:
    """A failure that is no fault of the prompt or text; `passing` if the next attempt may succeed.

    `wait_seconds` is the least wait before it, where the server said one (`asked_wait`).
    """

    problem: str
    passing: bool
    wait_seconds: float = 0.0


def asked_wait(retry_after: str | None) -> float:
    """Seconds to wait by the header `Retry-After`, which has seconds or a date; 0 without any.

    Ten minutes are the most.

    >>> asked_wait("2"), asked_wait("soon"), asked_wait("Wed, 21 Oct 2015 07:28:00 GMT")
    (2.0, 0.0, 0.0)
    >>> asked_wait("86400")
    600.0
    """
    said = (retry_after or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", said):
        return min(LONGEST_ASKED_WAIT, float(said))
    try:
        until = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    return min(LONGEST_ASKED_WAIT, max(0.0, until.timestamp() - time.time()))
