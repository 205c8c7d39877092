"""The application, where everything is put together.

`create_app` makes it from settings, without side effects; its lifespan opens the database, the bus
and the live reader, and closes them in reverse order. `/graphql` is handled before any router,
because that path must be short; the rest is FastAPI.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry import Schema
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from auth import access
from auth.authenticator import Authenticator
from db.engine import Database
from db.faults import described
from demo.login import demo_login
from errors import ErrorCode
from events.bus import make_bus
from events.epoch import ensure_epoch
from events.live import LiveEvents
from events.log import EventLog
from events.presence import Presence
from files.service import Files
from graph.core.context import Services, utc_now
from graph.executor import make_executor
from graph.request.persisted import PersistedDocuments, RegisteredDocuments
from settings import Settings, load_settings, version
from telemetry import start
from web.account import account_routes
from web.base_path import BasePath
from web.board import board_routes, link_routes
from web.connections import Connections
from web.docs import SCHEMA_DOCS, docs_routes
from web.explorer import PATHS as EXPLORER_PATHS
from web.explorer import DemoUser, ExplorerConfig, explorer_routes
from web.exports import export_routes
from web.files import file_routes
from web.graphql import PATH, GraphQLOverHTTP
from web.health import Figures, health_routes
from web.metrics import Metrics
from web.metrics_server import serving_metrics
from web.middleware import Faults, Gate
from web.oauth import oauth_routes
from web.runtime import Runtime
from web.shutdown import before_shutdown
from web.tracing import TracedRequests
from web.unsubscribe import unsubscribe_routes
from web.websocket import GraphQLOverWebSocket

log = logging.getLogger("taskloom")

ROOT: Final = Path(__file__).resolve().parent
NAME: Final = "Taskloom"

# The young generation holds what most requests allocate, so that answers are freed by reference
# counting and the collector rarely scans them. With 50,000 objects, it held the event loop for
# 25 ms. A full collection comes as rarely as then: it visits all cached documents.
_GC_THRESHOLDS: Final = (10_000, 100, 50)
_SWITCH_SECONDS: Final = 0.001


class Application:
    """The ASGI application. `runtime` is what its routes share; `lifespan` starts and ends it."""

    def __init__(self, runtime: Runtime, api: FastAPI, clock: Callable[[], dt.datetime]) -> None:
        self.runtime = runtime
        self._api = api
        self._routes = list(api.router.routes)
        self._clock = clock
        self._http = GraphQLOverHTTP(runtime)
        self._websocket = GraphQLOverWebSocket(runtime)
        server = runtime.settings.server
        gate: ASGIApp = Gate(Faults(self._route), server, runtime.metrics)
        if runtime.settings.telemetry.traces:
            gate = TracedRequests(gate, api.router)
        if urlsplit(server.public_url).path:
            paths = [PATH, *(route.path for route in self._routes if isinstance(route, Route))]
            gate = BasePath(gate, server.public_url, [*paths, *EXPLORER_PATHS])
        if server.trusted_proxies:
            # Outermost, so that everything inside sees the client and not the proxy.
            gate = ProxyHeadersMiddleware(gate, trusted_hosts=list(server.trusted_proxies))  # type: ignore[arg-type, assignment]  # uvicorn's own names for ASGI's types
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, or the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._gate(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == PATH:
            handler = self._websocket if scope["type"] == "websocket" else self._http
            await handler(scope, receive, send)
        else:
            await self._api(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            lifespan = self.lifespan()
            await lifespan.__aenter__()
        except Exception as error:
            log.exception("the application cannot start")
            # uvicorn logs it.
            why = described(error, messages=not self.runtime.settings.server.production)
            await send({"type": "lifespan.startup.failed", "message": why})
            return
        with before_shutdown(self.runtime.connections.stop):
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await lifespan.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[Services]:
        """Open what the process needs, and close it in reverse order.

        Raises `RuntimeError` if the application has been started already.
        """
        runtime, settings = self.runtime, self.runtime.settings
        if runtime.started:
            raise RuntimeError("the application has been started already")
        async with contextlib.AsyncExitStack() as stack:
            # Before the connections are opened, which record their statements.
            await stack.enter_async_context(start.traces(settings.telemetry, "web"))
            database = await Database.connect(settings.database, shared=settings.redis)
            stack.push_async_callback(database.close)
            runtime.executor.preparation.registered = RegisteredDocuments(database.reader)
            stack.push_async_callback(runtime.executor.preparation.persisted.close)
            await ensure_epoch(database)
            bus = make_bus(settings.redis)
            await bus.start()
            stack.push_async_callback(bus.close)
            files = Files(settings)
            stack.callback(files.close)
            authenticator = Authenticator(settings, database, bus, self._clock)
            stack.callback(authenticator.close)
            event_log = EventLog(
                database.reader,
                access.read_by,
                replay=dt.timedelta(days=settings.events.replay_days),
            )
            live = LiveEvents(event_log, bus, self._clock)
            await live.start()
            stack.push_async_callback(live.close)
            presence = Presence(event_log, bus, settings.redis, self._clock)
            await presence.start()
            stack.push_async_callback(presence.close)
            runtime.services = Services(
                settings=settings,
                database=database,
                authenticator=authenticator,
                bus=bus,
                live=live,
                presence=presence,
                files=files,
                clock=self._clock,
            )
            stack.push_async_callback(runtime.services.limits.close)
            watch = asyncio.create_task(runtime.connections.watch(authenticator))
            stack.push_async_callback(_cancelled, watch)
            stack.push_async_callback(runtime.finish)
            await stack.enter_async_context(serving_metrics(runtime))
            await self._explore(database)
            _tune_interpreter()
            collect = Figures(runtime).families
            try:
                async with start.metrics(settings.telemetry, "web", collect):
                    yield runtime.services
            finally:
                runtime.services = None

    async def _explore(self, database: Database) -> None:
        """Serve the explorer; in development it offers the demo user, if there is one."""
        server = self.runtime.settings.server
        login = None if server.production else await demo_login(database)
        config = ExplorerConfig(
            name=NAME,
            version=version(),
            environment=server.env,
            points=self.runtime.settings.limits.cost_operation,
            demo=None if login is None else DemoUser(*login),
            endpoint=PATH.removeprefix("/"),
        )
        explorer = explorer_routes(
            dist=ROOT / "explorer" / "dist",
            config=config,
            address=server.public_url,
            enabled=self.runtime.settings.introspection != "off",
        )
        self._api.router.routes[:] = [*self._routes, *explorer]


def create_app(
    settings: Settings | None = None,
    *,
    schema: Schema | None = None,
    clock: Callable[[], dt.datetime] = utc_now,
) -> Application:
    """Make the application. Settings come from the environment unless given; a test can pass
    another schema or clock.
    """
    settings = settings or load_settings()
    if schema is None:
        from graph.schema import schema as schema_of_taskloom

        schema = schema_of_taskloom
    executor = make_executor(
        schema,
        settings,
        suggestions=settings.suggestions,
        introspection=settings.introspection,
        introspection_docs=f"{settings.server.public_url}{SCHEMA_DOCS}",
        registered_only=settings.graphql.documents == "registered",
        persisted=PersistedDocuments(settings.redis),
        explain=not settings.server.production,
    )
    connections = Connections(per_user=settings.limits.connections_per_user)
    runtime = Runtime(settings, executor, Metrics(), connections)
    _gauges(runtime)
    return Application(runtime, _side_routes(runtime), clock)


def _side_routes(runtime: Runtime) -> FastAPI:
    api = FastAPI(
        title=NAME,
        version=version(),
        # A redirect to an address without a slash would be absolute, which proxies get wrong.
        redirect_slashes=False,
        # The API is GraphQL, and the explorer is its documentation.
        openapi_url=None,
        exception_handlers={HTTPException: _http_error},
        # Otherwise Starlette answers uncaught errors, in plain text.
        middleware=[Middleware(Faults)],
    )
    api.router.routes.extend(account_routes(runtime))
    api.router.routes.extend(oauth_routes(runtime))
    api.router.routes.extend(health_routes(runtime, version=version()))
    api.router.routes.extend(unsubscribe_routes(runtime))
    api.router.routes.extend(docs_routes(runtime))
    api.router.routes.extend(file_routes(runtime))
    api.router.routes.extend(export_routes(runtime))
    server = runtime.settings.server
    if server.board:
        dist = ROOT / "clients" / "board" / "dist"
        api.router.routes.extend(board_routes(dist=dist, public_url=server.public_url))
        if server.frontend_url == server.public_url:
            api.router.routes.extend(link_routes())
    return api


_CODES: Final = {
    401: ErrorCode.UNAUTHENTICATED,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.UNAVAILABLE,
}


async def _http_error(request: Request, error: Exception) -> Response:
    """Errors of all routes have the form of GraphQL errors."""
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, ErrorCode.BAD_REQUEST)
    message = {"message": error.detail, "extensions": {"code": code.value}}
    request_id = request.scope["taskloom.request"].id
    body = {"errors": [message], "extensions": {"requestId": request_id}}
    return JSONResponse(body, error.status_code, headers=error.headers)


def _gauges(runtime: Runtime) -> None:
    metrics = runtime.metrics
    metrics.gauge(
        "taskloom_streams", "Open WebSockets and event streams.", lambda: len(runtime.connections)
    )
    metrics.gauge(
        "taskloom_subscriptions",
        "Open subscriptions; a stream may carry several.",
        lambda: (
            runtime.services.live.listeners + runtime.services.presence.listeners
            if runtime.started
            else 0
        ),
    )
    metrics.gauge(
        "taskloom_documents_bytes",
        "Memory that cached documents take, estimated.",
        lambda: runtime.executor.documents.used_bytes,
    )


def _tune_interpreter() -> None:
    # What exists by now lives as long as the process, so the collector need not scan it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    # A thread that reads a document or compiles a statement gives way to the event loop in time.
    sys.setswitchinterval(_SWITCH_SECONDS)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    # Not `await task`: that could not tell its cancellation from our own.
    await asyncio.wait([task])
