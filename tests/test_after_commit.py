"""What follows a commit, for every kind of caller that changes data.

Each caller makes its change through its real entry point. A trigger makes PostgreSQL abort the
first attempt like the victim of a deadlock, and a plain Redis client receives the announcements.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from app import create_app
from auth.links import UnsubscribeLinks
from auth.request import RequestInfo
from db.models import NotificationKind, User
from domain.work import Transactions, Work
from errors import Failure
from events.bus import LocalBus
from events.kinds import EventKind
from jobs import periodic
from jobs.worker import worker_context
from settings import Settings
from tests import uploads
from tests.accounts import PASSWORD, House, Person
from tests.commands import taskloom
from tests.databases import address_of, fresh_database
from tests.factories import World, gid, world_of

pytestmark = pytest.mark.redis

ROOT = Path(__file__).parents[1]
CHANNEL = "taskloom:bus"
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)

ABORT_ONCE = """
    CREATE FUNCTION abort_once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        -- A sequence keeps counting when its transaction is rolled back.
        IF nextval('attempts') = 1 THEN
            RAISE EXCEPTION 'deadlock detected' USING ERRCODE = 'deadlock_detected';
        END IF;
        RETURN NULL;
    END $$
"""


@dataclass
class Scene:
    """A server with a separate database, and the messages that a Redis client receives."""

    world: World
    settings: Settings
    heard: list[dict[str, Any]]

    async def execute(self, *statements: str) -> None:
        async with self.world.database.session() as session, session.begin():
            for statement in statements:
                await session.execute(text(statement))

    async def until_heard(self, topic: str) -> None:
        async with asyncio.timeout(20):
            while not any(message["topic"] == topic for message in self.heard):
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def aborting(self, change: str, *, attempts: int = 2) -> AsyncIterator[None]:
        """The first of these statements, such as `INSERT ON events`, fails; later ones do not."""
        await self.execute(
            "ALTER SEQUENCE attempts RESTART",
            f"CREATE TRIGGER abort_once BEFORE {change} EXECUTE FUNCTION abort_once()",
        )
        try:
            yield
        finally:
            await self.execute(f"DROP TRIGGER abort_once {change[change.index('ON ') :]}")
        async with self.world.database.session() as session:
            assert await session.scalar(text("SELECT last_value FROM attempts")) == attempts


@pytest.fixture(scope="module")
async def scene(settings: Settings, redis_url: str) -> AsyncIterator[Scene]:
    async with fresh_database(settings) as database:
        own = settings.with_database(await address_of(settings, database))
        own = own.model_copy(update={"redis": own.redis.model_copy(update={"url": redis_url})})
        app = create_app(own)
        heard: list[dict[str, Any]] = []
        client = Redis.from_url(redis_url)
        async with app.lifespan(), world_of(app) as world, client.pubsub() as pubsub:
            await pubsub.subscribe(
                **{CHANNEL: lambda message: heard.append(json.loads(message["data"]))}
            )
            listening = asyncio.create_task(pubsub.run())
            made = Scene(world, own, heard)
            await made.execute("CREATE SEQUENCE attempts", ABORT_ONCE)
            yield made
            listening.cancel()
        await client.aclose()


Caller = Callable[[Scene, Person], Awaitable[None]]


async def by_mutation(scene: Scene, ada: Person) -> None:
    query = 'mutation { accountUpdate(input: { fullName: "Ada L." }) { errors { code } } }'
    assert (await scene.world.post(query, ada)).good["accountUpdate"]["errors"] == []


async def by_single_statement(scene: Scene, ada: Person) -> None:
    query = 'mutation { taskCreate(input: { title: "Oil the chain" }) { errors { code } } }'
    assert (await scene.world.post(query, ada)).good["taskCreate"]["errors"] == []


async def by_login(scene: Scene, ada: Person) -> None:
    form = {"grant_type": "password", "username": ada.username, "password": PASSWORD}
    answer = await scene.world.http.post("/auth/token", data=form)
    assert answer.status_code == 200, answer.text


async def by_sign_out(scene: Scene, ada: Person) -> None:
    form = {"token": ada.grant.refresh_token}
    assert (await scene.world.http.post("/auth/revoke", data=form)).status_code == 200


async def by_unsubscribing(scene: Scene, ada: Person) -> None:
    token = UnsubscribeLinks(scene.settings).token(ada.id, [NotificationKind.MENTIONED])
    answer = await scene.world.http.post("/unsubscribe", params={"token": token})
    assert answer.status_code == 200


async def by_command(scene: Scene, ada: Person) -> None:
    variables = {
        "DATABASE_URL": scene.settings.database.dsn,
        "REDIS_URL": scene.settings.redis.url or "",
        "TASKLOOM_ROW_SECURITY": scene.settings.database.row_security,
    }
    done = await asyncio.to_thread(taskloom, "user", "promote", ada.username, **variables)
    assert done.returncode == 0, done.stderr


async def by_job(scene: Scene, ada: Person) -> None:
    async def act(work: Work) -> None:
        user = await work.session.get_one(User, ada.id)
        work.record(EventKind.USER_UPDATED, user, audience=[ada.id])

    async with worker_context(scene.settings) as context:
        await context.do("test", act)


async def by_reusing_a_token(scene: Scene, ada: Person) -> None:
    """The refresh is refused, but the end of the session is committed."""
    house = House(scene.settings, scene.world.database, bus=scene.world.services.bus)
    await house.refresh(ada.grant.refresh_token)
    house.clock.forward(minutes=1)
    with pytest.raises(Failure):
        await house.refresh(ada.grant.refresh_token)
    house.auth.close()


@pytest.mark.parametrize(
    "caller",
    [
        by_mutation,
        by_single_statement,
        by_login,
        by_sign_out,
        by_unsubscribing,
        by_command,
        by_job,
        by_reusing_a_token,
    ],
)
async def test_a_change_is_retried_and_announced(scene: Scene, caller: Caller) -> None:
    ada = await scene.world.person()
    await scene.until_heard("events")
    scene.heard.clear()
    async with scene.aborting("INSERT ON events"):
        await caller(scene, ada)
    await scene.until_heard("events")


async def test_the_second_attempt_stores_the_bytes_of_an_upload(scene: Scene) -> None:
    ada = await scene.world.person()
    data = uploads.image("PNG", (8, 8))
    values = {
        "taskId": gid(await scene.world.task(ada)),
        "filename": "a.png",
        "byteSize": len(data),
    }
    started = await scene.world.post(uploads.START, ada, input=values)
    url = urlsplit(started.good["attachmentUploadStart"]["upload"]["url"])
    async with scene.aborting("UPDATE ON stored_files", attempts=3):
        sent = await scene.world.http.put(f"{url.path}?{url.query}", content=data)
    assert sent.status_code == 204


async def test_the_second_attempt_deletes_what_expires_each_hour(
    scene: Scene,
) -> None:
    async with scene.aborting("DELETE ON idempotency_keys"):
        assert await periodic.run_once(scene.world.services.transactions, scene.settings)


async def test_callbacks_follow_only_the_final_commit(scene: Scene) -> None:
    """Signing out makes all processes forget the session: once, despite two attempts."""
    ada = await scene.world.person()
    await scene.until_heard("events")
    scene.heard.clear()
    async with scene.aborting("INSERT ON events"):
        await by_sign_out(scene, ada)
    await scene.until_heard("events")
    forgotten = [message for message in scene.heard if message["topic"] == "forget"]
    assert [message["payload"]["session_id"] for message in forgotten] == [
        ada.viewer.session_id and ada.viewer.session_id.hex
    ]


async def test_a_queued_job_wakes_workers(scene: Scene) -> None:
    async def act(work: Work, run_at: dt.datetime | None) -> None:
        await work.enqueue("test", run_at=run_at)

    def queue(run_at: dt.datetime | None) -> Awaitable[None]:
        return scene.world.services.transactions.run(
            partial(act, run_at=run_at), now=NOW, request=RequestInfo(id="test")
        )

    await asyncio.sleep(0.1)
    scene.heard.clear()
    await queue(NOW + dt.timedelta(days=1))
    await queue(None)
    await scene.until_heard("jobs")


class BrokenBus(LocalBus):
    """A bus that cannot be reached and raises an error."""

    async def publish(self, topic: str, payload: Any) -> None:
        raise ConnectionError(topic)


async def test_a_failure_after_the_commit_does_not_fail_the_change(scene: Scene) -> None:
    ada = await scene.world.person()
    called: list[str] = []

    def failing() -> None:
        called.append("first")
        raise RuntimeError

    async def act(work: Work) -> str:
        user = await work.session.get_one(User, ada.id)
        work.apply(user, {"full_name": "Ada L."})
        work.record(EventKind.USER_UPDATED, user, audience=[ada.id])
        work.after_commit += [failing, lambda: called.append("second")]
        return "done"

    transactions = Transactions(scene.world.database, BrokenBus())
    assert await transactions.run(act, now=NOW, request=RequestInfo(id="test")) == "done"
    assert called == ["first", "second"]
    reply = await scene.world.post("{ viewer { user { fullName } } }", ada)
    assert reply.good["viewer"]["user"]["fullName"] == "Ada L."


async def test_a_change_that_fails_is_not_announced(scene: Scene) -> None:
    ada = await scene.world.person()
    heard: list[Any] = []
    bus = LocalBus()
    bus.subscribe("events", heard.append)
    called: list[str] = []

    async def act(work: Work) -> None:
        work.record(
            EventKind.USER_UPDATED, await work.session.get_one(User, ada.id), audience=[ada.id]
        )
        work.after_commit.append(lambda: called.append("called"))
        raise Failure("No.")

    with pytest.raises(Failure):
        await Transactions(scene.world.database, bus).run(
            act, now=NOW, request=RequestInfo(id="test")
        )
    assert heard == called == []
