"""Spans of traces, as the rest of the code makes them.

Nothing here imports OpenTelemetry: `telemetry.export` installs a `Tracer` if traces are exported.
Without one, no span exists and every function returns at once.

    with spans.continued("POST /graphql", "server", traceparent):   # a new trace, or one continued
        with spans.span("query Board", "internal") as span:         # below the current span
            ...

A span contains nothing that users wrote except the names of operations: no variables, no literals,
no document, no addresses, and of an error its class and code only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Literal, Protocol

Kind = Literal["internal", "server", "client", "consumer"]
Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """What is used of OpenTelemetry's spans."""

    def is_recording(self) -> bool:
        """Whether it is sampled and has not ended."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute."""

    def update_name(self, name: str) -> None:
        """Change the name."""

    def end(self, end_time: int | None = None) -> None:
        """End it, at a time in nanoseconds or now."""


class Tracer(Protocol):
    """Makes spans; see `telemetry.export`."""

    def chooses(self) -> bool:
        """Whether the trace that begins next is recorded."""

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: str | None,
        attributes: Attributes,
        links: Iterable[str],
    ) -> Span:
        """The first span of a process in a trace: that of `parent` (a traceparent), or the one that
        was chosen.
        """

    def below(
        self, parent: Any, name: str, kind: Kind, attributes: Attributes, start: int | None = None
    ) -> Span:
        """A child."""

    def fail(self, span: Any, reason: str) -> None:
        """Mark a span as failed, by the class or code of the error."""

    def traceparent(self, span: Any) -> str | None:
        """The header by which others continue the trace."""


# The process's; None if traces are not exported.
_tracer: Tracer | None = None
_current: ContextVar[Span | None] = ContextVar("span", default=None)


def install(tracer: Tracer | None) -> None:
    """Make spans with this tracer from now on; with None, none are made."""
    global _tracer  # noqa: PLW0603 - one per process, as the settings are
    _tracer = tracer


def enabled() -> bool:
    """Whether traces are exported."""
    return _tracer is not None


def current() -> Span | None:
    """The span that is recorded now, if one is."""
    span = _current.get()
    return span if span is not None and span.is_recording() else None


def traceparent() -> str | None:
    """The `traceparent` by which others continue the current trace, sampled or not."""
    span = _current.get()
    return None if span is None or _tracer is None else _tracer.traceparent(span)


def trace_id() -> str | None:
    """The ID of the trace that is recorded now."""
    header = None if current() is None else traceparent()
    return None if header is None else header.split("-")[1]


@contextlib.contextmanager
def continued(
    name: str,
    kind: Kind,
    parent: str | None = None,
    attributes: Attributes | None = None,
    links: Iterable[str] = (),
) -> Iterator[Span | None]:
    """Where a trace enters this process: continue that of `parent`, or begin one, if the sampler
    chooses so. The span is None if it is not recorded.
    """
    if not chosen(parent):
        token = _current.set(None)
        try:
            yield None
        finally:
            _current.reset(token)
        return
    with begun(name, kind, parent, attributes, links) as span:
        yield span


def chosen(parent: str | None) -> bool:
    """Whether there is a trace: that of `parent`, recorded or not, or one that the sampler chooses,
    which `begun` then begins.
    """
    return _tracer is not None and (parent is not None or _tracer.chooses())


@contextlib.contextmanager
def begun(
    name: str,
    kind: Kind,
    parent: str | None,
    attributes: Attributes | None = None,
    links: Iterable[str] = (),
) -> Iterator[Span | None]:
    """The first span of a trace that is `chosen`."""
    assert _tracer is not None
    span = _tracer.begin(name, kind, parent, attributes or {}, links)
    with _within(span, _tracer):
        yield span if span.is_recording() else None


@contextlib.contextmanager
def span(name: str, kind: Kind, attributes: Attributes | None = None) -> Iterator[Span | None]:
    """A span below the current one, if that is recorded."""
    parent = current()
    if _tracer is None or parent is None:
        yield None
        return
    made = _tracer.below(parent, name, kind, attributes or {})
    with _within(made, _tracer):
        yield made


@contextlib.contextmanager
def _within(span: Span, tracer: Tracer) -> Iterator[None]:
    token = _current.set(span)
    try:
        yield
    except BaseException as error:
        if span.is_recording():
            tracer.fail(span, type(error).__name__)
        raise
    finally:
        _current.reset(token)
        if span.is_recording():
            span.end()


def record(
    name: str, kind: Kind, attributes: Attributes, *, start: int, error: str | None = None
) -> None:
    """Add a span that ends now below the current one; it began at `start` (`time.time_ns`)."""
    parent = current()
    if _tracer is None or parent is None:
        return
    made = _tracer.below(parent, name, kind, attributes, start)
    if error is not None:
        _tracer.fail(made, error)
    made.end()


def fail(reason: str) -> None:
    """Mark the current span as failed, by the class or code of the error."""
    now = current()
    if _tracer is not None and now is not None:
        _tracer.fail(now, reason)


def finish() -> None:
    """End the current span now: what else happens in its block is not part of it."""
    now = current()
    if now is not None:
        now.end()
