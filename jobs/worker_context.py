"""What handlers work with; one per worker."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

from auth.request import RequestInfo
from auth.viewer import NOBODY, Viewer
from db.engine import Database
from domain.work import Transactions, Work
from events.bus import Bus
from events.log import EventLog
from jobs import leases
from jobs.bulkheads import Bulkheads
from jobs.mail.sender import Sender
from jobs.outcomes import Later
from jobs.push.service import Push
from settings import Settings
from telemetry import spans

T = TypeVar("T")
Clock = Callable[[], dt.datetime]


@dataclass(slots=True)
class Request:
    """A request to the outside that is under way. `late`: whether the destination hangs; None if
    its duration decides.
    """

    late: bool | None


@dataclass(slots=True)
class WorkerContext:
    """See the module."""

    settings: Settings
    database: Database
    log: EventLog
    bus: Bus
    clock: Clock
    sender: Sender
    push: Push
    # For requests to the outside; with as many slots as the worker has.
    bulkheads: Bulkheads = field(init=False)
    # What handlers keep from one job to the next, by type, and how it is closed.
    parts: dict[type, Any] = field(default_factory=dict)
    closing: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bulkheads = Bulkheads(self.settings.jobs.concurrency)

    @property
    def transactions(self) -> Transactions:
        """Where the worker's changes begin; use `do` within a job."""
        return Transactions(self.database, self.bus)

    def close(self) -> None:
        """Close what was opened on the way."""
        for close in self.closing:
            close()

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
        """Anything that a job does outside of the database: past the bulkheads of its kind and its
        destination, with a renewed lease. See `jobs.bulkheads`.

        `host`: the destination's name for administrators. `timed`: whether the duration says how
        the destination is; otherwise `Request.late` does. `apart` and `by_kind`: as in
        `Bulkheads.enter`. Raises `Later` and `LeaseLost`.
        """
        key = (kind, destination)
        wait = self.bulkheads.enter(key, apart=apart, by_kind=by_kind)
        if wait is not None:
            raise Later(dt.timedelta(seconds=wait), f"{host} is busy or does not answer in time.")
        begun = time.monotonic()
        request = Request(None if timed else False)
        try:
            await leases.hold()
            with spans.span(kind, "client"):
                yield request
        finally:
            self.bulkheads.leave(key, time.monotonic() - begun, late=request.late)

    async def do(
        self, name: str, act: Callable[[Work], Awaitable[T]], viewer: Viewer = NOBODY
    ) -> T:
        """Run a unit of work of the worker's own; see `Transactions.run`.

        Within a job it commits only if the job is still this worker's. Raises `LeaseLost`.
        """

        async def fenced(work: Work) -> T:
            result = await act(work)
            # Last, so that rows are locked in the same order as elsewhere.
            await leases.fence(work)
            return result

        request = RequestInfo(id=f"{name}-{uuid4().hex}")
        return await self.transactions.run(fenced, viewer, now=self.clock(), request=request)
