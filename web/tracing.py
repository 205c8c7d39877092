"""Spans of what clients ask for: of each HTTP request, and of each operation over a WebSocket.

A span of a request has the method, the route and the status; no address, which may contain a token,
and nothing about the client. The trace's ID is in each line that is logged meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Iterator, Mapping
from typing import Any, Final

import structlog
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telemetry import spans
from web.graphql import PATH
from web.requests import header

_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"})


class TracedRequests:
    """Wraps the application if traces are exported. Continues the trace of a request's
    `traceparent`. `router`: of the routes beside GraphQL.
    """

    def __init__(self, app: ASGIApp, router: Router) -> None:
        self._app = app
        self._router = router

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """WebSockets pass, and so do requests without a trace: nothing is made for them."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        parent = header(scope, b"traceparent")
        if not spans.chosen(parent):
            return self._app(scope, receive, send)
        return self._trace(parent, scope, receive, send)

    async def _trace(self, parent: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        with _logged(method, parent, {"http.request.method": method}) as span:
            if span is None:
                await self._app(scope, receive, send)
                return

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start" and span.is_recording():
                    self._note(span, scope, method, message["status"])
                await send(message)

            await self._app(scope, receive, noting)

    def _note(self, span: spans.Span, scope: Scope, method: str, status: int) -> None:
        route = self._route(scope)
        if route is not None:
            span.set_attribute("http.route", route)
            span.update_name(f"{method} {route}")
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            spans.fail(str(status))

    def _route(self, scope: Scope) -> str | None:
        """The template of the path, such as `/files/{id}`."""
        if scope["path"] == PATH:
            return PATH
        # Known once the request was routed.
        endpoint = scope.get("endpoint")
        routes = (route for route in self._router.routes if isinstance(route, Route))
        return next((route.path for route in routes if route.endpoint == endpoint), None)


@contextlib.contextmanager
def traced_operation(handshake: str | None, extensions: Mapping[str, Any] | None) -> Iterator[None]:
    """The span of an operation over a WebSocket. A browser cannot send headers with one, so the
    `traceparent` is that of the operation's `extensions`, or else that of the handshake.
    """
    own = (extensions or {}).get("traceparent")
    parent = own if isinstance(own, str) else handshake
    if not spans.chosen(parent):
        yield
        return
    with _logged(f"WS {PATH}", parent, {"http.route": PATH}):
        yield


@contextlib.contextmanager
def _logged(
    name: str, parent: str | None, attributes: spans.Attributes
) -> Iterator[spans.Span | None]:
    with spans.begun(name, "server", parent, attributes) as span:
        if span is None:
            yield None
            return
        bound = structlog.contextvars.bind_contextvars(trace_id=spans.trace_id())
        try:
            yield span
        finally:
            structlog.contextvars.reset_contextvars(**bound)
