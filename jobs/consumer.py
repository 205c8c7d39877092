"""Act on every event of the log exactly once, however often the worker is killed.

A consumer's place in the log is kept in a row. It reads the events after that place and acts on
them with a `Work`, and the place advances in the same transaction: the result and the note that it
was done commit together. The row is locked meanwhile, so one worker at a time is active, and any
other can continue when that one is killed.

An event that cannot be handled must neither block the others nor get lost. When a batch fails, its
events are handled one by one, and one that fails becomes a job: the queue retries it and finally
holds it, with the reason. So a consumer's `act` must be idempotent for a single event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.faults import DatabaseFault, database_fault
from db.models import LogConsumer
from domain.work import Work
from events.bus import EVENTS
from events.cursor import Place
from jobs.handlers import handler, nothing_to_end
from jobs.outcomes import GiveUp
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext

log = logging.getLogger("taskloom.jobs")

BATCH = 100
"""Events in one transaction, which holds readers of the log back for as long as it lasts."""

_POLL_SECONDS = 1.0
_REST_SECONDS = 2.0
EVENT_JOB = "log.event"

Act = Callable[[WorkerContext, Work, Sequence[Any]], Awaitable[None]]
"""What is done about events (rows as `events.log` gives them, in order), in one transaction."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """A name, under which the place is kept, and what the consumer does."""

    name: str
    act: Act


CONSUMERS: dict[str, Consumer] = {}


def consumer(name: str) -> Callable[[Act], Act]:
    """Register a consumer. It starts with events logged after its first start, unless a migration
    stored its place before.
    """

    def register(act: Act) -> Act:
        if name in CONSUMERS:
            raise ValueError(f"there are two consumers called {name}")
        CONSUMERS[name] = Consumer(name, act)
        return act

    return register


async def follow(context: WorkerContext, wanted: Consumer, stop: asyncio.Event) -> None:
    """Act on events as they arrive, until `stop` is set."""
    woken = asyncio.Event()
    unsubscribe = context.bus.subscribe(EVENTS, lambda _: woken.set())
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            woken.clear()
            pause = _POLL_SECONDS
            try:
                if await advance(context, wanted):
                    continue
            except Exception:
                log.exception("the consumer %s failed", wanted.name)
                pause = _REST_SECONDS
            waking = asyncio.create_task(woken.wait())
            try:
                await asyncio.wait(
                    (waking, stopping), timeout=pause, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                waking.cancel()
    finally:
        unsubscribe()
        stopping.cancel()


async def advance(context: WorkerContext, wanted: Consumer, *, limit: int = BATCH) -> bool:
    """Act on the next events, if any; returns whether more may be ready."""
    place = await _place(context, wanted)
    page = await context.log.read_after(place, limit=limit)
    if not page.rows:
        # The place is not moved: that would write a row each second for nothing.
        return False
    try:
        return await _step(context, wanted, place, page.rows, page.cursor.place) and page.more
    except Exception as error:
        if _is_outage(error):
            raise
        log.exception(
            "the consumer %s failed on a batch; its events are handled one by one", wanted.name
        )
    for row in page.rows:
        end = (row.xid, row.position)
        try:
            went_on = await _step(context, wanted, place, [row], end)
        except Exception as error:
            if _is_outage(error):
                raise
            log.exception("the consumer %s failed on an event, which becomes a job", wanted.name)
            went_on = await _put_aside(context, wanted, place, row, error)
        if not went_on:
            return False
        place = end
    return page.more


async def _step(
    context: WorkerContext, wanted: Consumer, place: Place, rows: Sequence[Any], end: Place
) -> bool:
    """One transaction: act, and advance the place. False if another worker is active."""

    async def act(work: Work) -> bool:
        row = await _locked(work.session, wanted.name)
        if row is None or (row.xid, row.position) != place:
            return False
        await wanted.act(context, work, rows)
        row.xid, row.position = end
        return True

    return await context.do(wanted.name, act)


def _is_outage(error: Exception) -> bool:
    """Whether the database failed, and not the handling of the events: then the batch is retried
    later.
    """
    return database_fault(error) in {DatabaseFault.UNREACHABLE, DatabaseFault.BUSY}


async def _put_aside(
    context: WorkerContext, wanted: Consumer, place: Place, event: Any, error: Exception
) -> bool:
    """Make a job of the event, and advance the place past it. False as for `_step`."""

    async def act(work: Work) -> bool:
        row = await _locked(work.session, wanted.name)
        if row is None or (row.xid, row.position) != place:
            return False
        payload = {
            "consumer": wanted.name,
            "position": event.position,
            "event": event.id,
            "because": f"{type(error).__name__}: {error}",
        }
        await work.enqueue(EVENT_JOB, payload, key=f"{wanted.name}:{event.position}")
        row.xid, row.position = event.xid, event.position
        return True

    return await context.do(wanted.name, act)


@handler(EVENT_JOB, on_given_up=nothing_to_end)
async def act_on_one(context: WorkerContext, job: RunningJob) -> None:
    """Handle an event that failed in its turn."""
    wanted = CONSUMERS.get(job.payload["consumer"])
    if wanted is None:
        raise GiveUp("This consumer no longer exists.")
    row = await context.log.read_at(int(job.payload["position"]))
    if row is None:
        raise GiveUp("The event is no longer in the log.")
    act, rows = wanted.act, [row]

    async def once(work: Work) -> None:
        await act(context, work, rows)

    await context.do(wanted.name, once)


async def _locked(session: AsyncSession, name: str) -> LogConsumer | None:
    """The consumer's row, or None while another worker holds it."""
    found: LogConsumer | None = await session.scalar(
        select(LogConsumer).where(LogConsumer.name == name).with_for_update(skip_locked=True)
    )
    return found


async def _place(context: WorkerContext, wanted: Consumer) -> Place:
    """Where the consumer continues; the end of the log for one that starts for the first time."""
    async with context.database.session() as session:
        row = await session.get(LogConsumer, wanted.name)
    if row is not None:
        return row.xid, row.position
    head = await context.log.head()
    async with context.database.session() as session, session.begin():
        first = LogConsumer(name=wanted.name, xid=head.cursor.xid, position=head.cursor.position)
        await session.merge(first)
    return head.cursor.place
