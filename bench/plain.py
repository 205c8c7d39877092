"""A Strawberry server as its documentation teaches: FastAPI, data loaders, SQLAlchemy's ORM.

Types with resolvers, a router, a session and loaders per request, and the two extensions that cache
documents. It shows what the same
libraries cost if they are combined in the usual way.
"""

from __future__ import annotations

import datetime as dt
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import strawberry
from aiodataloader import DataLoader
from fastapi import FastAPI
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import aliased
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.fastapi import BaseContext, GraphQLRouter
from strawberry.types import Info

from db import models
from db.models import TaskPriority, TaskStatus

_DSN = os.environ["BENCH_DSN"]
_ENGINE = create_async_engine(
    "postgresql+asyncpg://", connect_args={"dsn": _DSN}, pool_size=10, max_overflow=0
)
_SESSIONS = async_sessionmaker(_ENGINE, expire_on_commit=False)


class Context(BaseContext):
    """The loaders of one request. Each batch has its own session."""

    def __init__(self) -> None:
        super().__init__()
        self.users: DataLoader[UUID, Any] = DataLoader(_users)
        self._pages: dict[tuple[Any, int], DataLoader[UUID, Any]] = {}

    def page(self, load: Callable[..., Any], first: int) -> DataLoader[UUID, Any]:
        """The loader of pages of this size."""
        if (load, first) not in self._pages:

            async def batch(keys: list[UUID]) -> list[Any]:
                pages: list[Any] = await load(keys, first)
                return pages

            self._pages[load, first] = DataLoader(batch)
        return self._pages[load, first]


async def _users(keys: Sequence[UUID]) -> list[models.User | None]:
    async with _SESSIONS() as session:
        found = await session.scalars(select(models.User).where(models.User.id.in_(keys)))
        by_id = {user.id: user for user in found}
    return [by_id.get(key) for key in keys]


async def _first_of_each(
    session: AsyncSession,
    model: Any,
    *,
    parent: Any,
    keys: Sequence[UUID],
    order: Any,
    first: int,
) -> dict[UUID, list[Any]]:
    rank = func.row_number().over(partition_by=parent, order_by=order)
    ranked = select(model, rank.label("rank")).where(parent.in_(keys)).subquery()
    item = aliased(model, ranked)
    rows = await session.scalars(select(item).where(ranked.c.rank <= first).order_by(ranked.c.rank))
    pages: dict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        pages[getattr(row, parent.key)].append(row)
    return pages


async def _tasks_of(keys: Sequence[UUID], first: int) -> list[list[models.Task]]:
    async with _SESSIONS() as session:
        task = models.Task
        order = (task.position, task.id)
        pages = await _first_of_each(
            session, task, parent=task.project_id, keys=keys, order=order, first=first
        )
    return [pages[key] for key in keys]


async def _comments_of(keys: Sequence[UUID], first: int) -> list[list[models.Comment]]:
    async with _SESSIONS() as session:
        comment = models.Comment
        order = (comment.created_at, comment.id)
        pages = await _first_of_each(
            session, comment, parent=comment.task_id, keys=keys, order=order, first=first
        )
    return [pages[key] for key in keys]


strawberry.enum(TaskStatus)
strawberry.enum(TaskPriority)


@strawberry.type
class User:
    """A person."""

    id: strawberry.ID
    username: str
    full_name: str | None

    @classmethod
    def of(cls, row: models.User) -> User:
        """From a row."""
        return cls(id=strawberry.ID(str(row.id)), username=row.username, full_name=row.full_name)


@strawberry.type
class Comment:
    """A comment on a task."""

    row: strawberry.Private[models.Comment]
    id: strawberry.ID
    body: str

    @strawberry.field
    async def author(self, info: Info[Context]) -> User:
        """Who said it."""
        return User.of(await info.context.users.load(self.row.author_id))


@strawberry.type
class Task:
    """A task."""

    row: strawberry.Private[models.Task]
    id: strawberry.ID
    number: int | None
    title: str
    status: TaskStatus
    priority: TaskPriority
    tags: list[str]
    position: str
    due_at: dt.datetime | None
    start_at: dt.datetime | None
    estimate: int | None
    created_at: dt.datetime
    version: int

    @classmethod
    def of(cls, row: models.Task) -> Task:
        """From a row."""
        return cls(
            row=row,
            id=strawberry.ID(str(row.id)),
            number=row.number,
            title=row.title,
            status=row.status,
            priority=row.priority,
            tags=row.tags,
            position=row.position,
            due_at=row.due_at,
            start_at=row.start_at,
            estimate=row.estimate,
            created_at=row.created_at,
            version=row.version,
        )

    @strawberry.field
    async def assignee(self, info: Info[Context]) -> User | None:
        """The user to whom the task is assigned."""
        if self.row.assignee_id is None:
            return None
        return User.of(await info.context.users.load(self.row.assignee_id))

    @strawberry.field
    async def comments(self, info: Info[Context], first: int) -> list[Comment]:
        """The task's comments."""
        rows = await info.context.page(_comments_of, first).load(self.row.id)
        return [Comment(row=row, id=strawberry.ID(str(row.id)), body=row.body) for row in rows]


@strawberry.type
class Project:
    """A container of tasks."""

    row: strawberry.Private[models.Project]
    id: strawberry.ID
    name: str
    key: str

    @classmethod
    def of(cls, row: models.Project) -> Project:
        """From a row."""
        return cls(row=row, id=strawberry.ID(str(row.id)), name=row.name, key=row.key)

    @strawberry.field
    async def owner(self, info: Info[Context]) -> User:
        """Whose it is."""
        return User.of(await info.context.users.load(self.row.owner_id))

    @strawberry.field
    async def tasks(self, info: Info[Context], first: int) -> list[Task]:
        """Its tasks."""
        rows = await info.context.page(_tasks_of, first).load(self.row.id)
        return [Task.of(row) for row in rows]


@strawberry.type
class Query:
    """Queries."""

    @strawberry.field
    async def task(self, id: strawberry.ID) -> Task | None:  # noqa: A002
        """One task."""
        async with _SESSIONS() as session:
            row = await session.get(models.Task, UUID(id))
        return None if row is None else Task.of(row)

    @strawberry.field
    async def tasks(self, first: int) -> list[Task]:
        """The newest tasks."""
        order = (models.Task.created_at.desc(), models.Task.id.desc())
        async with _SESSIONS() as session:
            rows = await session.scalars(select(models.Task).order_by(*order).limit(first))
            return [Task.of(row) for row in rows]

    @strawberry.field
    async def project(self, id: strawberry.ID) -> Project | None:  # noqa: A002
        """One project."""
        async with _SESSIONS() as session:
            row = await session.get(models.Project, UUID(id))
        return None if row is None else Project.of(row)

    @strawberry.field
    async def projects(self, first: int) -> list[Project]:
        """The newest projects."""
        order = (models.Project.created_at.desc(), models.Project.id.desc())
        async with _SESSIONS() as session:
            rows = await session.scalars(select(models.Project).order_by(*order).limit(first))
            return [Project.of(row) for row in rows]


@strawberry.type
class Mutation:
    """The mutations."""

    @strawberry.mutation
    async def create_task(self, project_id: strawberry.ID, title: str, priority: int) -> Task:
        """Make a task."""
        now = dt.datetime.now(dt.UTC)
        async with _SESSIONS() as session, session.begin():
            number = await session.scalar(
                update(models.Project)
                .where(models.Project.id == UUID(project_id))
                .values(last_number=models.Project.last_number + 1)
                .returning(models.Project.last_number)
            )
            row = models.Task(
                id=uuid4(),
                project_id=UUID(project_id),
                number=number,
                title=title,
                status=TaskStatus.TODO,
                priority=TaskPriority(priority),
                position="i0000000",
                owner_id=UUID(os.environ["BENCH_USER"]),
                created_at=now,
                updated_at=now,
                version=1,
            )
            session.add(row)
            await session.flush()
            await session.refresh(row)
        return Task.of(row)


async def _context() -> Context:
    return Context()


def app() -> FastAPI:
    """For uvicorn's `--factory`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await _ENGINE.dispose()

    api = FastAPI(lifespan=lifespan)
    schema = strawberry.Schema(
        Query,
        Mutation,
        extensions=[lambda: ParserCache(maxsize=100), lambda: ValidationCache(maxsize=100)],
    )
    api.include_router(GraphQLRouter(schema, context_getter=_context), prefix="/graphql")
    return api
