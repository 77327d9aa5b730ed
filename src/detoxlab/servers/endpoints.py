"""The endpoints that serve one model, and the choice among them for each request."""

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from detoxlab.servers.attempts import LONGEST_WAIT, USUAL_RETRIES, Failed, Retries


@dataclass(eq=False)
class Endpoint:
    """One address, the requests that it works on, and its failures since its last answer."""

    address: str
    running: int = 0
    failures: int = 0
    rests_until: float = 0.0
    in_service: bool = True


class Endpoints:
    """Chooses an endpoint for each request; threads share it.

    The least busy one is taken, with at most `concurrency` requests at once (None: any number).
    After a failure an endpoint rests, twice as long each time, and others are taken while it does.
    It is asked again after that, so that a server which was started anew gets work again.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        concurrency: int | None = None,
        retries: Retries = USUAL_RETRIES,
    ) -> None:
        self.all = tuple(Endpoint(address) for address in addresses)
        self.concurrency = concurrency
        self.retries = retries
        self._changed = threading.Condition()

    @property
    def places(self) -> int | None:
        """The requests that all endpoints together work on at once; None: any number."""
        return self.concurrency and self.concurrency * len(self.all)

    def take(self, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """An endpoint for one request, which `give_back` must follow; waits for a free place.

        `tried` failed at this request a moment ago. None means that no other endpoint is ready.
        An endpoint that rests is taken only where all do and none was tried.

        >>> endpoints = Endpoints(["http://a/v1", "http://b/v1"])
        >>> first, second = endpoints.take(), endpoints.take()
        >>> first.address, second.address
        ('http://a/v1', 'http://b/v1')
        """
        with self._changed:
            while True:
                left = [one for one in self.all if one.in_service and one not in tried]
                ready = [one for one in left if one.rests_until <= time.monotonic()]
                if left and not ready and not tried:
                    ready = [min(left, key=lambda one: one.rests_until)]
                if not ready:
                    return None
                least = min(ready, key=lambda one: one.running)
                if self.concurrency is None or least.running < self.concurrency:
                    least.running += 1
                    return least
                self._changed.wait()

    def give_back(self, endpoint: Endpoint, failed: Failed | None) -> bool:
        """End a request; whether its failure puts the endpoint out of service.

        None as `failed` means that the request was answered. A failure that does not pass puts the
        endpoint out of service, unless it is the last one.
        """
        with self._changed:
            endpoint.running -= 1
            serving = [one for one in self.all if one.in_service]
            is_lost = failed is not None and not failed.passing and serving != [endpoint]
            is_news = is_lost and endpoint.in_service
            if failed is None:
                endpoint.failures, endpoint.rests_until = 0, 0.0
            elif is_lost:
                endpoint.in_service = False
            elif endpoint.rests_until <= time.monotonic():  # else a failure of the same moment
                endpoint.failures += 1
                rest = self.retries.first_wait_seconds * 2.0 ** min(endpoint.failures - 1, 16)
                rest = max(min(rest, LONGEST_WAIT), failed.wait_seconds)
                endpoint.rests_until = time.monotonic() + rest
            self._changed.notify_all()
            return is_news
