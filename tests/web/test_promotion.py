"""The replica is promoted, since the primary died or is replaced: the running server goes on."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from app import create_app
from db import migrate
from settings import Settings, load_settings
from tests.factories import Reply, World, gid, world_of
from tests.replicas import Pair, replicated
from tests.servers import UNLIMITED

CREATE = """
mutation ($t: String!, $p: ID!) {
  taskCreate(input: {title: $t, projectId: $p}) { task { id } errors { code } }
}
"""
RENAME = """
mutation ($t: String!, $p: ID!) {
  projectUpdate(input: {id: $p, name: $t}) { project { name } errors { code } }
}
"""
TITLES = "query ($p: ID!) { project(id: $p) { name tasks(first: 100) { nodes { title } } } }"
EVENTS = "query ($c: String!) { events(after: $c, first: 100) { nodes { kind } } }"


@pytest.fixture
def pair() -> Iterator[Pair]:
    with replicated() as made:
        yield made


@pytest.fixture
async def world(pair: Pair, settings: Settings) -> AsyncIterator[World]:
    """A server that knows both, and reads from the replica."""
    first, second = (dsn.rpartition("host=")[2] for dsn in (pair.primary, pair.replica))
    both = f"postgresql://taskloom@/taskloom?host={first},{second}"
    own = load_settings(
        {
            "DATABASE_URL": f"{both}&target_session_attrs=read-write",
            "DATABASE_READ_URL": pair.replica,
            "TASKLOOM_BCRYPT_ROUNDS": "4",
            "TASKLOOM_ACCESS_TOKEN_SECONDS": "3600",
            "TASKLOOM_PUBLIC_URL": settings.server.public_url,
            **UNLIMITED,
        },
        env_file=None,
    )
    await migrate.upgrade(own.database)
    app = create_app(own)
    async with app.lifespan(), world_of(app) as made:
        yield made


async def replayed(pair: Pair) -> None:
    """Wait until the replica has everything; what it lacks when it is promoted is lost."""
    primary, replica = await asyncpg.connect(pair.primary), await asyncpg.connect(pair.replica)
    try:
        position = await primary.fetchval("SELECT pg_current_wal_lsn()::text")
        has = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
        async with asyncio.timeout(30):
            while not await replica.fetchval(has, position):
                await asyncio.sleep(0.05)
    finally:
        await primary.close()
        await replica.close()


async def demote(pair: Pair) -> None:
    """The primary answers, and takes no changes any more."""
    connection = await asyncpg.connect(pair.primary)
    await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


@pytest.mark.parametrize("dies", [True, False])
async def test_the_server_goes_on_with_the_promoted_replica(
    pair: Pair, world: World, dies: bool
) -> None:
    ada = await world.person()
    project = gid(await world.project(ada))
    acknowledged = []

    async def create() -> Reply:
        title = f"task {secrets.token_hex(4)}"
        reply = await world.post(CREATE, ada, t=title, p=project)
        if not reply.codes:
            acknowledged.append(title)
        return reply

    for _ in range(10):
        assert (await create()).good
    cursor = (await world.post("{ eventCursor }", ada)).good["eventCursor"]
    if not dies:
        await demote(pair)
    await replayed(pair)
    if dies:
        await asyncio.to_thread(pair.fail)
    # Nobody takes changes now; reads may come from the replica.
    async with asyncio.timeout(60):
        while (await create()).codes != ["UNAVAILABLE"]:
            await asyncio.sleep(0.1)
    if not dies:
        await replayed(pair)
    await asyncio.to_thread(pair.control, "promote")
    async with asyncio.timeout(60):
        while (await create()).codes:
            await asyncio.sleep(0.2)
    # Other kinds of changes have connections of their own.
    async with asyncio.timeout(60):
        while (await world.post(RENAME, ada, t="Renamed", p=project)).codes:
            await asyncio.sleep(0.2)
    for _ in range(5):
        found = (await world.post(TITLES, ada, p=project)).good["project"]
        assert found["name"] == "Renamed"
        assert {node["title"] for node in found["tasks"]["nodes"]} == set(acknowledged)
    events = (await world.post(EVENTS, ada, c=cursor)).good["events"]["nodes"]
    created = ["TASK_CREATED"] * (len(acknowledged) - 10)
    assert [event["kind"] for event in events] == [*created, "PROJECT_UPDATED"]
    ready = (await world.http.get("/health/ready")).json()
    # For a minute after a change was refused, it says so.
    assert ready["checks"]["database"]["status"] == ("ok" if dies else "degraded")
