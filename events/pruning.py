"""Deletes old events, if the operator wants it, without hiding the gap from cursors.

A cursor is rejected if the event after it is older than what is kept for replay. So the newest of
the events to delete stays as a mark: it is the next event for every cursor before it, and is too
old, so the client has to reload. Events are deleted only from the start of the log, in reading
order, so that nothing younger can come before the mark.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, ColumnElement, Row, cast, delete, literal, select, tuple_

from db.engine import Database
from db.models import Event
from db.models.event import Xid8
from settings import EventSettings

# Rows per transaction; readers of events wait for as long as it lasts.
_CHUNK_SIZE = 2_000


async def prune(database: Database, settings: EventSettings, now: dt.datetime) -> int:
    """Delete events older than the operator keeps. Returns how many. Events within the replay
    period always stay, and nothing is deleted unless a retention period is set.
    """
    if settings.retention_days is None:
        return 0
    kept = dt.timedelta(days=max(settings.retention_days, settings.replay_days))
    order = (Event.xid, Event.position)
    async with database.session() as session:
        first_kept = (
            await session.execute(
                select(*order).where(Event.at >= now - kept).order_by(*order).limit(1)
            )
        ).first()
        if first_kept is None:
            return 0
        mark = (
            await session.execute(
                select(*order)
                .where(_before(first_kept))
                .order_by(Event.xid.desc(), Event.position.desc())
                .limit(1)
            )
        ).first()
    if mark is None:
        return 0
    old = select(Event.position).where(_before(mark)).order_by(*order).limit(_CHUNK_SIZE)
    deleted = 0
    while True:
        async with database.session() as session, session.begin():
            gone = await session.scalars(
                delete(Event).where(Event.position.in_(old)).returning(Event.position)
            )
            count = len(gone.all())
        deleted += count
        if count < _CHUNK_SIZE:
            return deleted


def _before(place: Row[int, int]) -> ColumnElement[bool]:
    xid, position = place
    return tuple_(Event.xid, Event.position) < tuple_(
        cast(literal(xid, Xid8()), Xid8()), literal(position, BigInteger())
    )
