"""The epoch: one life of the log, within which transaction ids mean what they say.

Cursors hold transaction ids, and those belong to one PostgreSQL server at one stretch of its
history. After a dump was restored, a backup played back or another server promoted, the same number
may stand for something else, and a reader that went on with an old cursor would skip events. So the
epoch is kept with a *fingerprint* of where it is valid: the server's own identifier and timeline,
and the object ids of database and table, which a restore gives afresh. Whoever starts compares;
where the fingerprint differs, or the log holds a transaction id that this server has not given out
yet, a new epoch begins and older cursors are answered with `CURSOR_EXPIRED`.

A log that came from a server which was further on would be hidden behind the horizon until this
one catches up. Its events are therefore moved to the beginning of all transactions, in the order of
their positions.
"""

from __future__ import annotations

import logging
from uuid import UUID, uuid4

from sqlalchemy import cast, func, literal, literal_column, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Database
from db.models import Event, LogConsumer, LogEpoch
from db.models.event import Xid8

log = logging.getLogger(__name__)

ROW = 1
"""The key of the one row."""

# PostgreSQL's FrozenTransactionId: older than every transaction that can write an event.
_OLDEST = "2"
_HORIZON = func.pg_snapshot_xmin(func.pg_current_snapshot(), type_=Xid8())


async def ensure_epoch(database: Database) -> UUID:
    """The current epoch; begins a new one where the log came from elsewhere. Call it at start.

    Several processes may call it at once: the row is locked while it is compared.
    """
    async with database.session() as session, session.begin():
        fingerprint = await _fingerprint(session)
        first = insert(LogEpoch).values(id=ROW, epoch=uuid4(), system_identifier=fingerprint)
        await session.execute(first.on_conflict_do_nothing())
        row = await session.get_one(LogEpoch, ROW, with_for_update=True)
        future = await _has_future_ids(session)
        if row.system_identifier != fingerprint or future:
            log.warning("the event log was restored: cursors given out before are void")
            row.epoch = uuid4()
            row.system_identifier = fingerprint
            await _set_consumers_back(session, future=future)
            if future:
                await session.execute(update(Event).values(xid=literal_column(f"'{_OLDEST}'")))
        return row.epoch


async def _set_consumers_back(session: AsyncSession, *, future: bool) -> None:
    """Let consumers of the log go on where they were, by places that mean the same here.

    What a consumer had not acted on is all after its place. Where the ids are about to be
    renumbered in the order of positions, its new place is before the first of these; so some events
    may be acted on again, and none is passed over. Otherwise it is enough that no place lies in the
    future.
    """
    for consumer in await session.scalars(select(LogConsumer).with_for_update()):
        place = tuple_(cast(literal(consumer.xid, Xid8()), Xid8()), literal(consumer.position))
        if future:
            ahead = select(func.min(Event.position)).where(
                tuple_(Event.xid, Event.position) > place
            )
            first = await session.scalar(ahead)
            if first is None:
                first = (await session.scalar(select(func.max(Event.position))) or 0) + 1
            consumer.xid, consumer.position = int(_OLDEST), first - 1
        else:
            horizon = await session.scalar(select(_HORIZON))
            if horizon is not None and consumer.xid > horizon:
                consumer.xid, consumer.position = horizon, 0
    await session.flush()


async def _has_future_ids(session: AsyncSession) -> bool:
    """Whether the log names a transaction that this server has not begun yet."""
    unborn = func.pg_snapshot_xmax(func.pg_current_snapshot())
    found = await session.scalar(select(select(Event).where(Event.xid >= unborn).exists()))
    return bool(found)


async def _fingerprint(session: AsyncSession) -> str:
    places = await session.scalar(
        text(
            "SELECT (SELECT oid FROM pg_database WHERE datname = current_database())"
            " || '/' || 'log_epoch'::regclass::oid"
        )
    )
    permitted = await session.scalar(
        text(
            "SELECT has_function_privilege('pg_control_system()', 'execute')"
            " AND has_function_privilege('pg_control_checkpoint()', 'execute')"
        )
    )
    if not permitted:
        # Some hosts hide these; a move to another server then shows by the object ids.
        return str(places)
    server = await session.scalar(
        text(
            "SELECT system_identifier || '/' || timeline_id"
            " FROM pg_control_system(), pg_control_checkpoint()"
        )
    )
    return f"{server}/{places}"
