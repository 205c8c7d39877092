"""Two changes at one moment, made to happen one way: the one holds its locks while the other comes.

The other either waits for the first, or is done at once where nothing makes it wait. Then the first
is committed. So a test is as quick without the lock as with it, and tells them apart by what is in
the database in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from sqlalchemy import text

from db.engine import Database
from domain.work import Work

T = TypeVar("T")
_PATIENCE = 20


async def begun_beside(database: Database, work: Work, other: Awaitable[T]) -> asyncio.Task[T]:
    """Begin the other change, until it is done or waits for a lock of this work's transaction."""
    mine = await work.session.scalar(text("SELECT pg_backend_pid()"))
    waits = text(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE :mine = ANY(pg_blocking_pids(pid)))"
    )

    async def result() -> T:
        return await other

    running = asyncio.create_task(result())
    async with asyncio.timeout(_PATIENCE):
        while not running.done():
            async with database.session() as session:
                if await session.scalar(waits, {"mine": mine}):
                    break
            await asyncio.sleep(0.005)
    return running
