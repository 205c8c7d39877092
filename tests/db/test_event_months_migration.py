"""A log that was written before there were months becomes their first partition, as it is."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from db import migrate
from settings import Settings
from tests.databases import OldDatabase, database_at

BEFORE = "0039"
ROWS = 3_000
INSERT = """
INSERT INTO events (id, at, kind, actor_id, subject_type, subject_id, task_id, changes)
VALUES ($1, $2, 'TASK_UPDATED', $3, 'Task', $1, $1, '[]') RETURNING position
"""


@pytest.fixture
async def old(settings: Settings) -> AsyncIterator[OldDatabase]:
    """With the events of four months."""
    async with database_at(settings, BEFORE) as made:
        now = dt.datetime.now(dt.UTC)
        days = [now - dt.timedelta(days=120 * (ROWS - n) / ROWS) for n in range(ROWS)]
        rows = [(uuid4(), at, uuid4()) for at in days]
        await made.rows.executemany(INSERT, rows)
        await made.rows.execute("CREATE ROLE reports_of_tests NOLOGIN")
        await made.rows.execute("GRANT SELECT ON events TO reports_of_tests")
        yield made
        await made.rows.execute("DROP OWNED BY reports_of_tests; DROP ROLE reports_of_tests")


async def files(rows: asyncpg.Connection[Any], table: str) -> dict[str, int]:
    """The files of a table and its indexes; a new one is written whenever one is rewritten."""
    found = await rows.fetch(
        "SELECT relname, relfilenode::int AS file FROM pg_class WHERE oid = $1::text::regclass"
        " OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = $1::text::regclass)",
        table,
    )
    return {row["relname"].replace("_first", ""): row["file"] for row in found}


async def test_nothing_of_the_log_is_copied_and_everything_goes_on(old: OldDatabase) -> None:
    rows = old.rows
    everything = (
        "SELECT xid::text, position, id, at, kind, actor_id, changes FROM events ORDER BY 2"
    )
    before, indexes = await rows.fetch(everything), await files(rows, "events")
    assert await migrate.upgrade(old.settings)
    assert await rows.fetch(everything) == before
    assert await files(rows, "events_first") == indexes
    month = int(f"{dt.datetime.now(dt.UTC):%Y%m}")
    position = await rows.fetchval(INSERT, uuid4(), dt.datetime.now(dt.UTC), uuid4())
    assert position // 10**12 == month
    assert position > max(row["position"] for row in before)
    where = "SELECT tableoid::regclass::text FROM events WHERE position = $1"
    assert await rows.fetchval(where, position) == f"events_{month}"
    assert await rows.fetchval(where, before[0]["position"]) == "events_first"
    # All indexes are there in each partition, and an ID cannot come twice.
    for table in ("events_first", f"events_{month}"):
        assert len(await files(rows, table)) == len(indexes)
    with pytest.raises(asyncpg.UniqueViolationError):
        await rows.execute(
            "INSERT INTO events (id, at, kind, subject_type, subject_id)"
            " SELECT id, at, kind, subject_type, subject_id FROM events WHERE position = $1",
            position,
        )
    # What an operator has granted.
    assert await rows.fetchval("SELECT has_table_privilege('reports_of_tests', 'events', 'SELECT')")
    assert not await migrate.differences(old.settings)


async def test_writers_go_on_while_the_log_is_converted(old: OldDatabase) -> None:
    """Statements that were prepared before, too."""
    stop = asyncio.Event()
    written: list[UUID] = []
    waits: list[float] = []
    loop = asyncio.get_running_loop()

    async def write() -> None:
        connection = await asyncpg.connect(old.settings.dsn)
        insert = await connection.prepare(INSERT)
        try:
            while not stop.is_set():
                began, event = loop.time(), uuid4()
                async with connection.transaction():
                    await insert.fetchval(event, dt.datetime.now(dt.UTC), event)
                    await asyncio.sleep(0.002)
                written.append(event)
                waits.append(loop.time() - began)
        finally:
            await connection.close()

    writers = [asyncio.create_task(write()) for _ in range(4)]
    await asyncio.sleep(0.1)
    await migrate.upgrade(old.settings)
    for _ in range(100):
        await asyncio.sleep(0.01)
        if len(await old.rows.fetch("SELECT DISTINCT tableoid FROM events")) == 2:
            break
    stop.set()
    await asyncio.gather(*writers)
    stored = {row["id"] for row in await old.rows.fetch("SELECT id FROM events")}
    assert set(written) <= stored
    assert len(stored) == ROWS + len(written)
    assert len(await old.rows.fetch("SELECT DISTINCT tableoid FROM events")) == 2
