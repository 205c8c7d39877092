"""A backup, restored into a new server, has everything; what cannot be restored is refused."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from app import create_app
from db.embedded import EmbeddedPostgres
from db.engine import Database
from db.migrate import MigrationError
from domain.admin.backup import InvalidBackup, backup, restore
from domain.tasks import counters
from events import months
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
    for wrong in (cut, other):
        with pytest.raises(InvalidBackup):
            await restore(new_server, wrong)
    with pytest.raises(MigrationError, match="not empty"):
        await restore(own, archive)
    await restore(new_server, archive)
