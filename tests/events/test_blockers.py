"""The log and the command name the transaction that holds events back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from db.embedded import EmbeddedPostgres
from db.engine import Database
from events import blockers
from events.log import EventLog
from settings import DatabaseSettings


@asynccontextmanager
async def open_transaction(server: EmbeddedPostgres) -> AsyncIterator[int]:
    """Another application writes in another database of the same server; yields its process."""
    other = await asyncpg.connect(
        server.dsn("postgres"), server_settings={"application_name": "reports"}
    )
    try:
        async with other.transaction():
            await other.execute("SELECT pg_current_xact_id()")
            yield other.get_server_pid()
    finally:
        await other.close()


async def test_any_role_sees_which_process_of_the_server_it_is(
    event_server: EmbeddedPostgres, event_settings: DatabaseSettings, database: Database
) -> None:
    admin = await asyncpg.connect(event_server.dsn())
    await admin.execute("CREATE ROLE onlooker LOGIN")
    assert event_settings.url is not None
    url = event_settings.url.replace("taskloom@", "onlooker@")
    onlooker = await Database.connect(event_settings.model_copy(update={"url": url}))
    try:
        async with open_transaction(event_server) as pid:
            for who in (database, onlooker):
                found = await blockers.find_blocker(who)
                assert found is not None
                assert found[:4] == (pid, "postgres", "taskloom", "reports")
                assert str(pid) in found.remedy
                # Only those who may see everything see since when.
                assert (found.since is not None) is (who is database)
        assert await blockers.find_blocker(database) is None
    finally:
        await onlooker.close()
        await admin.execute("DROP ROLE onlooker")
        await admin.close()


async def test_readers_wait_only_while_there_is_something_to_read(
    event_server: EmbeddedPostgres, event_log: EventLog, world: Any
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    patience = blockers.Patience(event_log)
    async with open_transaction(event_server):
        assert await patience.seconds() is None
        await world.change(owner, task)
        assert await patience.seconds() is not None
    assert await patience.seconds() is None


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blockers, "HELD_SECONDS", 0.0)
    monkeypatch.setattr(blockers, "EVERY_SECONDS", 0.05)


@pytest.mark.usefixtures("at_once")
async def test_the_worker_logs_it_until_it_ends(
    event_server: EmbeddedPostgres,
    event_log: EventLog,
    world: Any,
    caplog: pytest.LogCaptureFixture,
    until: Any,
) -> None:
    caplog.set_level(logging.INFO)
    stop = asyncio.Event()
    watching = asyncio.create_task(blockers.watch(world.database, event_log, stop))
    owner = await world.user()
    task = await world.task(owner)
    async with open_transaction(event_server) as pid:
        await world.change(owner, task)
        await until(lambda: f"'pid': {pid}" in caplog.text)
    await until(lambda: "events no longer wait" in caplog.text)
    stop.set()
    await watching
    assert caplog.text.count("events wait for an open transaction") == 1
