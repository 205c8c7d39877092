"""`/metrics` on an address of its own (`TASKLOOM_METRICS_HOST`, `TASKLOOM_METRICS_PORT`)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from settings import MetricsSettings, Settings
from web.health import MetricsEndpoint
from web.protocol import http_protocol
from web.runtime import Runtime


class _Server(uvicorn.Server):
    """Leaves the process's signals to the main server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(settings: Settings) -> socket.socket | None:
    """Bind the address of the metrics, if they have one of their own; raises `OSError` if that
    fails.
    """
    metrics = settings.metrics
    if metrics.port is None:
        return None
    return _listener(metrics, metrics.port, shared=settings.server.workers > 1)


@contextlib.asynccontextmanager
async def serving_metrics(runtime: Runtime) -> AsyncIterator[None]:
    """Serve the metrics of this process during the block, if they have an address of their own.

    Raises `OSError` if the address cannot be bound.
    """
    listener = listen(runtime.settings)
    if listener is None:
        yield
        return
    app = Starlette(routes=[Route("/metrics", MetricsEndpoint(runtime).answer)])
    with listener:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            http=http_protocol(runtime.settings.limits),
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=5,
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await task


def _listener(settings: MetricsSettings, port: int, *, shared: bool) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            # Each of the server's processes listens; a scrape meets one of them, as on the API's
            # port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((settings.host, port))
    except OSError:
        listener.close()
        raise
    return listener
