"""Sends traces by OTLP over HTTP, with OpenTelemetry's SDK.

Imported only if the settings name a receiver. The SDK sends in a thread of its own, from a queue
with a bound: if the receiver hangs or is away, spans are lost and requests do not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final, Literal
from uuid import uuid4

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from settings import TelemetrySettings, version
from telemetry import spans
from telemetry.spans import Attributes, Kind

Part = Literal["web", "worker"]

log = logging.getLogger("taskloom.telemetry")

# At the end, what was not sent is sent within this time or lost.
CLOSE_SECONDS: Final = 1.5
_QUIET_SECONDS: Final = 60.0
_KINDS: Final = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
}
_EMPTY: Final = Context()
_PROPAGATOR: Final = TraceContextTextMapPropagator()


@contextlib.asynccontextmanager
async def tracing(settings: TelemetrySettings, part: Part) -> AsyncIterator[None]:
    """Make and send spans during the block, and send the last ones at its end."""
    prepare(settings)
    ids = _Ids()
    provider = TracerProvider(
        sampler=_sampler(settings),
        resource=resource(settings, part),
        shutdown_on_exit=False,
        id_generator=ids,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    spans.install(_Tracer(provider, ids, _bound(settings)))
    try:
        yield
    finally:
        spans.install(None)
        await in_thread(provider.shutdown, CLOSE_SECONDS)


class _Tracer:
    """See `telemetry.spans.Tracer`."""

    def __init__(self, provider: TracerProvider, ids: _Ids, bound: int) -> None:
        self._tracer = provider.get_tracer("taskloom", version())
        self._ids = ids
        self._bound = bound

    def chooses(self) -> bool:
        """Decide by the ID of the next trace, as the SDK's sampler does. With the SDK, a request
        that is not recorded would cost 30 µs.
        """
        low = random.getrandbits(64)
        if low >= self._bound:
            return False
        self._ids.chosen = random.getrandbits(64) << 64 | low
        return True

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: str | None,
        attributes: Attributes,
        links: Iterable[str],
    ) -> Span:
        """The first span of a process in a trace."""
        context = _EMPTY
        if parent is not None:
            context = _PROPAGATOR.extract({"traceparent": parent}, _EMPTY)
        return self._tracer.start_span(
            name,
            context,
            _KINDS[kind],
            attributes,
            [Link(one) for one in map(_context_of, links) if one.is_valid],
        )

    def below(
        self, parent: Any, name: str, kind: Kind, attributes: Attributes, start: int | None = None
    ) -> Span:
        """A child."""
        context = set_span_in_context(parent, _EMPTY)
        return self._tracer.start_span(name, context, _KINDS[kind], attributes, start_time=start)

    def fail(self, span: Any, reason: str) -> None:
        """Mark a span as failed."""
        span.set_attribute("error.type", reason)
        span.set_status(Status(StatusCode.ERROR))

    def traceparent(self, span: Any) -> str | None:
        """The header by which others continue the trace."""
        context = span.get_span_context()
        if not context.is_valid:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


class _Ids(RandomIdGenerator):
    """Gives a trace the ID by which it was chosen."""

    chosen: int | None = None

    def generate_trace_id(self) -> int:
        """The chosen one, once."""
        chosen, self.chosen = self.chosen, None
        return chosen or super().generate_trace_id()


def _bound(settings: TelemetrySettings) -> int:
    """The traces whose last 64 bits are below it are recorded, if no caller decides."""
    if settings.sampler.endswith("always_on"):
        return TraceIdRatioBased.get_bound_for_rate(1)
    if settings.sampler.endswith("always_off"):
        return 0
    return TraceIdRatioBased.get_bound_for_rate(settings.sampler_arg)


def _context_of(traceparent: str) -> SpanContext:
    context = _PROPAGATOR.extract({"traceparent": traceparent}, _EMPTY)
    return get_current_span(context).get_span_context()


def _sampler(settings: TelemetrySettings) -> Sampler:
    match settings.sampler:
        case "always_on":
            return ALWAYS_ON
        case "always_off":
            return ALWAYS_OFF
        case "parentbased_always_on":
            return DEFAULT_ON
        case "parentbased_always_off":
            return DEFAULT_OFF
        case "traceidratio":
            return TraceIdRatioBased(settings.sampler_arg)
        case "parentbased_traceidratio":
            return ParentBasedTraceIdRatio(settings.sampler_arg)


def resource(settings: TelemetrySettings, part: Part) -> Resource:
    """What the spans and metrics of this process are of."""
    return Resource.create(
        {
            "service.name": settings.service_name,
            "service.version": version(),
            "service.instance.id": str(uuid4()),
            "process.pid": os.getpid(),
            "taskloom.part": part,
        }
    )


def prepare(settings: TelemetrySettings) -> None:
    """Before the SDK is used: it reads settings from the environment, and ours may be in a file.
    Its own messages go through a `_Quiet` handler.
    """
    for name, value in settings.environment().items():
        os.environ.setdefault(name, value)
    logger = logging.getLogger("opentelemetry")
    if not any(isinstance(handler, _Quiet) for handler in logger.handlers):
        logger.addHandler(_Quiet(logging.WARNING))
        logger.propagate = False


class _Quiet(logging.Handler):
    """Passes one warning a minute on, and no address: that may contain a token."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._said_at = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        """Pass it on, or drop it."""
        now = time.monotonic()
        if now - self._said_at < _QUIET_SECONDS:
            return
        self._said_at = now
        args = record.args if isinstance(record.args, tuple) else ()
        words = {type(one).__name__ if isinstance(one, Exception) else "" for one in args}
        codes = {str(one) for one in args if isinstance(one, int)}
        reason = ", ".join(sorted(filter(None, words | codes))) or record.levelname.lower()
        log.warning(
            "OpenTelemetry data may be lost (%s: %s); at most one such line a minute",
            record.name.removeprefix("opentelemetry."),
            reason,
        )


async def in_thread(work: Callable[[], object], seconds: float) -> None:
    """Run something that may hang, and leave it alone after this time: the thread does not keep the
    process alive.
    """
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - nothing depends on it
            log.warning("OpenTelemetry data may be lost (%s)", type(error).__name__)
        # Nobody waits any longer if the loop is closed.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="telemetry", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await done.wait()
