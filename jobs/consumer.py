"""Act on every event of the log exactly once, however often the worker is killed.

A consumer's place in the log is kept in a row. It reads the events after that place and acts on
them with a `Work`, and the place advances in the same transaction: the result and the note that it
was done commit together. An advisory lock lets one worker at a time be active, and any other can
continue when that one is killed.

Readers of the log wait for every open transaction that has written or locked a row (`events.log`).
An advisory lock does not count for that, and the place is written last: so a step holds readers
back from the first write of `act` to the commit. `act` therefore reads first and then writes, in a
number of statements that does not grow with the events.

An event that cannot be handled must neither block the others nor get lost. When a batch fails, its
events are handled one by one, and one that fails becomes a job: the queue retries it and finally
holds it, with the reason. So a consumer's `act` must be idempotent for a single event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, cast, func, select, tuple_, update

from db.faults import OUTAGES, database_fault
from db.jobs import TRACE
from db.models import LogConsumer
from db.models.event import Xid8
from db.statements import Statement
from domain.work import Work
from events.bus import EVENTS
from events.cursor import Cursor, Place
from jobs.handlers import handler, nothing_to_end
from jobs.outcomes import GiveUp
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext
from telemetry import spans

log = logging.getLogger("taskloom.jobs")

BATCH = 50
"""Events in one transaction, so that writing what follows from them takes some milliseconds."""

_POLL_SECONDS = 1.0
# After an announcement, so that one step acts on all events of a busy moment.
_GATHER_SECONDS = 0.02
# While events wait behind an open transaction, nothing announces that they can be read.
_WAIT_SECONDS = 0.05
_REST_SECONDS = 2.0
EVENT_JOB = "log.event"

Act = Callable[[WorkerContext, Work, Sequence[Any]], Awaitable[None]]
"""What is done about events (rows as `events.log` gives them, in order), in one transaction."""


Wants = Callable[[Any], bool]
Finds = Callable[[WorkerContext, Sequence[Any]], Awaitable[Sequence[Any]]]


async def _all(_context: WorkerContext, events: Sequence[Any]) -> Sequence[Any]:
    return events


@dataclass(frozen=True, slots=True)
class Consumer:
    """A name, under which the place is kept, and what the consumer does.

    `wants`: whether it could act on an event, by the event alone. `finds`: those of the events
    about which there is something to do, by statements that only read, on the primary. Most events
    concern nobody, and a transaction for them would cost several times as much as to find that out.
    """

    name: str
    act: Act
    wants: Wants = field(default=lambda _event: True)
    finds: Finds = _all


CONSUMERS: dict[str, Consumer] = {}


def consumer(
    name: str, wants: Wants = lambda _event: True, finds: Finds = _all
) -> Callable[[Act], Act]:
    """Register a consumer; see `Consumer`. It starts with events logged after its first start,
    unless a migration stored its place before.
    """

    def register(act: Act) -> Act:
        if name in CONSUMERS:
            raise ValueError(f"there are two consumers called {name}")
        CONSUMERS[name] = Consumer(name, act, wants, finds)
        return act

    return register


async def follow(context: WorkerContext, wanted: Consumer, stop: asyncio.Event) -> None:
    """Act on events as they arrive, until `stop` is set."""
    woken = asyncio.Event()
    unsubscribe = context.bus.subscribe(EVENTS, lambda _: woken.set())
    stopping = asyncio.create_task(stop.wait())
    # The place that this worker has stored last; None if another worker may have moved it.
    stored: Cursor | None = None
    try:
        while not stop.is_set():
            woken.clear()
            pause = _POLL_SECONDS
            try:
                following, stored = await _advance(context, wanted, BATCH, stored)
                if following is _Next.READY:
                    continue
                if following is _Next.WAITING:
                    pause = _WAIT_SECONDS
            except Exception:
                stored = None
                log.exception("the consumer %s failed", wanted.name)
                pause = _REST_SECONDS
            waking = asyncio.create_task(woken.wait())
            try:
                await asyncio.wait(
                    (waking, stopping), timeout=pause, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                waking.cancel()
            await asyncio.wait((stopping,), timeout=_GATHER_SECONDS)
    finally:
        unsubscribe()
        stopping.cancel()


async def advance(context: WorkerContext, wanted: Consumer, *, limit: int = BATCH) -> bool:
    """Act on the next events, if any; returns whether more may be ready."""
    following, _ = await _advance(context, wanted, limit, None)
    return following is _Next.READY


class _Next(Enum):
    """What comes after a step: more events, those behind an open transaction, or nothing yet."""

    READY = 1
    WAITING = 2
    NOTHING = 3


async def _advance(
    context: WorkerContext, wanted: Consumer, limit: int, stored: Cursor | None
) -> tuple[_Next, Cursor | None]:
    """One step. `stored` and the second result are the stored place, if it is known: whatever moves
    it makes sure that it was still the same.
    """
    place = await _place(context, wanted) if stored is None else stored.place
    # What comes after a step in vain: another worker is active, or has only moved the place.
    in_vain = (_Next.NOTHING if stored is None else _Next.READY, None)
    page = await context.log.read_after(place, limit=limit)
    if stored is not None and stored.epoch != page.cursor.epoch:
        # The database was restored, and the place with it.
        return _Next.READY, None
    following = _Next.WAITING if page.waiting else _Next.NOTHING
    if page.more:
        following = _Next.READY
    if not page.rows:
        # The place is not moved: that would write a row each second for nothing.
        return following, Cursor(page.cursor.epoch, *place)
    rows: Sequence[Any] = [row for row in page.rows if wanted.wants(row)]
    try:
        if rows:
            rows = await wanted.finds(context, rows)
        went_on = await _step(context, wanted, place, rows, page.cursor.place)
    except Exception as error:
        if _is_outage(error):
            raise
        log.exception(
            "the consumer %s failed on a batch; its events are handled one by one", wanted.name
        )
    else:
        return (following, page.cursor) if went_on else in_vain
    for row in rows:
        end = (row.xid, row.position)
        try:
            went_on = await _step(context, wanted, place, [row], end)
        except Exception as error:
            if _is_outage(error):
                raise
            log.exception("the consumer %s failed on an event, which becomes a job", wanted.name)
            went_on = await _put_aside(context, wanted, place, row, error)
        if not went_on:
            return in_vain
        place = end
    return following, Cursor(page.cursor.epoch, *place)


async def _step(
    context: WorkerContext, wanted: Consumer, place: Place, rows: Sequence[Any], end: Place
) -> bool:
    """Act, and advance the place, in one transaction. False if another worker is active."""
    if not rows:
        return await _move(context.database.single.fetch, wanted, place, end)

    async def act(work: Work) -> None:
        await wanted.act(context, work, rows)

    # Events of several traces, so it is linked to them. What follows from one is in its trace.
    traces = [row.trace for row in rows if row.trace is not None]
    count = {"messaging.batch.message_count": len(rows)}
    with spans.continued(f"consume {wanted.name}", "consumer", None, count, traces):
        return await _alone(context, wanted, place, end, act)


async def _alone(
    context: WorkerContext,
    wanted: Consumer,
    place: Place,
    end: Place,
    act: Callable[[Work], Awaitable[None]],
) -> bool:
    """One transaction: `act`, and advance the place. False, and nothing is done, if another worker
    is active.
    """

    async def alone(work: Work) -> bool:
        (lock,) = await work.fetch(_TRY_LOCK, {"name": wanted.name})
        if not lock.acquired:
            return False
        # Read after the lock: the last holder may have committed in between.
        if await _stored_place(work.fetch, wanted) != place:
            return False
        await act(work)
        if not await _move(work.fetch, wanted, place, end):
            raise _Moved
        return True

    try:
        return await context.do(wanted.name, alone)
    except _Moved:
        return False


class _Moved(Exception):  # noqa: N818 - a state, and nobody's fault
    """The place is another one: another epoch has begun, or another worker has passed events that
    the consumer does not want.
    """


def _is_outage(error: Exception) -> bool:
    """Whether the database failed, and not the handling of the events: then the batch is retried
    later.
    """
    return database_fault(error) in OUTAGES


async def _put_aside(
    context: WorkerContext, wanted: Consumer, place: Place, event: Any, error: Exception
) -> bool:
    """Make a job of the event, and advance the place past it. False as for `_step`."""

    async def act(work: Work) -> None:
        payload = {
            "consumer": wanted.name,
            "position": event.position,
            "event": event.id,
            "because": f"{type(error).__name__}: {error}",
            **({} if event.trace is None else {TRACE: event.trace}),
        }
        await work.enqueue(EVENT_JOB, payload, key=f"{wanted.name}:{event.position}")

    return await _alone(context, wanted, place, (event.xid, event.position), act)


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


async def _place(context: WorkerContext, wanted: Consumer) -> Place:
    """Where the consumer continues; the end of the log for one that starts for the first time."""
    place = await _stored_place(context.database.reader.fetch, wanted)
    if place is not None:
        return place
    head = await context.log.head()
    async with context.database.session() as session, session.begin():
        first = LogConsumer(name=wanted.name, xid=head.cursor.xid, position=head.cursor.position)
        await session.merge(first)
    return head.cursor.place


Fetch = Callable[[Statement, Mapping[str, Any]], Awaitable[list[Any]]]


async def _stored_place(fetch: Fetch, wanted: Consumer) -> Place | None:
    rows = await fetch(_PLACE, {"name": wanted.name})
    return (rows[0].xid, rows[0].position) if rows else None


async def _move(fetch: Fetch, wanted: Consumer, place: Place, end: Place) -> bool:
    """Advance the place, if it is still the same."""
    params = {"name": wanted.name, "xid": place[0], "position": place[1]}
    return bool(await fetch(_MOVE, {**params, "end_xid": end[0], "end_position": end[1]}))


def _statements() -> tuple[Statement, Statement, Statement]:
    name = bindparam("name", type_=Text())
    lock = func.pg_try_advisory_xact_lock(func.hashtextextended(name, _LOCK_SEED))
    mine = LogConsumer.name == name
    place = tuple_(LogConsumer.xid, LogConsumer.position)
    move = (
        update(LogConsumer)
        .where(mine, place == tuple_(_bound("xid", Xid8()), _bound("position", BigInteger())))
        .values(xid=_bound("end_xid", Xid8()), position=_bound("end_position", BigInteger()))
    )
    return (
        Statement(select(lock.label("acquired"))),
        Statement(select(LogConsumer.xid, LogConsumer.position).where(mine)),
        Statement(move.returning(LogConsumer.name)),
    )


def _bound(name: str, type_: Any) -> Any:
    return cast(bindparam(name, type_=type_), type_)


# Apart from the locks of `domain.locks`, which are names with another seed.
_LOCK_SEED = 2
_TRY_LOCK, _PLACE, _MOVE = _statements()
