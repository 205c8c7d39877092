"""What the routes of a web process share."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from graphql import OperationType

from auth.request import RequestInfo
from auth.viewer import NOBODY, Viewer
from domain.work import Act
from graph.core.context import Context, Services
from graph.request.answer import Answer
from graph.request.deadlines import Deadlines
from graph.request.execution import Executor
from graph.request.preparation import Prepared
from settings import Settings
from web.connections import Connections
from web.metrics import Metrics

# How long a client may read nothing of a stream before it is disconnected; it resumes by its last
# cursor.
SEND_SECONDS: Final = 45.0
# How long a cancelled task is awaited.
_END_SECONDS: Final = 5.0

T = TypeVar("T")

log = logging.getLogger("taskloom.web")


@dataclass(slots=True)
class Runtime:
    """Made with the application; `services` exist from its start to its end."""

    settings: Settings
    executor: Executor
    metrics: Metrics
    connections: Connections
    # Around each message of a stream.
    sending: Deadlines = field(default_factory=lambda: Deadlines(SEND_SECONDS))
    _services: Services | None = None
    # Mutations whose client left run to their end; kept here, since asyncio would drop them.
    _detached: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def started(self) -> bool:
        """Whether the application has started and not ended."""
        return self._services is not None

    @property
    def services(self) -> Services:
        """Raises `RuntimeError` outside the application's lifespan."""
        if self._services is None:
            raise RuntimeError("the application has not been started")
        return self._services

    @services.setter
    def services(self, value: Services | None) -> None:
        self._services = value

    async def change(self, act: Act[T], request: RequestInfo, viewer: Viewer = NOBODY) -> T:
        """What `act` returns, committed in a transaction: for routes other than GraphQL."""
        services = self.services
        now = services.clock()
        try:
            return await services.transactions.run(act, viewer, now=now, request=request)
        finally:
            if services.database.replica is not None:
                await services.database.replica.wrote(_author(viewer, request))

    async def execute(self, prepared: Prepared, context: Context) -> Answer:
        """Run a query or a mutation to its end (`Executor.execute`): a query on the read replica,
        if there is one that has all changes of its viewer.
        """
        replica = self.services.database.replica
        if replica is None or prepared.cost_only:
            return await self.executor.execute(prepared, context)
        author = _author(context.viewer, context.request)
        if prepared.kind is OperationType.MUTATION:
            try:
                return await self.executor.execute(prepared, context)
            finally:
                await replica.wrote(author)
        if await replica.serves({author, _author(NOBODY, context.request)}):
            with replica.used():
                return await self.executor.execute(prepared, context)
        return await self.executor.execute(prepared, context)

    async def finish(self) -> None:
        """End the streams, and wait for mutations that run without their client."""
        connections = self.connections
        connections.stop()
        if self._detached:
            ends = connections.stopping_since + self.settings.server.shutdown_seconds
            left = max(1.0, ends - time.monotonic())
            await asyncio.wait(self._detached, timeout=left)

    async def end(self, *tasks: asyncio.Task[Any]) -> None:
        """Cancel tasks and wait until they end, but not forever, since one may wait for something
        that never ends. Their exceptions are ignored.
        """
        for task in tasks:
            task.cancel()
            task.add_done_callback(_look_away)
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=_END_SECONDS)
            for task in pending:
                log.warning("a cancelled task does not end: %r", task)
                self.detach(task)

    def detach(self, work: Coroutine[Any, Any, None] | asyncio.Task[None]) -> None:
        """Let something continue that nobody waits for."""
        task = work if isinstance(work, asyncio.Task) else asyncio.create_task(work)
        self._detached.add(task)
        task.add_done_callback(self._detached.discard)


def _author(viewer: Viewer, request: RequestInfo) -> str:
    """Whose change it is. One that was made signed out, such as a registration, is of everyone at
    that address.
    """
    return f"user {viewer.user_id}" if viewer.signed_in else f"address {request.ip}"


def _look_away(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
