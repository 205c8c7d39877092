"""The log's partitions: one for each month.

A position is the month (as 202611) times `SIZE` plus a number, so the range of a partition is known
beforehand, and a position says where its event is. A month begins when the sequence of positions is
set to its start (`advance`). So no clock is asked when an event is written, no event is without a
partition, and no partition has to be split.

Readers go by `(xid, position)`, and transactions that run while a month begins may write to both.
So each month keeps a transaction ID from which on all events are in it or later (`first_xid`). From
a cursor beyond it, only this partition and later ones are read (`first_position`).

`events_first` has the events from before the first month.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import asyncpg
from sqlalchemy import ColumnElement, func, select

from db import row_security
from db.engine import Database
from db.models import EventMonth
from db.pool import Connection

log = logging.getLogger("taskloom.events")

SIZE = 10**12
"""The most positions of a month: 380,000 a second."""

# While a statement waits for a lock of a table, later ones wait behind it.
_LOCK_MILLISECONDS = 300
_TRIES = 10
_PAUSE_SECONDS = 1.0

# Any number that no other program uses on the same database.
_LOCK = int.from_bytes(b"months", "big", signed=True)
_PARTITIONS = """
SELECT relname FROM pg_class JOIN pg_inherits ON inhrelid = oid
WHERE inhparent = 'events'::regclass
"""
_SEQUENCE = "pg_get_serial_sequence('events', 'position')::regclass"

T = TypeVar("T")


class Partition(NamedTuple):
    """A partition; they compare in the order of positions. The first has month 0."""

    month: int
    table: str


def month_of(moment: dt.datetime) -> int:
    """The month of a time in UTC, as 202611."""
    moment = moment.astimezone(dt.UTC)
    return moment.year * 100 + moment.month


def following(month: int) -> int:
    """The next month."""
    return month + 1 if month % 100 < 12 else month + 89


def first_position(xid: ColumnElement[Any]) -> ColumnElement[int]:
    """A position before which there is no event of this transaction or a later one, in SQL."""
    begun = select(func.max(EventMonth.first_position)).where(EventMonth.first_xid <= xid)
    return func.coalesce(begun.scalar_subquery(), 0)


async def partitions(connection: Connection) -> list[Partition]:
    """All partitions, in order."""
    names = [row["relname"] for row in await connection.fetch(_PARTITIONS)]
    months = [name.removeprefix("events_") for name in names]
    return sorted(
        Partition(0 if month == "first" else int(month), name)
        for month, name in zip(months, names, strict=True)
    )


async def current(connection: Connection) -> int:
    """The month of the events that are written now."""
    position: int = await connection.fetchval(f"SELECT pg_sequence_last_value({_SEQUENCE})")
    return position // SIZE


async def advance(database: Database, now: dt.datetime | None = None) -> int:
    """Begin the month, if it is a new one, and prepare the next. Returns the month of new events.

    `now`: by default the time of the database's clock, since those of workers may be wrong. A month
    never ends before another has begun, so whenever and however often this runs, each write finds
    its partition.
    """

    async def prepare(connection: Connection) -> int:
        moment = now or await connection.fetchval("SELECT now()")
        wanted = max(month_of(moment), await current(connection))
        await create(connection, [wanted, following(wanted)])
        return wanted

    async def begin(connection: Connection) -> int:
        wanted = await prepare(connection)
        if wanted > await current(connection):
            # From here on each event gets a position of the new month, whatever becomes of this
            # transaction.
            await connection.execute(f"SELECT setval({_SEQUENCE}, {wanted * SIZE})")
            log.info("the event log begins the partition of %d", wanted)
        unknown = "SELECT first_xid IS NULL FROM event_months WHERE month = $1"
        if await connection.fetchval(unknown, wanted):
            # When the lock is granted, all that got positions of earlier months have ended.
            await connection.execute("LOCK TABLE ONLY events IN SHARE MODE")
            await connection.execute(
                "UPDATE event_months SET first_xid = pg_current_xact_id() WHERE month = $1", wanted
            )
        return wanted

    await _alone(database, prepare)
    return await _alone(database, begin)


async def create(connection: Connection, months: Iterable[int]) -> None:
    """Create the partitions of these months, except those that exist. In a transaction."""
    existing = {partition.month for partition in await partitions(connection)}
    # `events_first` has all positions before the month that was the first.
    oldest = min(existing - {0})
    for month in sorted(set(months)):
        if month < oldest:
            continue
        if month not in existing:
            await _create(connection, month)
        await connection.execute(
            "INSERT INTO event_months (month, first_position) VALUES ($1, $2)"
            " ON CONFLICT DO NOTHING",
            month,
            month * SIZE,
        )


async def _create(connection: Connection, month: int) -> None:
    """Made for itself and then attached, so that neither readers nor writers wait for it."""
    table, start, end = f"events_{month}", month * SIZE, following(month) * SIZE
    await connection.execute(
        f"CREATE TABLE {table} (LIKE events INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING STORAGE)"
    )
    # Of the whole log it could not be unique, since partitions are chosen by the position.
    await connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT uq_{table}_id UNIQUE (id)")
    if await connection.fetchval(row_security.IS_SECURED, "events"):
        await connection.execute(row_security.of_partition(table))
    await connection.execute(
        f"ALTER TABLE events ATTACH PARTITION {table} FOR VALUES FROM ({start}) TO ({end})"
    )


async def drop(database: Database, oldest: Partition) -> None:
    """Drop a partition, and keep until where the log has a gap."""
    table = oldest.table

    async def act(connection: Connection) -> None:
        await connection.execute(
            "UPDATE log_epoch SET pruned_xid = xid, pruned_position = position FROM"  # noqa: S608 - our own name
            f" (SELECT xid, position FROM {table} ORDER BY xid DESC, position DESC LIMIT 1) last"
        )
        await connection.execute("DELETE FROM event_months WHERE month = $1", oldest.month)
        await connection.execute(f"DROP TABLE {table}")

    await _alone(database, act)


async def _alone(database: Database, act: Callable[[Connection], Awaitable[T]]) -> T:
    """Run it in a transaction, one process at a time, and again if a lock is not to be had soon."""
    for attempt in range(_TRIES):
        try:
            async with database.connection() as connection, connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}")
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                return await act(connection)
        except asyncpg.LockNotAvailableError:
            if attempt == _TRIES - 1:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)
    raise AssertionError("unreachable")
