"""The metrics of each process for Prometheus.

Labels come from small closed sets; a name chosen by a client never becomes one.
"""

from __future__ import annotations

import datetime as dt
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from db.engine import PoolUse
from domain.admin.job import QueueState
from graph.request.answer import Answer
from web.supervision import State

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Requests(Collector):
    """Counted with every request and delivery: without the library's locks, since one thread
    counts, and without looking labels up.
    """

    def __init__(self) -> None:
        self.statuses: dict[int, int] = defaultdict(int)
        self.deliveries = 0
        self._operations: dict[tuple[str, str, str], int] = defaultdict(int)
        # The number per bucket (the last: longer than all), and the total of seconds.
        self._taken: dict[str, list[int]] = defaultdict(lambda: [0] * (len(_BUCKETS) + 1))
        self._seconds: dict[str, float] = defaultdict(float)

    def operation(self, kind: str, transport: str, outcome: str, seconds: float) -> None:
        """Count one finished operation."""
        self._operations[kind, transport, outcome] += 1
        self._taken[kind][bisect_left(_BUCKETS, seconds)] += 1
        self._seconds[kind] += seconds

    def collect(self) -> Iterator[Metric]:
        """As the library's metric."""
        operations = CounterMetricFamily(
            "taskloom_operations",
            "GraphQL operations by type, transport and outcome: ok, errors, refused.",
            labels=("type", "transport", "outcome"),
        )
        for labels, count in self._operations.items():
            operations.add_metric(labels, count)
        yield operations
        taken = HistogramMetricFamily(
            "taskloom_operation_seconds",
            "Seconds from the last byte of the request to the first byte of the answer.",
            labels=("type",),
        )
        for kind, counts in self._taken.items():
            bounds = [*map(floatToGoString, _BUCKETS), "+Inf"]
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            taken.add_metric([kind], buckets, self._seconds[kind])
        yield taken
        responses = CounterMetricFamily(
            "taskloom_http_responses", "HTTP responses, by status.", labels=("status",)
        )
        for status, count in self.statuses.items():
            responses.add_metric([str(status)], count)
        yield responses
        yield CounterMetricFamily(
            "taskloom_deliveries", "Events delivered to subscriptions.", self.deliveries
        )


class Metrics:
    """One per process, with a registry of its own, so that tests can make several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = _Requests()
        self.registry.register(self._requests)
        self.event_lag = Gauge(
            "taskloom_event_lag_seconds",
            "Seconds that the oldest pending event has waited for a writing transaction to end.",
            registry=self.registry,
        )
        self._jobs = Gauge(
            "taskloom_jobs",
            "Background jobs by state: waiting, running, done (within the last day), failed.",
            ("state",),
            registry=self.registry,
        )
        self._job_wait = Gauge(
            "taskloom_job_wait_seconds",
            "Seconds that the most overdue job has been due; 0 if none is.",
            registry=self.registry,
        )
        self._workers = Gauge(
            "taskloom_workers",
            "Workers seen within the last minute.",
            registry=self.registry,
        )
        self._up = Gauge(
            "taskloom_part_up",
            "Whether a part that the server started is alive: its worker, its database.",
            ("part",),
            registry=self.registry,
        )
        self._restarts = Gauge(
            "taskloom_part_restarts",
            "How often such a part died and was restarted.",
            ("part",),
            registry=self.registry,
        )
        self._circuits = Gauge(
            "taskloom_circuits_open",
            "Destinations with an open circuit (hanging, and left alone for a while), by kind; "
            "each worker counts its own.",
            ("kind",),
            registry=self.registry,
        )
        self._connections = Gauge(
            "taskloom_database_connections",
            "Connections of this process that are in use, by pool.",
            ("pool",),
            registry=self.registry,
        )
        self._connections_max = Gauge(
            "taskloom_database_connections_max",
            "Connections that this process may have, by pool.",
            ("pool",),
            registry=self.registry,
        )

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """A number that is read when the metrics are scraped."""
        Gauge(name, description, registry=self.registry).set_function(read)

    def queue(self, state: QueueState, now: dt.datetime) -> None:
        """The state of the job queue; the same in all processes."""
        for name in ("waiting", "running", "done", "failed"):
            self._jobs.labels(name).set(getattr(state, name))
        due = state.oldest_due
        self._job_wait.set(0 if due is None else (now - due).total_seconds())
        self._workers.set(state.workers)

    def parts(self, states: Mapping[str, State]) -> None:
        """The parts that the server started."""
        for name, (alive, restarts) in states.items():
            self._up.labels(name).set(alive)
            self._restarts.labels(name).set(restarts)

    def circuits(self, found: Mapping[str, int]) -> None:
        """Destinations with an open circuit at this moment."""
        self._circuits.clear()
        for kind, count in found.items():
            self._circuits.labels(kind).set(count)

    def pool(self, name: str, use: PoolUse) -> None:
        """The state of a pool of database connections."""
        self._connections.labels(name).set(use.in_use)
        self._connections_max.labels(name).set(use.size)

    def operation(self, kind: str, transport: str, answer: Answer, started: float) -> None:
        """Count a finished operation; `started` by `time.perf_counter`."""
        outcome = "refused" if not answer.executed else "errors" if answer.errors else "ok"
        self._requests.operation(kind, transport, outcome, time.perf_counter() - started)

    def delivery(self) -> None:
        """Count an event that is delivered to a subscription."""
        self._requests.deliveries += 1

    def response(self, status: int) -> None:
        """Count an HTTP response."""
        self._requests.statuses[status] += 1

    def render(self) -> bytes:
        """All of it in Prometheus' text format, with what modules count for the whole process
        (memory, garbage collection, the batch engine's fallbacks).
        """
        return generate_latest(self.registry) + generate_latest(REGISTRY)

    def families(self) -> list[Metric]:
        """The same as the library's objects."""
        return [*self.registry.collect(), *REGISTRY.collect()]
