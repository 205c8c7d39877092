"""The epoch: a period in which the log's transaction IDs keep their meaning.

Cursors contain transaction IDs, which belong to one PostgreSQL server and one timeline of its
history. After a dump is restored, a backup replayed or another server promoted, the same number can
mean something else, and a reader with an old cursor would skip events. So the epoch is stored with
a *fingerprint* of where it is valid: the identifier and timeline of the server, and the object IDs
of the database and table, which a restore changes. Every starting process compares it. If the
fingerprint differs, or the log has a transaction ID that this server has not assigned yet, a new
epoch starts and older cursors fail with `CURSOR_EXPIRED`.

A log from a server with higher transaction IDs would be hidden behind the horizon until this server
catches up. So its events are moved before all transactions, in the order of their positions.
"""

from __future__ import annotations

import logging
from uuid import UUID, uuid4

from sqlalchemy import cast, func, literal, literal_column, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Database
from db.models import Event, EventMonth, LogConsumer, LogEpoch
from db.models.event import Xid8

log = logging.getLogger("taskloom.events")

ROW = 1
"""The key of the only row."""

# After a restore, the whole log is written again, and the others wait for that. The limit of idle
# transactions stays: a process that is suspended here must not keep others from starting.
_PATIENT = """
SELECT set_config(name, '0', true) FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'transaction_timeout')
"""
# PostgreSQL's FrozenTransactionId: older than every transaction that can write an event.
_OLDEST = "2"
_HORIZON = func.pg_snapshot_xmin(func.pg_current_snapshot(), type_=Xid8())


async def ensure_epoch(database: Database) -> UUID:
    """The current epoch; starts a new one if the log comes from elsewhere. Call it at start.

    Several processes can call it at the same time: the row is locked for the comparison.
    """
    async with database.session() as session, session.begin():
        await session.execute(text(_PATIENT))
        fingerprint = await _fingerprint(session)
        first = insert(LogEpoch).values(id=ROW, epoch=uuid4(), system_identifier=fingerprint)
        await session.execute(first.on_conflict_do_nothing())
        row = await session.get_one(LogEpoch, ROW, with_for_update=True)
        future = await _has_future_ids(session)
        if row.system_identifier != fingerprint or future:
            log.warning("the event log was restored: earlier cursors are no longer valid")
            row.epoch = uuid4()
            row.system_identifier = fingerprint
            # Transaction IDs of before say nothing about those to come.
            row.pruned_xid = row.pruned_position = None
            await session.execute(update(EventMonth).values(first_xid=None))
            await _set_consumers_back(session, future=future)
            if future:
                await session.execute(update(Event).values(xid=literal_column(f"'{_OLDEST}'")))
        return row.epoch


async def _set_consumers_back(session: AsyncSession, *, future: bool) -> None:
    """Move the places of the log's consumers so that they continue correctly.

    Everything a consumer has not processed is after its place. If the IDs are about to be
    renumbered in the order of positions, its new place is before the first of these events; so some
    events can be processed twice, and none is skipped. Otherwise only places in the future are
    moved.
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
    """Whether the log has a transaction that this server has not started yet."""
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
        # Some hosts hide these functions; the object IDs then reveal a move to another server.
        return str(places)
    server = await session.scalar(
        text(
            "SELECT system_identifier || '/' || timeline_id"
            " FROM pg_control_system(), pg_control_checkpoint()"
        )
    )
    return f"{server}/{places}"
