"""PostgreSQL itself hides rows: statements without any access rule, against the model."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import insert, update

from app import create_app
from auth.viewer import Viewer
from db import migrate, models, revision
from db.base import Base
from db.engine import Database
from db.row_security import POLICIES, WITHOUT, viewing
from db.statements import Sql, Statement
from domain.admin.backup import backup, restore
from events import months
from settings import Settings
from tests.factories import World, fresh_id, world_of
from tests.poolers import small_pooler
from tests.rights.fixtures import Fixtures
from tests.rights.rules import Comment, Entry, Role
from tests.rights.test_rights import random_fixtures

WORLDS: Final = 12
# The role of the server's connections: one that owns the tables, or one that ignores policies.
ROLES: Final = ("owner", "superuser")


@contextlib.asynccontextmanager
async def own(
    settings: Settings, role: str, mode: str, template: str = "template1"
) -> AsyncIterator[Settings]:
    """Settings with a database of its own, on which row-level security is `mode`. It is empty, or a
    copy of `template`.
    """
    name = f"rows_{secrets.token_hex(6)}"
    place = urlsplit(settings.database.dsn)
    server = await asyncpg.connect(settings.database.dsn)
    await server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    if role == "owner":
        await server.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        await server.execute(f"ALTER DATABASE {name} OWNER TO {name}")
        address = place.netloc.rpartition("@")[2]
        place = place._replace(netloc=f"{name}:{name}@{address}")
    url = urlunsplit(place._replace(path=f"/{name}"))
    database = settings.database.model_copy(update={"url": url, "row_security": mode})
    try:
        yield settings.model_copy(update={"database": database})
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        if role == "owner":
            await server.execute(f"DROP ROLE {name}")
        await server.close()


@contextlib.asynccontextmanager
async def secured(settings: Settings) -> AsyncIterator[World]:
    """The application on a migrated database."""
    await migrate.upgrade(settings.database)
    app = create_app(settings)
    async with app.lifespan(), world_of(app) as world:
        yield world


@pytest.fixture(scope="module", params=ROLES)
async def secure(
    request: pytest.FixtureRequest, settings: Settings
) -> AsyncIterator[tuple[World, list[Fixtures]]]:
    """A server with row-level security, and the worlds in its database."""
    async with own(settings, request.param, "on") as mine, secured(mine) as world:
        yield world, [await _written(world, seed) for seed in range(WORLDS)]


async def _written(world: World, seed: int) -> Fixtures:
    """A random world, with comments, entries and other things that hang on tasks."""
    random = Random(seed)
    model = random_fixtures(random)
    people = sorted(model.people)
    for share in model.shares.values():
        share.expired = random.random() < 0.3
    for number, name in enumerate(model.tasks):
        model.comments[f"c{number}"] = Comment(name, random.choice(people))
    for number, person in enumerate(people):
        project = random.choice([None, *model.projects])
        model.entries[f"e{number}"] = Entry(person, project)
    made = Fixtures(world, "hash", model)
    await made.write()
    now = dt.datetime.now(dt.UTC)
    common = {"created_at": now, "updated_at": now, "version": 1}
    async with world.database.session() as session, session.begin():
        for name, share in model.shares.items():
            past = now - dt.timedelta(days=1)
            change = update(models.TaskShare).where(models.TaskShare.id == made.ids[name])
            await session.execute(change.values(expires_at=past if share.expired else None))
        for name, comment in model.comments.items():
            await session.execute(
                insert(models.Comment).values(
                    **common,
                    id=made.know(name, fresh_id()),
                    task_id=made.ids[comment.task],
                    author_id=made.ids[comment.author],
                    body=name,
                )
            )
        for name, entry in model.entries.items():
            await session.execute(
                insert(models.TimeEntry).values(
                    **common,
                    id=made.know(name, fresh_id()),
                    user_id=made.ids[entry.person],
                    project_id=made.ids.get(entry.project or ""),
                    started_at=now,
                    ended_at=now,
                )
            )
        for person in people:
            await session.execute(
                insert(models.Device).values(
                    id=fresh_id(),
                    user_id=made.ids[person],
                    token=secrets.token_hex(8),
                    platform="WEB",
                    name="phone",
                    created_at=now,
                    seen_at=now,
                )
            )
    return made


async def seen(database: Database, viewer: str, table: str, column: str) -> set[UUID]:
    """What a statement without any condition finds for a viewer."""
    sql = Sql(f"SELECT {column} AS found FROM {table}", (), {}, {}, {})
    with viewing(viewer):
        return {row[0] for row in await database.reader.fetch(Statement(sql, labels=["found"]), {})}


def expected(made: Fixtures, person: str) -> dict[tuple[str, str], set[UUID]]:
    """By table and column, what the person may see of this world."""
    model, ids = made.model, made.ids
    tasks = {name for name in model.tasks if model.sees_task(person, name)}
    member_of = {name for name in model.projects if model.role(person, name)}
    # They say whether what is in them is read-only.
    of_tasks = {model.tasks[name].project for name in tasks} - {None}
    managed = {name for name in member_of if model.role(person, name) >= Role.ADMIN}
    task_ids = {ids[name] for name in tasks}
    return {
        ("tasks", "id"): task_ids,
        ("task_counters", "task_id"): task_ids,
        ("projects", "id"): {ids[str(name)] for name in member_of | of_tasks},
        ("project_members", "id"): {
            id_ for (project, _), id_ in made.members.items() if project in member_of
        },
        ("task_shares", "id"): {
            ids[name]
            for name, share in model.shares.items()
            if share.person == person
            or model.manages_task(person, share.task)
            or (share.by == person and share.task in tasks)
        },
        ("comments", "id"): {ids[key] for key, one in model.comments.items() if one.task in tasks},
        ("time_entries", "id"): {
            ids[key]
            for key, one in model.entries.items()
            if one.person == person or one.project in managed
        },
        ("devices", "user_id"): {ids[person]},
        ("list_count_changes", "list_id"): {
            ids[task.project or task.owner]
            for task in model.tasks.values()
            if task.project in member_of or (task.project is None and task.owner == person)
        },
    }


def test_every_table_has_a_policy_or_a_reason_to_have_none() -> None:
    assert set(Base.metadata.tables) == POLICIES.keys() | WITHOUT.keys()
    assert not POLICIES.keys() & WITHOUT.keys()


async def test_a_bare_statement_finds_what_the_model_allows(
    secure: tuple[World, list[Fixtures]],
) -> None:
    world, worlds = secure
    for made in worlds:
        ours = set(made.ids.values()) | set(made.members.values())
        for person in sorted(made.model.people):
            for (table, column), wanted in expected(made, person).items():
                got = await seen(world.database, str(made.ids[person]), table, column)
                made.same(f"{table} of {person}", {str(one) for one in got}, set(map(str, wanted)))
                assert got <= ours


async def test_without_a_viewer_nothing_is_seen(secure: tuple[World, list[Fixtures]]) -> None:
    world, _ = secure
    for table in POLICIES:
        assert not await seen(world.database, "", table, "true"), table
        assert not await seen(world.database, str(fresh_id()), table, "true"), table
    # The server itself sees everything.
    assert await seen(world.database, "*", "tasks", "true")


async def test_a_key_sees_only_its_projects(secure: tuple[World, list[Fixtures]]) -> None:
    world, worlds = secure
    for made in worlds:
        for person in sorted(made.model.people):
            key = Viewer(user_id=made.ids[person], projects=(made.ids["P1"],))
            tasks = {
                made.ids[name]
                for name, task in made.model.tasks.items()
                if task.project == "P1" and made.model.sees_task(person, name)
            }
            assert await seen(world.database, key.row_viewer, "tasks", "id") == tasks
            projects = await seen(world.database, key.row_viewer, "projects", "id")
            assert projects <= {made.ids["P1"]}


async def test_what_one_read_was_allowed_is_not_left_on_the_connection(
    secure: tuple[World, list[Fixtures]],
) -> None:
    world, _ = secure
    assert await seen(world.database, "*", "tasks", "true")
    assert not await seen(world.database, "", "tasks", "true")
    with viewing("*"):
        async with world.database.reader.snapshot() as snapshot:
            sql = Sql("SELECT count(*) AS n FROM tasks", (), {}, {}, {})
            assert (await snapshot.fetch(Statement(sql, labels=["n"]), {}))[0].n
    async with world.database.reader.snapshot() as snapshot:
        assert not (await snapshot.fetch(Statement(sql, labels=["n"]), {}))[0].n


async def test_a_change_looks_up_its_object_as_the_viewer(
    secure: tuple[World, list[Fixtures]],
) -> None:
    world, worlds = secure
    made = worlds[0]
    hidden = [
        (person, name)
        for person in sorted(made.model.people)
        for name in made.model.tasks
        if not made.model.sees_task(person, name)
    ]
    person, name = hidden[0]
    async with world.database.transaction() as transaction:
        count = "SELECT count(*) AS n FROM tasks WHERE id = $1"
        sql = Sql(count, ("id",), {}, {}, {})
        statement = Statement(sql, labels=["n"])
        id_ = {"id": made.ids[name]}
        async with transaction.viewing(str(made.ids[person])):
            assert (await transaction.fetch(statement, id_))[0].n == 0
        assert (await transaction.fetch(statement, id_))[0].n == 1


async def test_it_is_turned_on_and_off(settings: Settings) -> None:
    async with own(settings, "owner", "prepared") as prepared:
        async with secured(prepared) as world:
            made = await _written(world, 1)
            stranger = str(fresh_id())
            all_tasks = {made.ids[name] for name in made.model.tasks}
            assert await seen(world.database, stranger, "tasks", "id") == all_tasks
            # While it runs.
            await migrate.secure_rows(prepared.database, on=True)
            assert not await seen(world.database, stranger, "tasks", "id")
            assert await revision.is_newest(prepared.database)
        off = prepared.database.model_copy(update={"row_security": "off"})
        assert not await revision.is_newest(off)
        with pytest.raises(migrate.MigrationError, match="TASKLOOM_ROW_SECURITY=on"):
            await migrate.upgrade(off)
        await migrate.secure_rows(prepared.database, on=False)
        assert await revision.is_newest(off)
        assert await migrate.upgrade(off) == []
        assert not await revision.is_newest(off.model_copy(update={"row_security": "on"}))


async def test_an_older_version_leaves_the_policies_of_a_newer_one(settings: Settings) -> None:
    """During an upgrade and after a roll-back, it does not know all tables."""
    async with own(settings, "owner", "on") as mine:
        await migrate.upgrade(mine.database)
        connection = await asyncpg.connect(mine.database.dsn)
        try:
            await connection.execute("CREATE TABLE later (id int)")
            await connection.execute("CREATE POLICY taskloom_seen ON later USING (false)")
            await connection.execute("ALTER TABLE later ENABLE ROW LEVEL SECURITY")
            await connection.execute("COMMENT ON DOMAIN taskloom_viewer IS 'of a newer version'")
            await connection.execute("UPDATE alembic_version SET version_num = '9999'")
            assert await migrate.upgrade(mine.database) == []
            assert await connection.fetchval(
                "SELECT relrowsecurity FROM pg_class WHERE relname = 'later'"
            )
        finally:
            await connection.close()


async def test_behind_a_pooler(settings: Settings) -> None:
    async with (
        own(settings, "owner", "on") as mine,
        small_pooler(mine.database.dsn) as url,
        secured(mine.with_database(url)) as world,
    ):
        made = await _written(world, 2)
        for person in sorted(made.model.people):
            wanted = expected(made, person)["tasks", "id"]
            assert await seen(world.database, str(made.ids[person]), "tasks", "id") == wanted


async def test_backup_and_restore(settings: Settings, tmp_path: Path) -> None:
    async with own(settings, "owner", "on") as first, own(settings, "owner", "on") as second:
        async with secured(first) as world:
            made = await _written(world, 3)
        written = await backup(first, tmp_path / "all.tar.gz")
        assert written.rows["tasks"] == len(made.model.tasks)
        restored = await restore(second, tmp_path / "all.tar.gz")
        assert restored.rows == written.rows
        async with secured(second) as world:
            for person in sorted(made.model.people):
                wanted = expected(made, person)["tasks", "id"]
                assert await seen(world.database, str(made.ids[person]), "tasks", "id") == wanted


QUERIES: Final = (
    (
        "{ tasks(first: 50) { totalCount nodes { id title commentCount assignee { username } "
        "project { name } shares { totalCount } "
        "comments(first: 3) { nodes { author { username } } } "
        "subtasks(first: 5) { nodes { title } } parent { id } viewerCanEdit viewerCanShare } } }"
    ),
    (
        "{ projects(first: 20) { totalCount nodes { name members { totalCount nodes { role } } "
        "tasks(first: 5) { totalCount nodes { title tags } } stats { total } } } }"
    ),
    (
        "{ viewer { receivedShares(first: 20) { totalCount nodes { id permission } } } "
        "taskStats { total sharedWithMe sharedByMe commentsPosted } }"
    ),
    (
        "{ timeEntries(first: 50) { totalCount nodes { id } } "
        "users(first: 50) { totalCount nodes { username } } }"
    ),
    (
        "{ trash(first: 20) { totalCount } viewer { notifications(first: 5) { totalCount } "
        "webhooks(first: 5) { totalCount } reminders(first: 20) { totalCount } "
        "sessions(first: 5) { totalCount } devices(first: 5) { totalCount } } }"
    ),
    '{ search(query: "the", first: 20) { totalCount } tags(first: 20) { nodes { name } } }',
)


async def test_answers_are_those_of_a_server_without_it(settings: Settings, demo: str) -> None:
    async with own(settings, "superuser", "on", demo) as mine, secured(mine) as world:
        # A superuser without the other role: policies do not apply.
        without = mine.database.model_copy(update={"row_security": "prepared"})
        other = create_app(mine.model_copy(update={"database": without}))
        users = await seen(world.database, "*", "users", "id")
        async with other.lifespan(), world_of(other) as plain:
            for user in sorted(users)[::3]:
                for query in QUERIES:
                    viewer = Viewer(user_id=user)
                    wanted = (await plain.run(query, viewer)).good
                    assert (await world.run(query, viewer)).good == wanted, query


@pytest.mark.nightly
@pytest.mark.parametrize("part", ["rights/test_rights.py", "access", "graph", "events", "jobs"])
def test_the_other_tests_pass_with_it(part: str) -> None:
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2"]
    environment = {**os.environ, "TASKLOOM_TEST_ROW_SECURITY": "on"}
    done = subprocess.run(
        [*program, f"tests/{part}"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-10_000:]


async def test_partitions_are_for_the_server_alone(secure: tuple[World, list[Fixtures]]) -> None:
    world, worlds = secure
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=400)
    async with world.database.connection() as connection, connection.transaction():
        await months.create(connection, [months.month_of(later)])
        tables = [partition.table for partition in await months.partitions(connection)]
        unsecured = (
            "SELECT relname FROM pg_class WHERE relname = ANY ($1) AND NOT relforcerowsecurity"
        )
        assert len(tables) >= 4
        assert await connection.fetch(unsecured, tables) == []
    project = models.Project(id=next(worlds[0].ids[name] for name in worlds[0].model.projects))
    member = next(iter(worlds[0].model.projects.values())).owner
    async with world.database.session() as session, session.begin():
        await session.execute(
            insert(models.Event).values(
                id=fresh_id(),
                at=later,
                kind="PROJECT_UPDATED",
                subject_type="Project",
                subject_id=project.id,
                project_id=project.id,
                audience=[],
                changes=[],
                request_id="x",
            )
        )
    viewer = str(worlds[0].ids[member])
    assert await seen(world.database, viewer, "events", "id")
    assert not await seen(world.database, str(fresh_id()), "events", "id")
    for table in tables[:-1]:
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
            assert not await seen(world.database, viewer, table, "id")
