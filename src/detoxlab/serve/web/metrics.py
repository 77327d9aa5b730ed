"""Counts and times for Prometheus. No text, key or name that a client chose is among the labels."""

from collections.abc import Callable, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from detoxlab.serve.pool.messages import Scored

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "detoxlab_requests",
            "Requests by endpoint and status.",
            ["endpoint", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "detoxlab_request_seconds",
            "Time from a request's head to its answer.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._refusals = Counter(
            "detoxlab_refusals",
            "Requests and parts of batches without an answer, by reason.",
            ["endpoint", "reason"],
            registry=self.registry,
        )
        self._texts = Counter(
            "detoxlab_texts",
            "Texts and sentences by scorer, and whether they have a score.",
            ["scorer", "outcome"],
            registry=self.registry,
        )
        # Looking a label up takes longer than counting.
        self._count = cache(lambda endpoint, status: self._requests.labels(endpoint, str(status)))
        self._time = cache(self._seconds.labels)
        self._outcome = cache(self._texts.labels)
        self._batches = Histogram(
            "detoxlab_batch_texts",
            "Texts scored at once.",
            buckets=_SIZES,
            registry=self.registry,
        )
        self._batch_seconds = Histogram(
            "detoxlab_batch_seconds",
            "Time that a scoring process takes for a batch.",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def watch(self, name: str, description: str, value: Callable[[], float]) -> None:
        """A gauge whose value is asked for when metrics are."""
        Gauge(f"detoxlab_{name}", description, registry=self.registry).set_function(value)

    def count_request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._count(endpoint, status).inc()
        self._time(endpoint).observe(seconds)

    def count_refusal(self, endpoint: str, reason: str) -> None:
        """Count a request, or a part of a batch, that was answered with an error."""
        self._refusals.labels(endpoint, reason).inc()

    def count_texts(self, scorer_id: str, rows: Sequence[Scored]) -> None:
        """Count texts by whether they were scored."""
        missing = [row.reason.partition(":")[0] for row in rows if row.reason]
        self._outcome(scorer_id, "scored").inc(len(rows) - len(missing))
        for reason in missing:
            self._outcome(scorer_id, reason).inc()

    def count_batch(self, texts: int, seconds: float) -> None:
        """Count a batch."""
        self._batches.observe(texts)
        self._batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self.registry)
