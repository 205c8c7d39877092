"""What handlers work with: one of each a worker."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy.exc import DBAPIError

from auth.request import RequestInfo
from auth.viewer import NOBODY, Viewer
from db.engine import Database
from domain.work import Work, begin
from events.bus import Announcement, Bus
from events.log import EventLog
from jobs import leases
from jobs.bulkheads import Bulkheads
from jobs.mail.sender import Sender
from jobs.outcomes import Later
from jobs.push.service import Push
from settings import Settings

T = TypeVar("T")
Clock = Callable[[], dt.datetime]

# Serialization failure and deadlock: the same again is likely to succeed.
_AGAIN = frozenset({"40001", "40P01"})
_ATTEMPTS = 3


@dataclass(slots=True)
class Request:
    """Something that is under way to the outside. `late`: whether the destination hangs; None if
    its time shall tell.
    """

    late: bool | None


@dataclass(slots=True)
class WorkerContext:
    """See the module. `wake` says that jobs were enqueued here, which need not wait."""

    settings: Settings
    database: Database
    log: EventLog
    bus: Bus
    clock: Clock
    sender: Sender
    push: Push
    wake: Callable[[], None] = field(default=lambda: None)
    # Past which requests to the outside go; made with as many places as the worker has.
    bulkheads: Bulkheads = field(init=False)
    # What single handlers keep from one job to the next, by its type, and how it is closed.
    parts: dict[type, Any] = field(default_factory=dict)
    closing: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bulkheads = Bulkheads(self.settings.jobs.concurrency)

    def close(self) -> None:
        """Let go of what was made along the way."""
        for close in self.closing:
            close()

    @asynccontextmanager
    async def work(self, name: str, viewer: Viewer = NOBODY) -> AsyncIterator[Work]:
        """A unit of work of the worker's own; what it records is announced after the commit.

        Within a job it commits only if the job is still this worker's. Raises `LeaseLost`.
        """
        request = RequestInfo(id=f"{name}-{uuid4().hex}")
        async with begin(self.database, viewer, now=self.clock(), request=request) as work:
            yield work
            # Last, so that rows are locked in the order in which others lock them.
            await leases.fence(work.session)
        for callback in work.after_commit:
            waiting = callback()
            if waiting is not None:
                await waiting
        if work.recorded:
            await self.bus.announce(
                Announcement(projects=work.touched_projects, users=work.touched_users)
            )
        self.wake()

    @asynccontextmanager
    async def outside(
        self,
        kind: str,
        destination: str,
        host: str,
        *,
        timed: bool = True,
        apart: bool = False,
        by_kind: bool = False,
    ) -> AsyncIterator[Request]:
        """Whatever a job does outside of the database, past the bulkheads of its kind and of its
        destination, and with its lease renewed. See `jobs.bulkheads`.

        `host`: what administrators know the destination by. `timed`: whether the time that it
        takes says how the destination is; else `Request.late` does. `apart` and
        `by_kind`: as `Bulkheads.enter` takes them. Raises `Later` and `LeaseLost`.
        """
        key = (kind, destination)
        wait = self.bulkheads.enter(key, apart=apart, by_kind=by_kind)
        if wait is not None:
            raise Later(dt.timedelta(seconds=wait), f"{host} is busy or does not answer in time.")
        begun = time.monotonic()
        request = Request(None if timed else False)
        try:
            await leases.hold()
            yield request
        finally:
            self.bulkheads.leave(key, time.monotonic() - begun, late=request.late)

    async def do(
        self, name: str, act: Callable[[Work], Awaitable[T]], viewer: Viewer = NOBODY
    ) -> T:
        """A whole unit of work, done again where it met another one (deadlock)."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self.work(name, viewer) as work:
                    return await act(work)
            except DBAPIError as error:
                state = getattr(error.orig, "sqlstate", None)
                if state not in _AGAIN or attempt == _ATTEMPTS:
                    raise
        raise AssertionError("unreachable")
