"""A backup, restored into a new server, has everything; what cannot be restored is refused."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from app import create_app
from db import migrate
from db.embedded import EmbeddedPostgres
from db.engine import Database
from db.migrate import MigrationError
from domain.admin.backup import InvalidBackup, backup, restore
from domain.tasks import counters
from events import months
from events.epoch import ensure_epoch
from settings import Settings
from tests.counts import wrong_counters
from tests.databases import address_of, fresh_database
from tests.factories import World, gid, world_of
from tests.uploads import attach, image

# A server that was given may be of another version, which finds other words in texts.
UNLIKE = " - 'search'" if "TASKLOOM_TEST_DATABASE_URL" in os.environ else ""
CREATE = """
mutation {
  taskCreate(input: {title: "Later", tags: ["Late"]}) { task { id } errors { code } }
}
"""
COMMENT = """
mutation ($id: ID!) {
  commentCreate(input: {taskId: $id, body: "So it is."}) { errors { code } }
  taskUpdate(input: {id: $id, tags: ["Red", "blue"], status: COMPLETED}) { errors { code } }
}
"""
CURSOR = "{ eventCursor }"
CHANGES = "query ($c: String!) { events(after: $c) { pageInfo { endCursor } } }"
READ = "query ($id: ID!) { task(id: $id) { title attachments { nodes { downloadUrl } } } }"


@pytest.fixture(scope="module")
async def full(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Settings, World]]:
    """A server with users, tasks, comments and files."""
    async with fresh_database(settings) as database:
        storage = settings.storage.model_copy(
            update={"url": tmp_path_factory.mktemp("full").as_uri()}
        )
        own = settings.with_database(await address_of(settings, database))
        own = own.model_copy(update={"storage": storage})
        app = create_app(own)
        async with app.lifespan(), world_of(app) as world:
            yield own, world


@pytest.fixture
def new_server(settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Another server, and an empty folder for files."""
    with EmbeddedPostgres.temporary() as server:
        storage = settings.storage.model_copy(update={"url": (tmp_path / "files").as_uri()})
        yield settings.with_database(server.dsn()).model_copy(update={"storage": storage})


async def rows_of(dsn: str) -> dict[str, list[str]]:
    """All rows of all tables as text, but for the epoch and the transaction IDs of the event log,
    which mean nothing on another server.
    """
    connection = await asyncpg.connect(dsn)
    try:
        names = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename NOT IN ('log_epoch', 'log_consumers') ORDER BY 1"
        )
        found = {}
        for (name,) in names:
            row = f"(to_jsonb(t) - 'xid' - 'first_xid'{UNLIKE})::text"
            rows = await connection.fetch(f'SELECT {row} AS row FROM "{name}" t ORDER BY 1')
            found[name] = [row["row"] for row in rows]
        return found
    finally:
        await connection.close()


def files_of(settings: Settings) -> dict[str, bytes]:
    assert settings.storage.url is not None
    folder = Path(unquote(urlsplit(settings.storage.url).path))
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


async def test_a_restored_server_has_everything_and_goes_on(
    full: tuple[Settings, World], new_server: Settings, tmp_path: Path
) -> None:
    own, world = full
    ada = await world.person()
    # The new server has no partitions yet for events of later months.
    await months.advance(world.database, dt.datetime.now(dt.UTC) + dt.timedelta(days=100))
    task = await world.task(ada, title="\\N, ä 💥", description="Tab\tand\nlines \\. \\t")
    reply = await attach(world.http, ada, gid(task), "plan.png", image())
    assert reply.good
    assert (await world.post(COMMENT, ada, id=gid(task))).good
    cursor = (await world.post(CURSOR, ada)).data["eventCursor"]
    archive = tmp_path / "backup.tar.gz"
    written = await backup(own, archive)
    assert archive.stat().st_mode & 0o777 == 0o600
    before, files = await rows_of(own.database.dsn), files_of(own)
    # Not part of it.
    assert (await world.post(CREATE, ada)).good
    restored = await restore(new_server, archive)
    assert restored == written
    assert restored.files == len(files) == 2
    assert await rows_of(new_server.database.dsn) == before
    assert files_of(new_server) == files
    app = create_app(new_server)
    async with app.lifespan(), world_of(app) as there:
        reply = await there.post(READ, ada, id=gid(task))
        assert reply.data["task"]["title"] == "\\N, ä 💥"
        (attachment,) = reply.data["task"]["attachments"]["nodes"]
        address = urlsplit(attachment["downloadUrl"])
        answer = await there.http.get(f"{address.path}?{address.query}")
        assert answer.content == image()
        assert await _counters_are_right(there.database)
        assert (await there.post(CHANGES, ada, c=cursor)).codes == ["CURSOR_EXPIRED"]
        fresh = (await there.post(CURSOR, ada)).data["eventCursor"]
        assert (await there.post(CREATE, ada)).good, "numbers go on after the restored ones"
        assert (await there.post(COMMENT, ada, id=gid(task))).good
        assert await _counters_are_right(there.database), "and so do the counters"
        reply = await there.post(CHANGES, ada, c=fresh)
        assert reply.data["events"]["pageInfo"]["endCursor"] not in {None, fresh}


async def test_two_backups_at_once_do_not_share_a_file(
    full: tuple[Settings, World], tmp_path: Path
) -> None:
    own, _ = full
    archive = tmp_path / "backup.tar.gz"
    found = await asyncio.gather(*(backup(own, archive) for _ in range(2)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["Contents", "FileExistsError"]
    assert await asyncio.to_thread(os.listdir, tmp_path) == ["backup.tar.gz"]
    with tarfile.open(archive) as read:
        assert "manifest.json" in read.getnames()


async def _attach_something(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    assert (await attach(world.http, ada, gid(task), "plan.png", image())).good


async def test_a_backup_says_which_files_it_lacks(
    full: tuple[Settings, World], tmp_path: Path
) -> None:
    """As from a machine whose settings name another file store."""
    own, world = full
    await _attach_something(world)
    elsewhere = own.storage.model_copy(update={"url": (tmp_path / "other").as_uri()})
    written = await backup(
        own.model_copy(update={"storage": elsewhere}), tmp_path / "backup.tar.gz"
    )
    connection = await asyncpg.connect(own.database.dsn)
    used = await connection.fetch("SELECT file_id FROM attachments ORDER BY 1")
    await connection.close()
    assert written.files == 0
    assert list(written.missing) == [row["file_id"] for row in used] != []
    assert (await backup(own, tmp_path / "whole.tar.gz")).missing == ()


async def test_nothing_is_stored_for_a_database_that_is_not_empty(
    full: tuple[Settings, World], tmp_path: Path
) -> None:
    own, world = full
    await _attach_something(world)
    await backup(own, tmp_path / "backup.tar.gz")
    elsewhere = own.storage.model_copy(update={"url": (tmp_path / "other").as_uri()})
    with pytest.raises(MigrationError, match="not empty"):
        await restore(own.model_copy(update={"storage": elsewhere}), tmp_path / "backup.tar.gz")
    assert not (tmp_path / "other").exists()


async def _counters_are_right(database: Database) -> bool:
    """By `taskloom check --counters`, and counted in Python."""
    found = [difference async for difference in counters.differences(database)]
    return not found and not await wrong_counters(database)


async def test_changes_during_a_backup_are_in_it_as_a_whole_or_not_at_all(
    full: tuple[Settings, World], new_server: Settings, tmp_path: Path
) -> None:
    own, world = full
    ada = await world.person()
    stop = False

    async def change() -> None:
        while not stop:
            assert (await world.post(CREATE, ada)).good

    changing = [asyncio.create_task(change()) for _ in range(3)]
    try:
        await backup(own, tmp_path / "backup.tar.gz")
    finally:
        stop = True
        await asyncio.gather(*changing)
    await restore(new_server, tmp_path / "backup.tar.gz")
    there = await Database.connect(new_server.database)
    try:
        assert await _counters_are_right(there)
    finally:
        await there.close()
    connection = await asyncpg.connect(new_server.database.dsn)
    try:
        lonely = await connection.fetchval(
            "SELECT count(*) FROM tasks t WHERE NOT EXISTS"
            " (SELECT FROM events e WHERE e.subject_id = t.id)"
        )
        assert lonely == 0
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def limited(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A database whose operator limits how long statements and locks may take, as hosts do."""
    connection = await asyncpg.connect(dsn)
    limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    name = await connection.fetchval("SELECT quote_ident(current_database())")
    try:
        for limit in limits:
            await connection.execute(f"ALTER DATABASE {name} SET {limit} = '300ms'")
            await connection.execute(f"SET {limit} = 0")
        yield connection
    finally:
        for limit in limits:
            await connection.execute(f"ALTER DATABASE {name} RESET {limit}")
        await connection.close()


async def held_up(work: asyncio.Task[object], connection: asyncpg.Connection) -> None:
    """Wait until it waits for a lock, and for longer than the limits allow."""
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    async with asyncio.timeout(60):
        while not work.done() and not await connection.fetchval(waits):
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.6)


async def test_limits_for_requests_do_not_end_a_backup_or_a_restore(
    full: tuple[Settings, World], new_server: Settings, tmp_path: Path
) -> None:
    own, _ = full
    archive = tmp_path / "backup.tar.gz"
    async with limited(own.database.dsn) as other:
        async with other.transaction():
            await other.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            writing = asyncio.create_task(backup(own, archive))
            await held_up(writing, other)
        await writing
    async with limited(new_server.database.dsn) as other:
        async with other.transaction():
            # As another process does that starts now.
            await other.execute("SELECT pg_advisory_xact_lock($1)", migrate._LOCK)
            reading = asyncio.create_task(restore(new_server, archive))
            await held_up(reading, other)
            assert not reading.done()
        await reading
        # The first process that starts on a copy writes the whole log again; others wait for it.
        database = await Database.connect(new_server.database)
        async with other.transaction():
            await other.execute("SELECT FROM log_epoch FOR UPDATE")
            starting = asyncio.create_task(ensure_epoch(database))
            await held_up(starting, other)
        await starting
        await database.close()


async def test_what_cannot_be_restored_is_refused(
    full: tuple[Settings, World], new_server: Settings, tmp_path: Path
) -> None:
    own, _ = full
    archive = tmp_path / "backup.tar.gz"
    await backup(own, archive)
    with pytest.raises(FileExistsError):
        await backup(own, archive)
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(archive.read_bytes()[:-3000])
    other = tmp_path / "other.tar.gz"
    with tarfile.open(other, "w:gz"):
        pass
    damaged = tmp_path / "damaged.tar.gz"
    content = bytearray(archive.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    damaged.write_bytes(content)
    wrong_sum = tmp_path / "sum.tar.gz"
    wrong_sum.write_bytes(archive.read_bytes()[:-8] + bytes(8))
    for wrong in (cut, other, damaged, wrong_sum):
        with pytest.raises(InvalidBackup):
            await restore(new_server, wrong)
    with pytest.raises(MigrationError, match="not empty"):
        await restore(own, archive)
    await restore(new_server, archive)
