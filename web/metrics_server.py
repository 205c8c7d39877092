"""`/metrics` on an address of its own (`TASKLOOM_METRICS_HOST`, `TASKLOOM_METRICS_PORT`)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from web.health import MetricsEndpoint
from web.protocol import http_protocol
from web.runtime import Runtime
from web.serving import listen_for_metrics


class _Server(uvicorn.Server):
    """Leaves the process's signals to the main server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving_metrics(runtime: Runtime) -> AsyncIterator[None]:
    """Serve the metrics of this process during the block, if they have an address of their own.

    Raises `OSError` if the address cannot be bound.
    """
    listener = listen_for_metrics(runtime.settings)
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
