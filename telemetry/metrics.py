"""Sends the metrics of this process by OTLP over HTTP: those of `/metrics`, with the same names.

They are counted once, for Prometheus; every minute (`OTEL_METRIC_EXPORT_INTERVAL`) they are
collected and sent in a thread. While the receiver hangs, they are not sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.metrics_core import Metric as Family

from settings import TelemetrySettings, version
from telemetry.export import CLOSE_SECONDS, Part, in_thread, prepare, resource

Collect = Callable[[], Awaitable[Iterable[Family]]]

# In the names of Prometheus the unit comes last; the receiver does not add it a second time.
_UNITS: Final = {"seconds": "s", "bytes": "By"}


@contextlib.asynccontextmanager
async def metrics_sent(
    settings: TelemetrySettings, part: Part, collect: Collect
) -> AsyncIterator[None]:
    """Send what `collect` returns during the block, and at its end."""
    prepare(settings)
    sender = _Sender(settings, part)
    sending = asyncio.create_task(_send_forever(sender, settings.metric_interval / 1000, collect))
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        await sender.finish(await collect())


async def _send_forever(sender: _Sender, seconds: float, collect: Collect) -> None:
    while True:
        await asyncio.sleep(seconds)
        await sender.send(await collect(), seconds)


class _Sender:
    """Converts and sends, one at a time."""

    def __init__(self, settings: TelemetrySettings, part: Part) -> None:
        self._resource = resource(settings, part)
        self._exporter = OTLPMetricExporter()
        self._started = time.time_ns()
        self._busy = False

    async def send(self, families: Iterable[Family], seconds: float) -> None:
        """Send unless the last ones are still being sent."""
        if self._busy:
            return
        self._busy = True
        data = self._converted(families)
        await in_thread(lambda: self._send(data), seconds)

    async def finish(self, families: Iterable[Family]) -> None:
        """Send the last ones."""
        if not self._busy:
            await self.send(families, CLOSE_SECONDS)

    def _send(self, data: MetricsData) -> None:
        try:
            self._exporter.export(data)
        finally:
            self._busy = False

    def _converted(self, families: Iterable[Family]) -> MetricsData:
        now = time.time_ns()
        made = [_metric(family, self._started, now) for family in families]
        scope = ScopeMetrics(
            InstrumentationScope("taskloom", version()), [one for one in made if one], ""
        )
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])


def _metric(family: Family, started: int, now: int) -> Metric | None:
    data: Any
    if family.type == "histogram":
        data = Histogram(_histograms(family, started, now), AggregationTemporality.CUMULATIVE)
    elif family.type == "counter":
        points = _points(family, f"{family.name}_total", started, now)
        data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
    elif family.type == "gauge":
        data = Gauge(_points(family, family.name, started, now))
    else:
        # Of Python itself: a version, as labels.
        return None
    unit = _UNITS.get(family.name.rpartition("_")[2], "")
    return Metric(family.name, family.documentation, unit, data) if data.data_points else None


def _points(family: Family, name: str, started: int, now: int) -> Sequence[NumberDataPoint]:
    return [
        NumberDataPoint(sample.labels, started, now, sample.value)
        for sample in family.samples
        if sample.name == name and math.isfinite(sample.value)
    ]


def _histograms(family: Family, started: int, now: int) -> Sequence[HistogramDataPoint]:
    by_labels: dict[tuple[tuple[str, str], ...], dict[str, float]] = defaultdict(dict)
    for sample in family.samples:
        labels = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        by_labels[labels][sample.labels.get("le", sample.name.removeprefix(family.name))] = (
            sample.value
        )
    points = []
    for labels, found in by_labels.items():
        total = found.pop("_sum", 0.0)
        count = int(found.pop("_count", found.get("+Inf", 0)))
        found.pop("_created", None)
        # Prometheus counts what is at most the bound; OTLP what is between two bounds.
        bounds, upto = zip(*sorted((float(at), int(n)) for at, n in found.items()), strict=True)
        between = [high - low for high, low in zip(upto, [0, *upto], strict=False)]
        points.append(
            HistogramDataPoint(
                dict(labels),
                started,
                now,
                count,
                total,
                between,
                [bound for bound in bounds if math.isfinite(bound)],
                None,  # type: ignore[arg-type]  # not known; the field is optional in OTLP
                None,  # type: ignore[arg-type]  # as above
            )
        )
    return points
