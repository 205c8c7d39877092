"""Starts what sends traces and metrics, if the settings ask for it.

OpenTelemetry is imported here and only then: it takes a fifth of a second.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from settings import TelemetrySettings

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from telemetry.export import Part


@contextlib.asynccontextmanager
async def traces(settings: TelemetrySettings, part: Part) -> AsyncIterator[None]:
    """Record and send traces during the block."""
    if not settings.traces:
        yield
        return
    from telemetry.export import tracing

    async with tracing(settings, part):
        yield


@contextlib.asynccontextmanager
async def metrics(
    settings: TelemetrySettings, part: Part, collect: Callable[[], Awaitable[Iterable[Metric]]]
) -> AsyncIterator[None]:
    """Send metrics during the block."""
    if not settings.metrics:
        yield
        return
    from telemetry.metrics import metrics_sent

    async with metrics_sent(settings, part, collect):
        yield
