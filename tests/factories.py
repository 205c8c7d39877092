"""A server process for tests, its users, and their data.

`World` extends `House` (accounts) with the executor and HTTP, both in this process. Users, projects
and tasks are created through domain operations; `rows` inserts any other rows directly. All data is
new in each test, so tests can share a database.

    ada = await world.person()
    project = await world.project(ada)
    reply = await world.run("{ projects(first: 1) { nodes { name } } }", ada)
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import httpx
import orjson
from sqlalchemy import insert, update

from app import Application, create_app
from auth.request import RequestInfo
from auth.viewer import NOBODY, Viewer
from db import models
from db.base import Base, new_id
from db.models import Permission, Role
from domain.projects import project as projects
from domain.projects.project import NewProject
from domain.tasks import ranks
from domain.tasks import task as tasks
from domain.tasks.task import NewTask
from graph.core import ids
from graph.core.context import Context
from graph.request.answer import Refused, refusal
from graph.request.execution import Executor
from graph.request.preparation import GraphQLRequest
from settings import Settings
from tests.accounts import House, Person, RunningClock
from tests.databases import address_of, fresh_database
from tests.waiting import all_events_readable

Engine = Literal["batch", "standard"]
ENGINES: tuple[Engine, ...] = ("batch", "standard")
_READS_LOG = re.compile(r"\b(events|eventCursor|activity|activityStats|adminAuditLog)\b")


@dataclass(slots=True)
class Reply:
    """An answer, and the statements that were executed for it."""

    data: Any
    errors: list[dict[str, Any]]
    extensions: dict[str, Any]
    body: bytes
    status: int = 200
    statements: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, body: bytes, status: int = 200) -> Reply:
        """Read the answer from the body, as a client does."""
        parsed = orjson.loads(body)
        return cls(
            parsed.get("data"),
            parsed.get("errors") or [],
            parsed.get("extensions") or {},
            body,
            status,
        )

    @property
    def good(self) -> Any:
        """The data of an answer that must have no errors, neither at the top nor in a payload."""
        assert not self.errors, self.errors
        assert not self.user_errors, self.user_errors
        return self.data

    @property
    def user_errors(self) -> list[dict[str, Any]]:
        """The user errors of all payloads."""
        values = self.data.values() if isinstance(self.data, dict) else ()
        return [
            error
            for value in values
            if isinstance(value, dict)
            for error in value.get("errors") or ()
        ]

    @property
    def codes(self) -> list[str]:
        """The codes of all errors, at the top level and in payloads."""
        return [error["extensions"]["code"] for error in self.errors] + [
            error["code"] for error in self.user_errors
        ]


class World:
    """See the module's docstring."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.services = app.runtime.services
        self.database = self.services.database
        # The access path of a list must not depend on how busy the machine is.
        self.services.access_paths.slow_seconds = math.inf
        settings = self.services.settings
        self.house = House(settings, self.database, RunningClock(), self.services.bus)
        # One authenticator, so that a viewer evicted by one half is evicted for the other too.
        self.house.auth.close()
        self.house.auth = self.services.authenticator
        standard = settings.graphql.model_copy(update={"engine": "standard"})
        other = create_app(settings.model_copy(update={"graphql": standard}))
        self.executors: dict[Engine, Executor] = {
            "batch": app.runtime.executor,
            "standard": other.runtime.executor,
        }
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://taskloom.test"
        )

    # --- operations ------------------------------------------------------------------------------

    async def run(
        self,
        query: str,
        person: Person | Viewer | None,
        /,
        *,
        engine: Engine = "batch",
        at: dt.datetime | None = None,
        **variables: Any,
    ) -> Reply:
        """Execute an operation as a user, without HTTP. `at`: the time to use as now."""
        context = self.context(person)
        if at is not None:
            context.now = at
        await self.settle(query)
        executor = self.executors[engine]
        request = GraphQLRequest(query=query, variables=variables)
        with self.heard() as statements:
            try:
                prepared = await executor.prepare(request, request_id=context.request.id)
                answer = await executor.execute(prepared, context)
            except Refused as refused:
                answer = refused.answer
        reply = Reply.of(answer.body())
        reply.statements = statements
        return reply

    async def post(self, query: str, person: Person | None, /, **variables: Any) -> Reply:
        """Send an operation over HTTP, with the user's credentials."""
        await self.settle(query)
        headers = {} if person is None else {"Authorization": person.header}
        response = await self.http.post(
            "/graphql", json={"query": query, "variables": variables}, headers=headers
        )
        return Reply.of(response.content, response.status_code)

    async def settle(self, query: str) -> None:
        """If the operation reads the log, wait until it can read all that has happened."""
        if _READS_LOG.search(query):
            await all_events_readable(self.database)

    async def deliveries(
        self, query: str, person: Person | None, /, **variables: Any
    ) -> AsyncGenerator[Reply, None]:
        """Open a subscription with the user's credentials: yields a reply for each event.

        If it cannot be opened, the only reply says why.
        """
        request = self.request()
        try:
            header = None if person is None else person.header
            viewer = await self.services.authenticator.viewer(header)
            prepared = await self.executors["batch"].prepare(
                GraphQLRequest(query=query, variables=variables), request_id=request.id
            )
            context = self.services.context(viewer, request)
            await self.executors["batch"].admit(prepared, context)
            credentials = viewer.credentials
            stream = await self.executors["batch"].subscribe(
                prepared, context, lambda: self.services.authenticator.current(credentials)
            )
        except Exception as error:  # noqa: BLE001 - like every transport
            yield Reply.of(refusal(error, request.id).body())
            return
        async with aclosing(stream):
            async for answer in stream:
                yield Reply.of(answer.body())

    async def first_delivery(self, query: str, person: Person | None, /, **variables: Any) -> Reply:
        """The first reply of a subscription, which is closed afterwards."""
        async with (
            asyncio.timeout(20),
            aclosing(self.deliveries(query, person, **variables)) as replies,
        ):
            return await anext(replies)

    def context(self, person: Person | Viewer | None) -> Context:
        """A new context for one operation."""
        viewer = person.viewer if isinstance(person, Person) else person or NOBODY
        return self.services.context(viewer, self.request())

    async def current_viewer(self, person: Person | None) -> Viewer:
        """The viewer as a connection asks for it, with the current access rights."""
        viewer = NOBODY if person is None else person.viewer
        return await self.services.authenticator.current(viewer.credentials)

    @staticmethod
    def request() -> RequestInfo:
        """A request from an address that no other test uses."""
        return RequestInfo(id=secrets.token_hex(8), ip="203.0.113.7", user_agent="tests/1")

    @contextmanager
    def heard(self) -> Iterator[list[str]]:
        """Collects the statements of everything that runs in the block."""
        statements: list[str] = []
        self.database.listeners.append(statements.append)
        try:
            yield statements
        finally:
            self.database.listeners.remove(statements.append)

    # --- data ------------------------------------------------------------------------------------

    async def person(self, **attributes: Any) -> Person:
        """Register a new user; `attributes` are set on the row (for example `full_name`)."""
        person = await self.house.person()
        if attributes:
            async with self.database.session() as session, session.begin():
                users = update(models.User).where(models.User.id == person.id)
                await session.execute(users.values(**attributes))
            self.services.authenticator.forget(user_id=person.id)
            person.grant = await self.house.login(person)
        return person

    async def people(self, count: int) -> list[Person]:
        """Register several new users."""
        return [await self.person() for _ in range(count)]

    async def project(
        self,
        owner: Person,
        *,
        name: str = "A project",
        admins: Sequence[Person] = (),
        editors: Sequence[Person] = (),
        viewers: Sequence[Person] = (),
        **values: Any,
    ) -> models.Project:
        """Create a project of this user, with members."""
        roles = [(Role.ADMIN, admins), (Role.EDITOR, editors), (Role.VIEWER, viewers)]
        async with self._work(owner) as work:
            new = NewProject(name=name, key=values.pop("key", new_key()), **values)
            project = await projects.create(work, new)
            for role, members in roles:
                for member in members:
                    await projects.add_member(work, project.id, member.id, role)
        return project

    async def task(self, owner: Person, title: str = "A task", **values: Any) -> models.Task:
        """Create a task of this user; `values` are those of `domain.tasks.task.NewTask`."""
        async with self._work(owner) as work:
            return await tasks.create(work, NewTask(title=title, **values))

    async def tasks(self, owner: Person, titles: Sequence[str], **values: Any) -> list[models.Task]:
        """Create several tasks in this order, one second apart."""
        made = []
        async with self._work(owner) as work:
            for title in titles:
                work.now += dt.timedelta(seconds=1)
                made.append(await tasks.create(work, NewTask(title=title, **values)))
        return made

    async def many_tasks(
        self, owner: Person, project: models.Project, count: int, **values: Any
    ) -> None:
        """Create a project with many tasks in one statement, for tests that need many."""
        now = dt.datetime.now(dt.UTC)
        common = {"created_at": now, "updated_at": now, "version": 1, "tags": [], "tag_keys": []}
        async with self.database.session() as session, session.begin():
            last = await session.scalar(
                update(models.Project)
                .where(models.Project.id == project.id)
                .values(last_number=models.Project.last_number + count)
                .returning(models.Project.last_number)
            )
            assert last is not None
            rows = [
                common
                | {
                    "id": fresh_id(),
                    "title": f"task {number}",
                    "number": number,
                    "position": position,
                    "project_id": project.id,
                    "owner_id": owner.id,
                }
                | values
                for number, position in enumerate(ranks.after(None, count), last - count + 1)
            ]
            await session.execute(insert(models.Task), rows)

    async def share(
        self,
        task: models.Task,
        person: Person,
        permission: Permission = Permission.VIEW,
        expires_at: dt.datetime | None = None,
    ) -> models.TaskShare:
        """Share a task with a user."""
        now = dt.datetime.now(dt.UTC)
        row = models.TaskShare(
            id=fresh_id(),
            created_at=now,
            updated_at=now,
            version=1,
            task_id=task.id,
            user_id=person.id,
            permission=permission,
            shared_by_id=task.owner_id,
            expires_at=expires_at,
        )
        await self.rows(row)
        return row

    async def rows(self, *rows: Base) -> None:
        """Insert rows into the database directly, in this order."""
        async with self.database.session() as session, session.begin():
            for row in rows:
                session.add(row)
                await session.flush()

    @asynccontextmanager
    async def _work(self, person: Person) -> AsyncIterator[Any]:
        now = dt.datetime.now(dt.UTC)
        async with self.services.transactions.begin(
            person.viewer, now=now, request=self.request()
        ) as work:
            yield work


@asynccontextmanager
async def world_of(app: Application) -> AsyncIterator[World]:
    """The world of a running application."""
    world = World(app)
    yield world
    await world.http.aclose()


@asynccontextmanager
async def own_world(settings: Settings) -> AsyncIterator[World]:
    """The world of an application with a database of its own, for what reads all of a database."""
    async with fresh_database(settings) as database:
        app = create_app(settings.with_database(await address_of(settings, database)))
        async with app.lifespan(), world_of(app) as world:
            yield world


def fresh_id() -> UUID:
    """A new UUIDv7."""
    return new_id(dt.datetime.now(dt.UTC))


def new_key() -> str:
    """A project key that is not in use."""
    return "Q" + secrets.token_hex(4).upper()


def gid(row: Any) -> str:
    """The global id of a row or a user."""
    if isinstance(row, Person):
        return ids.encode(models.User, row.id)
    return ids.encode(type(row), row.id)


def missing(like: str) -> str:
    """A global id of the same type that belongs to no object."""
    return f"{like.rpartition('_')[0]}_{fresh_id().hex}"
