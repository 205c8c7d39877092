"""The bench's database: a company of 1,000 people, 100 projects, 40,000 tasks, 120,000 comments.

Written directly to the tables (COPY), and always the same, including ids. It is created once, kept
as a template, and copied for each run in about a second, since a run creates tasks. PostgreSQL's
planner has its default settings in the copy, unless those of the embedded server are asked for.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from auth.passwords import Passwords
from db.base import new_id
from db.embedded import EmbeddedPostgres
from db.migrate import upgrade
from db.models import Role, TaskPriority, TaskStatus
from domain.tasks import ranks
from settings import Settings, load_settings

LOGIN, PASSWORD = "bench", "measure-twice-cut-once"
# Who sends the queries: the bench's own user and fifteen others who may do the same.
PEOPLE = (LOGIN, *(f"user{number}" for number in range(10, 25)))

# What PostgreSQL's planner does where nobody has set anything. The embedded server sets these.
_DEFAULTS = {
    "random_page_cost": "4",
    "effective_cache_size": "4GB",
    "max_parallel_workers_per_gather": "2",
    "jit": "on",
}

_BEGAN = dt.datetime(2026, 1, 5, 8, tzinfo=dt.UTC)
# fmt: off
_WORDS = (
    "align", "anchor", "belt", "box", "brake", "cable", "chain", "check", "clamp", "colour",
    "count", "crank", "deliver", "dock", "draw", "fit", "fork", "frame", "gear", "grip", "handle",
    "hub", "invoice", "lamp", "latch", "measure", "mount", "order", "paint", "pedal", "plan",
    "polish", "price", "ride", "rim", "saddle", "spoke", "steer", "test", "torque", "track",
    "tyre", "weld", "wheel", "wire", "write",
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Size:
    """The size of the content. One task in eight is a subtask."""

    users: int = 1_000
    projects: int = 100
    tasks: int = 400
    # The first tasks of each page have this many comments; the others have two or three.
    talked_about: int = 40
    comments: int = 6


FULL = Size()


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows by table, each a tuple in the order of `columns`."""

    columns: dict[str, tuple[str, ...]]
    rows: dict[str, list[tuple[Any, ...]]]


class _Made:
    """Random but reproducible; each object is created one second after the previous one."""

    def __init__(self) -> None:
        self.random = random.Random(2026)
        self.now = _BEGAN

    def next(self) -> tuple[UUID, dt.datetime]:
        self.now += dt.timedelta(seconds=1)
        return new_id(self.now, self.random.getrandbits), self.now

    def text(self, least: int, most: int) -> str:
        words = self.random.choices(_WORDS, k=self.random.randint(least, most))
        return " ".join(words).capitalize()


def make_rows(size: Size, password: tuple[str, int]) -> Rows:
    """The whole content. `password` is the hash of those who send queries, and its pepper."""
    made = _Made()
    users = list(_users(made, size, password))
    projects = list(_projects(made, size, users))
    members = list(_members(made, projects, users))
    tasks: list[tuple[Any, ...]] = []
    comments: list[tuple[Any, ...]] = []
    for project in projects:
        of_project = list(_tasks(made, size, project[0], users))
        tasks += of_project
        comments += _comments(made, size, of_project, users)
    return Rows(
        {
            "users": (
                "id",
                "username",
                "email",
                "full_name",
                "password_hash",
                "pepper_version",
                "password_changed_at",
                "week_start",
                "is_active",
                "is_admin",
                "created_at",
                "updated_at",
                "version",
            ),
            "projects": (
                "id",
                "name",
                "description",
                "key",
                "owner_id",
                "last_number",
                "created_at",
                "updated_at",
                "version",
            ),
            "project_members": (
                "id",
                "project_id",
                "user_id",
                "role",
                "created_at",
                "updated_at",
                "version",
            ),
            "tasks": (
                "id",
                "project_id",
                "number",
                "title",
                "description",
                "status",
                "priority",
                "due_at",
                "start_at",
                "estimate",
                "tags",
                "tag_keys",
                "position",
                "owner_id",
                "assignee_id",
                "parent_id",
                "root_id",
                "completed_at",
                "created_at",
                "updated_at",
                "version",
            ),
            "comments": (
                "id",
                "task_id",
                "author_id",
                "body",
                "created_at",
                "updated_at",
                "version",
            ),
        },
        {
            "users": users,
            "projects": projects,
            "project_members": members,
            "tasks": tasks,
            "comments": comments,
        },
    )


def _users(made: _Made, size: Size, password: tuple[str, int]) -> Iterator[tuple[Any, ...]]:
    for number in range(size.users):
        id_, at = made.next()
        name = LOGIN if number == 0 else f"user{number}"
        secret, pepper = password if name in PEOPLE else ("!", 1)
        yield (
            id_,
            name,
            f"{name}@bench.example",
            made.text(2, 2).title(),
            secret,
            pepper,
            at,
            1,
            True,
            False,
            at,
            at,
            1,
        )


def _projects(made: _Made, size: Size, users: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    for number in range(size.projects):
        id_, at = made.next()
        owner = made.random.choice(users[1:])[0]
        yield (
            id_,
            made.text(2, 4),
            made.text(10, 30),
            f"P{number}",
            owner,
            size.tasks,
            at,
            at,
            1,
        )


def _members(
    made: _Made, projects: Sequence[Any], users: Sequence[Any]
) -> Iterator[tuple[Any, ...]]:
    """The owner, those who send the queries as editors, and about twenty others."""
    editors = [user[0] for user in users if user[1] in PEOPLE]
    for project in projects:
        owner_id = project[4]
        roles = {
            user[0]: Role.VIEWER for user in made.random.sample(users[1:], min(20, len(users) - 1))
        }
        roles |= {**dict.fromkeys(editors, Role.EDITOR), owner_id: Role.OWNER}
        for user_id, role in roles.items():
            id_, at = made.next()
            yield (id_, project[0], user_id, int(role), at, at, 1)


def _tasks(
    made: _Made, size: Size, project_id: UUID, users: Sequence[Any]
) -> Iterator[tuple[Any, ...]]:
    position: str | None = None
    parent: UUID | None = None
    for number in range(1, size.tasks + 1):
        id_, at = made.next()
        position = ranks.between(position, None)
        status = made.random.choice(list(TaskStatus))
        tags = made.random.sample(_WORDS, made.random.randint(0, 3))
        below = parent if number % 8 == 0 else None
        yield (
            id_,
            project_id,
            number,
            made.text(3, 8),
            made.text(10, 60),
            int(status),
            int(made.random.choice(list(TaskPriority))),
            at + dt.timedelta(days=number % 90) if number % 3 else None,
            at if number % 4 == 0 else None,
            15 * made.random.randint(1, 40) if number % 2 else None,
            tags,
            tags,
            position,
            made.random.choice(users)[0],
            made.random.choice(users)[0] if number % 10 else None,
            below,
            below,
            at if status is TaskStatus.COMPLETED else None,
            at,
            at,
            1,
        )
        if below is None:
            parent = id_


def _comments(
    made: _Made, size: Size, tasks: Sequence[Any], users: Sequence[Any]
) -> Iterator[tuple[Any, ...]]:
    for index, task in enumerate(tasks):
        for _ in range(size.comments if index < size.talked_about else 3 - (index % 3 == 0)):
            id_, at = made.next()
            author = made.random.choice(users)[0]
            yield (id_, task[0], author, made.text(5, 40), at, at, 1)


@dataclass(frozen=True, slots=True)
class Seeded:
    """A copy of the content, for one run."""

    server: EmbeddedPostgres
    dsn: str
    database: str

    @property
    def postmaster(self) -> int:
        """The process id of PostgreSQL's main process; the others are its children."""
        cluster = (self.server.data_dir / "postgres").resolve() / "data"
        return int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])


async def prepare(folder: Path, size: Size = FULL, *, tuned: bool = False) -> Seeded:
    """Start the embedded server of this folder, and return a new copy of the content. `tuned`: with
    the embedded server's settings of the planner.
    """
    server = EmbeddedPostgres.start(folder)
    settings = load_settings()
    template = f"content_{_fingerprint(size)}"
    administration = await asyncpg.connect(server.dsn("postgres"))
    try:
        names = {row[0] for row in await administration.fetch("SELECT datname FROM pg_database")}
        if template not in names:
            for name in names:
                if name.startswith("content_"):
                    await administration.execute(f'DROP DATABASE "{name}"')
            draft = f"draft_{template}"
            await administration.execute(f'DROP DATABASE IF EXISTS "{draft}" WITH (FORCE)')
            await administration.execute(f'CREATE DATABASE "{draft}"')
            await _fill(server.dsn(draft), size, settings)
            await administration.execute(f'ALTER DATABASE "{draft}" RENAME TO "{template}"')
        await administration.execute("DROP DATABASE IF EXISTS bench WITH (FORCE)")
        await administration.execute(f'CREATE DATABASE bench TEMPLATE "{template}"')
        for name, value in _DEFAULTS.items() if not tuned else ():
            await administration.execute(f"ALTER DATABASE bench SET {name} = '{value}'")
        await administration.execute("CHECKPOINT")
    finally:
        await administration.close()
    return Seeded(server, server.dsn("bench"), "bench")


async def _fill(dsn: str, size: Size, settings: Settings) -> None:
    await upgrade(settings.database.model_copy(update={"url": dsn}))
    passwords = Passwords(settings.auth.model_copy(update={"bcrypt_rounds": 4}))
    kept = await passwords.hash(PASSWORD)
    passwords.close()
    content = make_rows(size, (kept.text, kept.pepper_version))
    connection = await asyncpg.connect(dsn)
    try:
        for table, columns in content.columns.items():
            await connection.copy_records_to_table(
                table, records=content.rows[table], columns=columns
            )
        await connection.execute("VACUUM (ANALYZE, FREEZE)")
    finally:
        await connection.close()


def _fingerprint(size: Size) -> str:
    """A fingerprint that changes whenever the content or the tables change."""
    root = Path(__file__).resolve().parent.parent
    files = [Path(__file__), *sorted((root / "migrations" / "versions").glob("*.py"))]
    text = b"".join(file.read_bytes() for file in files) + repr(size).encode()
    return hashlib.sha256(text).hexdigest()[:12]


__all__ = ["FULL", "LOGIN", "PASSWORD", "Rows", "Seeded", "Size", "make_rows", "prepare"]
