"""Behind a pooler in transaction mode, everything works as without one."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from sqlalchemy import ColumnElement, literal_column, select

from app import create_app
from db import migrate
from db.engine import Database
from db.statements import Statement
from jobs import periodic
from settings import Settings
from tests.factories import gid, world_of
from tests.poolers import IGNORED, PGBOUNCER, pgbouncer, small_pooler

POOLERS = [
    pytest.param(
        "pgbouncer", marks=pytest.mark.skipif(PGBOUNCER is None, reason="no PgBouncer here")
    ),
    # It accepts start-up parameters then, and does nothing with them.
    pytest.param(
        "ignoring pgbouncer",
        marks=pytest.mark.skipif(PGBOUNCER is None, reason="no PgBouncer here"),
    ),
    "small pooler",
]
PAGE = """
query ($p: ID!) {
  project(id: $p) { name tasks(first: 5) { nodes { title assignee { username } } totalCount } }
  viewer { user { username } }
}
"""
CREATE = """
mutation ($t: String!, $p: ID!) {
  taskCreate(input: {title: $t, projectId: $p}) { task { id title } errors { code } }
}
"""
UPDATE = """
mutation ($id: ID!, $t: String!) {
  taskUpdate(input: {id: $id, title: $t}) { task { title } errors { code } }
}
"""
# Each is of its kind of connection: what a read, and what a change, relies on.
SHOWN = {
    "statement_timeout": "10s",
    "jit": "off",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "search_path": "pooled",
}


@pytest.fixture(scope="module", params=POOLERS)
async def pooled(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Settings]:
    """Settings with the address of a pooler, through which an empty database was migrated."""
    async with contextlib.AsyncExitStack() as stack:
        server = await asyncpg.connect(settings.database.dsn)
        stack.push_async_callback(server.close)
        name = f"pooled_{secrets.token_hex(6)}"
        await server.execute(f"CREATE DATABASE {name}")
        stack.push_async_callback(server.execute, f"DROP DATABASE {name} WITH (FORCE)")
        dsn = urlunsplit(urlsplit(settings.database.dsn)._replace(path=f"/{name}"))
        if request.param == "small pooler":
            url = await stack.enter_async_context(small_pooler(dsn))
        else:
            ignored = IGNORED if request.param.startswith("ignoring") else ""
            url = stack.enter_context(pgbouncer(dsn, ignored=ignored))
        own = settings.database.model_copy(update={"url": url, "schema_name": "pooled"})
        await migrate.upgrade(own)
        yield settings.model_copy(update={"database": own})


async def test_requests_side_by_side_get_the_right_answers(pooled: Settings) -> None:
    app = create_app(pooled)
    async with app.lifespan(), world_of(app) as world:
        people = [await world.person() for _ in range(3)]
        projects = [gid(await world.project(person)) for person in people]

        async def work(number: int) -> None:
            person, project = people[number % 3], projects[number % 3]
            title = f"Number {number}"
            made = await world.post(CREATE, person, t=title, p=project)
            assert made.good, made.errors
            id_ = made.data["taskCreate"]["task"]["id"]
            changed = await world.post(UPDATE, person, id=id_, t=f"{title}, changed")
            assert changed.good, changed.errors
            page = await world.post(PAGE, person, p=project)
            assert page.good, page.errors
            assert page.data["viewer"]["user"]["username"] == person.username
            assert page.data["project"]["tasks"]["nodes"]

        await asyncio.gather(*(work(number) for number in range(24)))
        for person, project, numbers in zip(people, projects, range(3), strict=True):
            page = await world.post(PAGE, person, p=project)
            assert page.data["project"]["tasks"]["totalCount"] == 8, numbers


async def test_settings_apply_to_each_transaction_and_stay_nowhere(pooled: Settings) -> None:
    database = await Database.connect(pooled.database)
    try:
        columns: list[ColumnElement[str]] = [
            literal_column(f"current_setting('{name}')").label(name) for name in SHOWN
        ]
        statement = Statement(select(*columns), labels=list(SHOWN))
        (row,) = await database.reader.fetch(statement, {})
        assert dict(row) == SHOWN
        async with database.transaction() as transaction:
            (row,) = await transaction.fetch(statement, {})
            assert dict(row) == SHOWN
        sequence = "pg_get_serial_sequence('events', 'position')"
        number: ColumnElement[int] = literal_column(f"nextval({sequence})").label("number")
        change = Statement(select(number))
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await database.reader.fetch(change, {})
    finally:
        await database.close()
    # What the next user of the same server connection finds.
    plain = await asyncpg.connect(pooled.database.dsn, statement_cache_size=0)
    try:
        for _ in range(8):
            assert await plain.fetchval("SHOW search_path") == '"$user", public'
            assert await plain.fetchval("SHOW statement_timeout") == "0"
            assert await plain.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
    finally:
        await plain.close()


async def test_one_worker_at_a_time_does_the_maintenance(pooled: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        databases = []
        for _ in range(2):
            database = await Database.connect(pooled.database)
            stack.push_async_callback(database.close)
            databases.append(database)
        for _ in range(4):
            async with periodic._alone(databases[0]) as mine:
                assert mine
                async with periodic._alone(databases[1]) as others:
                    assert not others
