"""Queries on a read replica: others may read what it has, an author never misses a change."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
from redis.asyncio import Redis
from sqlalchemy import func, select

from app import Application, create_app
from db import migrate
from db.replica import MOST_LAG, Replica
from db.statements import Statement
from settings import Settings, SettingsError, load_settings
from tests import servers
from tests.factories import World, gid, world_of
from tests.replicas import Pair, replicated

CREATE = """
mutation ($t: String!, $p: ID!) {
  taskCreate(input: {title: $t, projectId: $p}) { task { id } errors { code } }
}
"""
COUNT = "query ($p: ID!) { project(id: $p) { tasks(first: 1) { totalCount } } }"

EVENTS = "query ($c: String!) { events(after: $c) { nodes { kind } } }"

REGISTER = """
mutation ($n: String!) {
  userRegister(input: {username: $n, email: "new@example.com", password: "correct horse 4 you"}) {
    errors { message }
  }
}
"""
SIGN_IN = """
mutation ($n: String!) {
  sessionCreate(input: {login: $n, password: "correct horse 4 you"}) { accessToken }
}
"""


class Lagging:
    """Two processes with the same servers; the replica repeats the log on demand."""

    def __init__(
        self, pair: Pair, apps: list[Application], worlds: list[World], redis: servers.Redis
    ) -> None:
        self.pair = pair
        self.apps = apps
        self.worlds = worlds
        self.redis = redis

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """The replica repeats nothing."""
        await self.say("SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            await self.say("SELECT pg_wal_replay_resume()")

    async def notes_are_old(self) -> None:
        """As if all changes had been noted in Redis for long."""
        async with Redis.from_url(self.redis.url) as client:
            await client.set("replica:wrote:noted", 1)
            await client.delete("replica:wrote:noted-since")

    async def used(self, number: int = 0) -> None:
        """Until the process uses the replica."""
        async with asyncio.timeout(30):
            while not await self.replica(number).serves({"anybody"}):
                await asyncio.sleep(0.05)

    async def say(self, statement: str) -> None:
        replica = await asyncpg.connect(self.pair.replica)
        try:
            await replica.execute(statement)
        finally:
            await replica.close()

    def usable(self) -> bool:
        return self.replica().usable

    def replica(self, number: int = 0) -> Replica:
        found = self.apps[number].runtime.services.database.replica
        assert found is not None
        return found

    async def caught_up(self) -> None:
        """Until the replica has all changes so far, as both processes know."""
        await self.notes_are_old()
        await self.replica().wrote("this test")
        async with asyncio.timeout(30):
            for number in range(2):
                while not await self.replica(number).serves({"this test"}):
                    await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
async def lagging(settings: Settings) -> AsyncIterator[Lagging]:
    with replicated() as pair, servers.killable_redis() as redis_server:
        database = settings.database.model_copy(
            update={"url": pair.primary, "read_url": pair.replica}
        )
        redis = settings.redis.model_copy(update={"url": redis_server.url, "prefix": "replica:"})
        own = settings.model_copy(update={"database": database, "redis": redis})
        await migrate.upgrade(own.database)
        async with contextlib.AsyncExitStack() as stack:
            apps, worlds = [create_app(own) for _ in range(2)], []
            for app in apps:
                await stack.enter_async_context(app.lifespan())
                worlds.append(await stack.enter_async_context(world_of(app)))
            yield Lagging(pair, apps, worlds, redis_server)


async def test_the_author_reads_the_change_in_every_process(lagging: Lagging) -> None:
    here, there = lagging.worlds
    author, other = await here.person(), await here.person()
    project = gid(await here.project(author, editors=[other]))
    await lagging.caught_up()
    await lagging.say("SELECT pg_wal_replay_pause()")
    try:
        made = await here.post(CREATE, author, t="New", p=project)
        assert made.good, made.errors
        for world in (here, there):
            reply = await world.post(COUNT, author, p=project)
            assert reply.data["project"]["tasks"]["totalCount"] == 1
            # Proof that the replica serves: it does not have the change yet.
            reply = await world.post(COUNT, other, p=project)
            assert reply.data["project"]["tasks"]["totalCount"] == 0
    finally:
        await lagging.say("SELECT pg_wal_replay_resume()")
    await lagging.caught_up()
    for person in (author, other):
        reply = await there.post(COUNT, person, p=project)
        assert reply.data["project"]["tasks"]["totalCount"] == 1


async def test_a_new_user_is_found_at_once(lagging: Lagging) -> None:
    here, there = lagging.worlds
    await lagging.say("SELECT pg_wal_replay_pause()")
    try:
        reply = await here.post(REGISTER, None, n=(name := f"u{secrets.token_hex(6)}"))
        assert reply.good, reply.errors
        reply = await there.post(SIGN_IN, None, n=name)
        token = reply.data["sessionCreate"]["accessToken"]
        answer = await there.http.post(
            "/graphql",
            json={"query": "{ viewer { user { username } } }"},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.json()["data"]["viewer"]["user"]["username"] == name
    finally:
        await lagging.say("SELECT pg_wal_replay_resume()")


async def test_a_replica_that_lags_too_much_is_not_used(lagging: Lagging) -> None:
    times = [0.0]
    known = lagging.replica()
    replica = Replica(
        known._primary,
        known.reader,
        load_settings(env_file=None).redis,
        clock=lambda: times[-1],
    )
    async with asyncio.timeout(30):
        while not replica.usable:
            await replica.look()
    await lagging.say("SELECT pg_wal_replay_pause()")
    try:
        await lagging.worlds[0].person()
        await replica.look()
        assert replica.usable, "it has just begun to lag"
        times.append(MOST_LAG + 1)
        await replica.look()
        assert not await replica.serves({"anybody"})
    finally:
        await lagging.say("SELECT pg_wal_replay_resume()")
    async with asyncio.timeout(30):
        while not await replica.serves({"anybody"}):
            await asyncio.sleep(0.05)
            await replica.look()


async def test_a_process_that_starts_waits_until_the_replica_has_what_there_was(
    lagging: Lagging,
) -> None:
    known = lagging.replica()
    started = Replica(known._primary, known.reader, load_settings(env_file=None).redis)
    async with lagging.paused():
        await lagging.worlds[0].person()
        for _ in range(3):
            await started.look()
            assert not started.usable, "it may lag by hours, and lack tables"
    async with asyncio.timeout(30):
        while not started.usable:
            await asyncio.sleep(0.05)
            await started.look()


async def test_a_change_whose_position_is_unknown_is_waited_for(lagging: Lagging) -> None:
    class Away:
        async def fetch(self, *_: object) -> list[object]:
            raise ConnectionError

    known = lagging.replica()
    own = Replica(known._primary, known.reader, load_settings(env_file=None).redis)
    async with asyncio.timeout(30):
        while not own.usable:
            await own.look()
    async with lagging.paused():
        await lagging.worlds[0].person()
        own._primary = Away()  # type: ignore[assignment]
        await own.wrote("somebody")
        own._primary = known._primary
        await own.look()
        assert not await own.serves({"somebody"})
    async with asyncio.timeout(30):
        while not await own.serves({"somebody"}):
            await asyncio.sleep(0.05)
            await own.look()


@pytest.mark.parametrize("loss", ["restarted", "full"])
async def test_notes_that_redis_loses_are_missed(lagging: Lagging, loss: str) -> None:
    here, there = lagging.worlds
    author = await here.person()
    project = gid(await here.project(author))
    await lagging.caught_up()
    async with Redis.from_url(lagging.redis.url) as client, lagging.paused():
        if loss == "full":
            await client.config_set("maxmemory", 1)
        made = await here.post(CREATE, author, t="New", p=project)
        assert made.good, made.errors
        if loss == "restarted":
            lagging.redis.kill()
            lagging.redis.start()
        for world in (there, here):
            reply = await world.post(COUNT, author, p=project)
            assert reply.data["project"]["tasks"]["totalCount"] == 1
    async with Redis.from_url(lagging.redis.url) as client:
        await client.config_set("maxmemory", 0)


async def test_a_cursor_that_is_ahead_of_the_replica_is_valid(lagging: Lagging) -> None:
    here, there = lagging.worlds
    author, other = await here.person(), await here.person()
    project = gid(await here.project(author, editors=[other]))
    await lagging.caught_up()
    async with lagging.paused():
        assert (await here.post(CREATE, author, t="New", p=project)).good
        # As a subscription would give it to the other one.
        cursor = (await here.post("{ eventCursor }", author)).good["eventCursor"]
        assert (await here.post(CREATE, author, t="Newer", p=project)).good
        reply = await there.post(EVENTS, other, c=cursor)
        assert [node["kind"] for node in reply.good["events"]["nodes"]] == ["TASK_CREATED"]


async def test_an_operation_does_not_go_back_in_time(lagging: Lagging) -> None:
    database = lagging.apps[0].runtime.services.database
    where = Statement(select(func.pg_is_in_recovery().label("replica")))
    await lagging.caught_up()
    with lagging.replica().used():
        (first,) = await database.reader.fetch(where, {})
        await asyncio.to_thread(lagging.pair.control, "stop", "-m", "immediate")
        try:
            (second,) = await database.reader.fetch(where, {})
        finally:
            await asyncio.to_thread(lagging.pair.control, "start")
        (third,) = await database.reader.fetch(where, {})
    assert (first.replica, second.replica, third.replica) == (True, False, False)
    await lagging.used()


async def test_without_its_replica_the_primary_serves(lagging: Lagging) -> None:
    here = lagging.worlds[0]
    person = await here.person()
    project = gid(await here.project(person))
    await lagging.caught_up()
    await asyncio.to_thread(lagging.pair.control, "stop", "-m", "immediate")
    try:
        for _ in range(3):
            reply = await here.post(COUNT, person, p=project)
            assert reply.data["project"]["tasks"]["totalCount"] == 0
        async with asyncio.timeout(30):
            while True:
                answer = await here.http.get("/health/ready")
                if answer.json()["checks"]["replica"]["status"] == "degraded":
                    break
                await asyncio.sleep(0.1)
        assert answer.status_code == 200
    finally:
        await asyncio.to_thread(lagging.pair.control, "start")
    await lagging.used()


def test_several_processes_with_a_replica_need_redis() -> None:
    variables = {
        "DATABASE_URL": "postgres://a/b",
        "DATABASE_READ_URL": "postgres://c/b",
        "TASKLOOM_WORKERS": "4",
    }
    with pytest.raises(SettingsError, match="REDIS_URL must be set"):
        load_settings(variables, env_file=None)
