"""What is over is deleted for good, what is not stays, and one process does it at a time."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import func, literal_column, select

from db.engine import Database
from db.models import (
    CommentRevision,
    IdempotencyKey,
    Project,
    ProjectMember,
    RefreshToken,
    Session,
    Task,
    TimeEntry,
)
from domain import dependents, idempotency, pruning, trash
from domain.accounts import session as sessions
from domain.projects import project as projects
from domain.projects.project import NewProject
from domain.tasks import comment as comments
from domain.tasks import task as tasks
from domain.tasks.task import NewTask
from jobs import periodic
from settings import Settings
from tests.accounts import House, Person
from tests.databases import fresh_database


@pytest.fixture(scope="module")
async def database(settings: Settings) -> AsyncIterator[Database]:
    """Of its own: these tests live weeks ahead, and forget everybody's old things."""
    async with fresh_database(settings) as made:
        yield made


@pytest.fixture
def house(settings: Settings, database: Database) -> Iterator[House]:
    made = House(settings, database)
    yield made
    made.auth.close()


async def found(house: House, model: Any, *keys: Any) -> bool:
    async with house.database.session() as session:
        return await session.get(model, keys[0] if len(keys) == 1 else keys) is not None


async def tidy(house: House) -> bool:
    return await periodic.run_once(house.transactions, house.settings, clock=house.clock)


async def project_with_tree(house: House, person: Person) -> tuple[Project, list[Task]]:
    project = await house.do(person.viewer, projects.create, NewProject("Garden"))
    tree: list[Task] = []
    for level in range(3):
        new = NewTask(
            f"Level {level}",
            project_id=project.id if level == 0 else None,
            parent_id=tree[-1].id if tree else None,
        )
        tree.append(await house.do(person.viewer, tasks.create, new))
    return project, tree


async def test_what_was_in_the_trash_for_thirty_days_is_gone(house: House) -> None:
    person = await house.person()
    doomed, doomed_tree = await project_with_tree(house, person)
    kept, kept_tree = await project_with_tree(house, person)
    await house.do(person.viewer, projects.delete, doomed.id, None)
    await house.do(person.viewer, tasks.delete, kept_tree[1].id, None)
    house.clock.forward(days=29)
    later, _ = await project_with_tree(house, person)
    await house.do(person.viewer, projects.delete, later.id, None)

    await tidy(house)
    assert await found(house, Project, doomed.id)
    house.clock.forward(days=1)
    await tidy(house)

    assert not await found(house, Project, doomed.id)
    assert [await found(house, Task, task.id) for task in doomed_tree] == [False] * 3
    async with house.database.session() as session:
        members = select(ProjectMember).where(ProjectMember.project_id == doomed.id)
        assert await session.scalar(members) is None
    assert await found(house, Project, kept.id)
    assert [await found(house, Task, task.id) for task in kept_tree] == [True, False, False]
    # Deleted later, and so still to be restored.
    await house.do(person.viewer, projects.restore, later.id)


async def test_purging_in_portions_counts_each_task_once(house: House) -> None:
    person = await house.person()
    project, _ = await project_with_tree(house, person)
    await house.do(person.viewer, projects.delete, project.id, None)
    house.clock.forward(days=30)
    counts = []
    while any(gone := await house.do(person.viewer, trash.purge, chunk=2)):
        counts.append(gone)
    assert sum(gone.tasks for gone in counts) == 3
    assert sum(gone.projects for gone in counts) == 1
    assert max(gone.tasks for gone in counts) <= 2


async def test_purging_changes_few_rows_in_each_transaction(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much belongs to a project or to a task in the trash."""
    monkeypatch.setattr(dependents, "MOST", 2)
    person = await house.person()
    project, (task, *_) = await project_with_tree(house, person)
    for number in range(5):
        first = await house.do(person.viewer, comments.create, task.id, f"Comment {number}")
        for words in ("Reply", "Another reply"):
            await house.do(person.viewer, comments.create, task.id, words, parent_id=first.id)
        await house.do(person.viewer, comments.update, first.id, "Changed", None)
        async with house.work(person.viewer) as work:
            for task_id in (task.id, None):
                work.session.add(
                    TimeEntry(
                        id=work.new_id(),
                        user_id=person.id,
                        project_id=project.id,
                        task_id=task_id,
                        started_at=work.now,
                        ended_at=work.now,
                        created_at=work.now,
                        updated_at=work.now,
                    )
                )
    await house.do(person.viewer, projects.delete, project.id, None)
    house.clock.forward(days=30)
    await tidy(house)
    assert not await found(house, Project, project.id)
    async with house.database.session() as session:
        entries: Any = await session.execute(
            select(
                TimeEntry.project_id,
                TimeEntry.task_id,
                literal_column("time_entries.xmin").label("xmin"),
            ).where(TimeEntry.user_id == person.id)
        )
        rows = entries.all()
        assert len(rows) == 10
        assert {(row.project_id, row.task_id) for row in rows} == {(None, None)}
        # Time stays, and tells which transaction has changed it.
        assert max(Counter(row.xmin for row in rows).values()) <= 2
        left = select(func.count()).select_from(CommentRevision)
        assert await session.scalar(left) == 0


async def test_idempotency_keys_live_for_a_day(house: House) -> None:
    person = await house.person()
    await house.do(person.viewer, idempotency.claim, "a key", "taskCreate", [b"hash"])
    key = (str(person.id), "a key")
    house.clock.forward(hours=23)
    await tidy(house)
    assert await found(house, IdempotencyKey, *key)
    house.clock.forward(hours=1)
    await tidy(house)
    assert not await found(house, IdempotencyKey, *key)


async def test_what_piled_up_is_deleted_some_at_a_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "MOST", 2)
    person = await house.person()
    for number in range(5):
        await house.do(person.viewer, idempotency.claim, f"key {number}", "taskCreate", [b"hash"])
    house.clock.forward(days=1)
    await tidy(house)
    async with house.database.session() as session:
        assert not (await session.scalars(select(IdempotencyKey))).all()


async def test_ended_sessions_are_kept_for_a_month(house: House) -> None:
    person = await house.person()
    other = await house.login(person)
    assert other.viewer.session_id is not None
    await house.do(person.viewer, sessions.revoke, house.auth, session_id=other.viewer.session_id)

    async def left() -> int:
        async with house.database.session() as session:
            own = await session.scalars(select(Session.id).where(Session.user_id == person.id))
            return len(own.all())

    house.clock.forward(days=29)
    await tidy(house)
    assert await left() == 2
    house.clock.forward(days=2)
    await tidy(house)
    # The other one expired by itself, a week after it began.
    assert await left() == 1
    house.clock.forward(days=house.settings.auth.refresh_token_days)
    await tidy(house)
    assert await left() == 0


async def test_a_living_session_loses_old_links_of_its_chain_only(house: House) -> None:
    person = await house.person()
    grant = person.grant
    for _ in range(8):
        house.clock.forward(days=6)
        grant = await house.do(
            person.viewer, sessions.refresh, house.auth, refresh_token=grant.refresh_token
        )
    await tidy(house)
    async with house.database.session() as session:
        chain = select(RefreshToken).where(RefreshToken.session_id == person.viewer.session_id)
        links = list(await session.scalars(chain))
    assert 1 < len(links) < 9
    assert min(link.expires_at for link in links) >= house.clock()
    house.clock.forward(days=1)
    await house.do(person.viewer, sessions.refresh, house.auth, refresh_token=grant.refresh_token)


async def test_only_one_process_does_it_at_a_time(house: House) -> None:
    lock = int.from_bytes(b"periodic", "big", signed=True)
    async with house.database.connection() as elsewhere:
        await elsewhere.execute("SELECT pg_advisory_lock($1)", lock)
        assert not await tidy(house)
        await elsewhere.execute("SELECT pg_advisory_unlock($1)", lock)
    assert await tidy(house)
    # The lock was given back.
    assert await tidy(house)


async def test_it_runs_at_the_start_again_and_again_and_stops_when_asked(house: House) -> None:
    person = await house.person()
    stop = asyncio.Event()
    clock = house.clock

    async def gone(*key: str) -> None:
        while await found(house, IdempotencyKey, *key):
            await asyncio.sleep(0.01)

    running = asyncio.create_task(
        periodic.run_forever(
            house.transactions,
            house.settings,
            stop,
            clock=clock,
            every=dt.timedelta(milliseconds=20),
        )
    )
    async with asyncio.timeout(30):
        for name in ("first", "second"):
            await house.do(person.viewer, idempotency.claim, name, "taskCreate", [b"hash"])
            clock.forward(days=1)
            await gone(str(person.id), name)
        stop.set()
        await running
