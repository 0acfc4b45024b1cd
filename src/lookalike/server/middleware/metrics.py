"""Prometheus metrics, in a registry for each application."""

from __future__ import annotations

from collections import Counter as Counts
from typing import TYPE_CHECKING, get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from lookalike.schemas.jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from lookalike.server.middleware.body_limits import MemoryBudget
    from lookalike.server.service import Service

CONTENT_TYPE = CONTENT_TYPE_LATEST

# A search takes some milliseconds; the first classification of a large collection takes seconds.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# A label with every method that somebody invents would grow without bounds; so would one with paths.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# A second series for each, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of a service: counted per request, or read from it at a scrape."""

    def __init__(self, service: Service, held: MemoryBudget) -> None:
        """Register the metrics.

        Args:
            service: whose queues are told.
            held: the bytes of its requests.
        """
        self.in_flight = 0
        """Requests that are being answered."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "lookalike_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "lookalike_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._registry.register(_Read(self, service, held))
        ProcessCollector(registry=self._registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            method: of HTTP.
            route: the template of its path, never the path itself.
            status: of its answer.
            seconds: that it took.
        """
        if method not in _METHODS:
            method = "other"
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Read(Collector):
    """Collects at a scrape what the service knows anyway."""

    def __init__(self, metrics: Metrics, service: Service, held: MemoryBudget) -> None:
        self._metrics = metrics
        self._service = service
        self._held = held

    def collect(self) -> Iterator[Metric]:
        service = self._service
        for name, what, value in (
            ("requests_in_flight", "Requests that are being answered.", self._metrics.in_flight),
            (
                "embed_waiting",
                "Pictures and texts that wait to be embedded.",
                service.embedding_queue.waiting,
            ),
            ("held_bytes", "Bytes of requests that are held.", self._held.bytes),
            (
                "damaged_records",
                "Records that were found damaged and are in no answer.",
                len(service.database.damage()),
            ),
        ):
            yield GaugeMetricFamily(f"lookalike_{name}", what, value)
        for name, what, value in (
            ("embed_batches", "Calls of models.", service.embedding_queue.batches),
            ("embedded", "Pictures and texts that models embedded.", service.embedding_queue.embedded),
        ):
            yield CounterMetricFamily(f"lookalike_{name}", what, value)
        work = GaugeMetricFamily("lookalike_work", "What is under way or waits on threads.", labels=["of"])
        for of, pool in (
            ("asking", service.store_pool),
            ("changing", service.write_pool),
            ("drawing", service.image_pool),
            ("drawing_long", service.slow_image_pool),
        ):
            work.add_metric([of], pool.under_way)
        yield work
        jobs = GaugeMetricFamily("lookalike_jobs", "Jobs that are known.", labels=["state"])
        states = Counts(job.state for job in service.jobs.all())
        for state in get_args(JobState):
            jobs.add_metric([state], states[state])
        yield jobs
