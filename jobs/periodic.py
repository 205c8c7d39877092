"""Periodic maintenance: emptying the trash, deleting what has expired.

Every worker does it at its start and then each hour. There can be any number of workers: each pass
holds a PostgreSQL advisory lock, and a worker that finds it taken leaves the work to the other. The
work is done in small transactions, since an open one holds the readers of events back, and stops
between two of them when asked to.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import AsyncIterator, Callable
from typing import TypeVar
from uuid import uuid4

from auth.request import RequestInfo
from db.engine import Database
from domain import idempotency, stored_file, trash
from domain.accounts import account_mail, api_key
from domain.accounts import session as sessions
from domain.integrations import webhook_delivery
from domain.time import export
from domain.work import Act, Transactions
from events import months, pruning
from files.store import open_store
from jobs import queue
from settings import Settings

log = logging.getLogger("taskloom.periodic")

EVERY = dt.timedelta(hours=1)
_LOCK = int.from_bytes(b"periodic", "big", signed=True)

T = TypeVar("T")
Clock = Callable[[], dt.datetime]


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def run_forever(
    transactions: Transactions,
    settings: Settings,
    stop: asyncio.Event,
    *,
    clock: Clock = _utc_now,
    every: dt.timedelta = EVERY,
) -> None:
    """Do everything now, and again whenever `every` has passed, until `stop` is set.

    A failure (of the database, say) is logged, and the next pass tries again.
    """
    while not stop.is_set():
        try:
            await run_once(transactions, settings, stop=stop, clock=clock)
        except Exception:
            log.exception("a pass of the periodic maintenance failed")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every.total_seconds()):
                await stop.wait()


async def run_once(
    transactions: Transactions,
    settings: Settings,
    *,
    stop: asyncio.Event | None = None,
    clock: Clock = _utc_now,
) -> bool:
    """One pass over everything. False if another process is doing it.

    If one kind of work fails, the others are done all the same.
    """
    pass_ = _Pass(transactions, settings, stop or asyncio.Event(), clock)
    async with _alone(transactions.database) as mine:
        if mine:
            await pass_.run()
    return mine


@contextlib.asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[bool]:
    """Whether this process has the lock, which it holds until the block ends.

    The lock belongs to a transaction, since a pooler may give each transaction another connection
    of the server. The transaction changes nothing, so it holds no reader of events back. If this
    process dies or the block fails, the connection closes and the lock is released.
    """
    async with database.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK)


class _Pass:
    """One pass; its parts are methods, so that each is logged and can fail by itself."""

    def __init__(
        self, transactions: Transactions, settings: Settings, stop: asyncio.Event, clock: Clock
    ) -> None:
        self.transactions = transactions
        self.settings = settings
        self.stop = stop
        self.clock = clock

    async def run(self) -> None:
        parts = (
            self.trash,
            self.exports,
            # After the trash, so that the files of tasks just deleted go at once.
            self.files,
            self.idempotency_keys,
            self.sessions,
            self.account_codes,
            self.api_keys,
            self.webhook_deliveries,
            self.jobs,
            self.event_months,
            self.events,
        )
        for part in parts:
            if self.stop.is_set():
                return
            try:
                await part()
            except Exception:
                log.exception("the periodic maintenance of %s failed", part.__name__)

    async def trash(self) -> None:
        projects = tasks = 0
        while not self.stop.is_set():
            gone = await self._run(trash.purge)
            if not any(gone):
                break
            projects, tasks = projects + gone.projects, tasks + gone.tasks
        _report("deleted %d projects and %d tasks from the trash", projects, tasks)

    async def exports(self) -> None:
        _report("%d exports expired or were deleted", await self._run(export.sweep))

    async def files(self) -> None:
        store = open_store(self.settings)
        swept = 0
        while not self.stop.is_set() and (found := await stored_file.sweep(self._run, store)):
            swept += found
        _report("removed %d unused files", swept)

    async def idempotency_keys(self) -> None:
        _report("deleted %d idempotency keys", await self._pruned(idempotency.prune))

    async def sessions(self) -> None:
        pruned = await self._pruned(sessions.prune)
        _report("deleted %d ended sessions and expired tokens", pruned)

    async def account_codes(self) -> None:
        _report("deleted %d expired codes of mails", await self._pruned(account_mail.prune))

    async def api_keys(self) -> None:
        ended = await self._run(api_key.end_expired)
        _report("ended what %d expired API keys had made", ended)

    async def webhook_deliveries(self) -> None:
        _report("deleted %d webhook deliveries", await self._pruned(webhook_delivery.prune))

    async def jobs(self) -> None:
        pruned = await queue.prune(self.transactions.database, self.clock())
        _report("deleted %d jobs", pruned)

    async def event_months(self) -> None:
        await months.advance(self.transactions.database)

    async def events(self) -> None:
        pruned = await pruning.prune(self.transactions.database, self.settings.events, self.clock())
        _report("deleted the events of %d months", pruned)

    async def _pruned(self, prune: Act[int]) -> int:
        """How many rows were deleted, some at a time, until there were none or `stop` was set: what
        has piled up while no worker ran takes longer than a statement may.
        """
        pruned = 0
        while not self.stop.is_set() and (found := await self._run(prune)):
            pruned += found
        return pruned

    async def _run(self, act: Act[T]) -> T:
        request = RequestInfo(id=f"periodic-{uuid4().hex}")
        return await self.transactions.run(act, now=self.clock(), request=request)


def _report(message: str, *counts: int) -> None:
    """Log what was done, unless it was nothing."""
    log.log(logging.INFO if any(counts) else logging.DEBUG, message, *counts)
