"""What handlers work with: one of each a worker."""

from __future__ import annotations

import datetime as dt
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
from jobs.mail.sender import Sender
from jobs.push.service import Push
from settings import Settings

T = TypeVar("T")
Clock = Callable[[], dt.datetime]

# Serialization failure and deadlock: the same again is likely to succeed.
_AGAIN = frozenset({"40001", "40P01"})
_ATTEMPTS = 3


@dataclass(slots=True)
class Tools:
    """See the module. `wake` says that jobs were enqueued here, which need not wait."""

    settings: Settings
    database: Database
    log: EventLog
    bus: Bus
    clock: Clock
    sender: Sender
    push: Push
    wake: Callable[[], None] = field(default=lambda: None)
    # What single handlers keep from one job to the next, by its type, and how it is closed.
    parts: dict[type, Any] = field(default_factory=dict)
    closing: list[Callable[[], None]] = field(default_factory=list)

    def close(self) -> None:
        """Let go of what was made along the way."""
        for close in self.closing:
            close()

    @asynccontextmanager
    async def work(self, name: str, viewer: Viewer = NOBODY) -> AsyncIterator[Work]:
        """A unit of work of the worker's own; what it records is announced after the commit."""
        request = RequestInfo(id=f"{name}-{uuid4().hex}")
        async with begin(self.database, viewer, now=self.clock(), request=request) as work:
            yield work
        for callback in work.after_commit:
            waiting = callback()
            if waiting is not None:
                await waiting
        if work.recorded:
            await self.bus.announce(
                Announcement(projects=work.touched_projects, users=work.touched_users)
            )
        self.wake()

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
