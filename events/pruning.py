"""Deletes old events, if the operator wants it: whole months, by dropping their partitions.

A month is deleted once its newest event is older than the operator keeps events. The place of the
last deleted event is kept, and cursors before it are rejected (`EventLog.resume`), since the client
would miss events without noticing.
"""

from __future__ import annotations

import datetime as dt

from db.engine import Database
from events import months
from settings import EventSettings


async def prune(database: Database, settings: EventSettings, now: dt.datetime) -> int:
    """Delete the months all of whose events are older than the operator keeps. Returns how many
    months. Events within the replay period always stay, and nothing is deleted unless a retention
    period is set.
    """
    if settings.retention_days is None:
        return 0
    limit = now - dt.timedelta(days=max(settings.retention_days, settings.replay_days))
    async with database.connection() as connection:
        this_month = await months.current(connection)
        ended = [one for one in await months.partitions(connection) if one.month < this_month]
    deleted = 0
    for partition in ended:
        async with database.connection() as connection:
            newest = await connection.fetchval(f"SELECT max(at) FROM {partition.table}")  # noqa: S608 - our own name
        if newest is not None and newest >= limit:
            # Later months have newer events.
            break
        await months.drop(database, partition)
        deleted += 1
    return deleted
