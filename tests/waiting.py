"""Waiting for the database: for a lock, and for the log of events.

`begun_beside` runs two concurrent changes in a fixed order: the first holds its locks while the
second begins. The second either waits for the first, or finishes at once if nothing makes it wait.
Then the first is committed. So a test is as fast without the lock as with it, and distinguishes the
two by the content of the database at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Database

T = TypeVar("T")
_PATIENCE = 20
_BEHIND = "SELECT EXISTS (SELECT FROM events WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()))"


async def begun_beside(
    database: Database, session: AsyncSession, other: Awaitable[T]
) -> asyncio.Task[T]:
    """Begin the second change, until it has finished or waits for a lock of this session."""
    mine = await session.scalar(text("SELECT pg_backend_pid()"))
    waits = text(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE :mine = ANY(pg_blocking_pids(pid)))"
    )

    async def result() -> T:
        return await other

    running = asyncio.create_task(result())
    async with asyncio.timeout(_PATIENCE):
        while not running.done():
            async with database.session() as looking:
                if await looking.scalar(waits, {"mine": mine}):
                    break
            await asyncio.sleep(0.005)
    return running


async def all_events_readable(database: Database) -> None:
    """Wait until every committed event can be read.

    Readers of the log stop at the oldest open writing transaction of the server, in whichever
    database; autovacuum has such transactions at any time. So a test that reads the log once after
    a change has to wait for them first.
    """
    async with asyncio.timeout(_PATIENCE), database.connection() as connection:
        while await connection.fetchval(_BEHIND):
            await asyncio.sleep(0.005)
