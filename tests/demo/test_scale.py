"""The demo in bulk: rows that the domain could have made."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import func, select, text

from auth import access
from auth.request import RequestInfo
from auth.viewer import Viewer
from db.engine import Database
from db.models import Event, Project, ProjectMember, Role, Task, User
from demo.scale import TASKS_PER_PROJECT, USERS_PER_PROJECT
from demo.seed import seed_demo
from domain import rules
from domain.tasks import task as tasks
from domain.tasks.task import NewTask
from domain.work import Transactions
from events.bus import LocalBus
from settings import Settings
from tests.databases import address_of

NOW = dt.datetime(2026, 11, 20, 10, 30, tzinfo=dt.UTC)
SCALE = 9


class Undone(Exception):  # noqa: N818 - as a test leaves a transaction
    """Leaves a transaction so that it is rolled back."""


# Each project takes PostgreSQL a while, to write it and to analyze it: longer than a request may
# take, as on a busy machine.
SLOW = """
CREATE FUNCTION slow(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    IF name LIKE 'Dealer %' THEN PERFORM pg_sleep(0.05); END IF;
    RETURN name;
END $$;
CREATE INDEX slow ON projects (slow(name));
"""
LIMITS = {
    "statement_timeout_ms": 200,
    "lock_timeout_ms": 200,
    "idle_transaction_timeout_ms": 200,
}


@pytest.fixture(scope="module")
async def crowd(company: Database, settings: Settings) -> Database:
    async with company.connection() as connection:
        await connection.execute(SLOW)
    tight = settings.with_database(await address_of(settings, company)).database
    limited = await Database.connect(tight.model_copy(update=LIMITS))
    lines: list[str] = []
    made = await seed_demo(limited, settings, scale=SCALE, now=NOW, progress=lines.append)
    await limited.close()
    async with company.connection() as connection:
        await connection.execute("DROP INDEX slow")
    days = [f"{9 * (part + 1)} of 90 days stored" for part in range(10)]
    planner = "Updating the statistics of PostgreSQL's planner"
    assert lines == ["3,600 of 3,600 tasks made", *days, planner]
    assert made.created
    assert made.users == 12 + SCALE * USERS_PER_PROJECT
    assert made.projects == 8 + SCALE
    assert made.tasks == 600 + SCALE * TASKS_PER_PROJECT
    return company


async def all_of(database: Database, query: Any) -> list[Any]:
    async with database.session() as session:
        return list(await session.scalars(query))


async def test_every_project_has_one_owner_and_its_numbers_without_gaps(crowd: Database) -> None:
    members = await all_of(crowd, select(ProjectMember))
    numbers: dict[Any, list[int]] = defaultdict(list)
    for task in await all_of(crowd, select(Task).where(Task.project_id.is_not(None))):
        numbers[task.project_id].append(task.number)
    for project in await all_of(crowd, select(Project)):
        own = [member for member in members if member.project_id == project.id]
        assert [m.user_id for m in own if m.role is Role.OWNER] == [project.owner_id]
        assert sorted(numbers[project.id]) == list(range(1, project.last_number + 1))


async def test_tasks_hang_together_as_the_domain_hangs_them(crowd: Database) -> None:
    by_id = {task.id: task for task in await all_of(crowd, select(Task))}
    members = {
        (m.project_id, m.user_id)
        for m in await all_of(crowd, select(ProjectMember).where(ProjectMember.role >= Role.EDITOR))
    }
    levels = set()
    for task in by_id.values():
        assert task.tag_keys == [rules.tag_key(tag) for tag in task.tags]
        assert (task.completed_at is not None) == (task.status.name == "COMPLETED")
        if task.project_id is not None:
            assert (task.project_id, task.owner_id) in members
            assert task.assignee_id is None or (task.project_id, task.assignee_id) in members
        above, root = 0, task
        while root.parent_id is not None:
            root = by_id[root.parent_id]
            above += 1
        levels.add(above)
        assert task.root_id == (root.id if above else None)
        assert task.project_id == root.project_id
    assert levels == {0, 1, 2}


async def test_ada_works_in_some_of_the_projects_and_goes_on_there(crowd: Database) -> None:
    ada = (await all_of(crowd, select(User).where(User.username == "ada")))[0]
    viewer = Viewer(user_id=ada.id)
    seen = await all_of(
        crowd,
        select(Project).where(access.read(viewer, Project), Project.key.regexp_match(r"^D\d")),
    )
    assert {project.key for project in seen} == {"D1", "D5", "D9"}
    assert await all_of(crowd, select(Task.id).where(Task.assignee_id == ada.id))

    # The domain finds numbers and ranks as it would have left them.
    project = seen[0]
    request = RequestInfo(id="test")
    with suppress(Undone):
        async with Transactions(crowd, LocalBus()).begin(viewer, now=NOW, request=request) as work:
            task = await tasks.create(work, NewTask("One more", project_id=project.id))
            last = await work.session.scalar(
                select(func.max(Task.position)).where(Task.project_id == project.id)
            )
            assert task.number == TASKS_PER_PROJECT + 1
            assert task.position == last
            raise Undone


async def test_the_log_knows_of_every_task(crowd: Database) -> None:
    created = await all_of(crowd, select(Event.subject_id).where(Event.kind == "TASK_CREATED"))
    assert set(created) == set(await all_of(crowd, select(Task.id)))


async def test_a_second_time_adds_nothing(crowd: Database, settings: Settings) -> None:
    again = await seed_demo(crowd, settings, scale=SCALE + 1, now=NOW)
    assert not again.created
    assert again.projects == 8 + SCALE


async def test_rows_lie_in_the_order_of_their_time(crowd: Database) -> None:
    for table, column in (("tasks", "created_at"), ("comments", "created_at"), ("events", "at")):
        order = "position" if table == "events" else "ctid"
        # Of the dealers: the story of the company itself is told as it happened.
        dealers = "SELECT id FROM projects WHERE key ~ '^D[0-9]'"
        where = f"project_id IN ({dealers})"
        if table == "comments":
            where = f"task_id IN (SELECT id FROM tasks WHERE {where})"
        async with crowd.session() as session:
            times = await session.scalars(
                text(f"SELECT {column} FROM {table} WHERE {where} ORDER BY {order}")
            )
            found = list(times)
        assert len(found) >= SCALE * TASKS_PER_PROJECT
        # Some fill the gaps that the story has left.
        earlier = sum(one > other for one, other in pairwise(found))
        assert earlier <= (0 if table == "events" else len(found) // 20)
