"""Accounts with more than one transaction can delete: the worker removes the rest, however often it
is killed, and meanwhile nothing shows the person.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import exists, func, select, text

from db import models
from db.models import Job, JobState, Role
from domain.accounts import erasure
from domain.accounts.user_deletion import delete_oneself
from domain.projects import project as projects
from domain.projects.project import NewProject
from domain.tasks import share as shares
from domain.tasks import task as tasks
from domain.tasks.task import NewTask
from tests.accounts import PASSWORD, House, Person
from tests.databases import address_of
from tests.jobs.conftest import killed_again_and_again

_TASKS = """
INSERT INTO tasks (id, created_at, updated_at, version, project_id, number, title, status, priority,
    position, owner_id, assignee_id, tags, tag_keys)
SELECT gen_random_uuid(), now(), now(), 1, CAST(:project AS uuid),
    CASE WHEN CAST(:project AS uuid) IS NULL THEN NULL ELSE n END, 'Task ' || n, 10, 0,
    'a' || lpad(n::text, 8, '0'), CAST(:owner AS uuid), CAST(:assignee AS uuid), '{}', '{}'
FROM generate_series(1, :n) n
"""
_EVENTS = """
INSERT INTO events (id, at, kind, actor_id, ip, subject_type, subject_id, changes)
SELECT gen_random_uuid(), now(), 'USER_UPDATED', :user, '203.0.113.9', 'User', :user,
    '[{"field": "username", "from": "Ada", "to": "Adah"}]'
FROM generate_series(1, :n) n
"""
_TIME = """
INSERT INTO time_entries (id, created_at, updated_at, version, user_id, description, started_at,
    ended_at, is_billable, tags, tag_keys)
SELECT gen_random_uuid(), now(), now(), 1, :user, 'private', now(), now(), false, '{}', '{}'
FROM generate_series(1, :n) n
"""
_NOTIFICATIONS = """
INSERT INTO notifications (id, recipient_id, kind, created_at, in_app, email, event_id)
SELECT gen_random_uuid(), :user, 1, now(), true, false, gen_random_uuid()
FROM generate_series(1, :n) n
"""


class Account:
    """Somebody with many rows of each kind, and those who see some of them."""

    def __init__(self, house: House, person: Person, other: Person) -> None:
        self.house, self.person, self.other = house, person, other
        self.shown = UUID(int=0)
        self.memberships: list[UUID] = []

    async def run(self, statement: str, **params: Any) -> None:
        async with self.house.work() as work:
            await work.session.execute(text(statement), params)

    async def fill(self, rows: int) -> None:
        house, person, other = self.house, self.person, self.other
        alone = await house.do(person.viewer, projects.create, NewProject(name="alone"))
        await self.run(_TASKS, project=alone.id, owner=person.id, assignee=None, n=rows)
        await self.run(_TASKS, project=None, owner=person.id, assignee=None, n=rows)
        # Made last, and the first to go, since somebody sees it.
        shown = await house.do(person.viewer, tasks.create, NewTask("Shown"))
        await house.do(person.viewer, shares.create, shown.id, user_id=other.id)
        self.shown = shown.id
        for number in range(3):
            theirs = await house.do(other.viewer, projects.create, NewProject(name=f"P{number}"))
            await house.do(other.viewer, projects.add_member, theirs.id, person.id, Role.EDITOR)
            self.memberships.append(theirs.id)
        await self.run(_TASKS, project=theirs.id, owner=other.id, assignee=person.id, n=rows)
        given = await house.do(other.viewer, tasks.create, NewTask("Given"))
        await house.do(other.viewer, shares.create, given.id, user_id=person.id)
        for statement in (_EVENTS, _TIME, _NOTIFICATIONS):
            await self.run(statement, user=person.id, n=rows)

    async def left(self) -> list[str]:
        """What is left of the account, by name."""
        person = self.person.id
        task, event, member = models.Task, models.Event, models.ProjectMember
        deleted = select(models.Project.id).where(models.Project.deleted_at.is_not(None))
        found = {
            "personal tasks": exists().where(
                task.project_id.is_(None), task.owner_id == person, task.deleted_at.is_(None)
            ),
            "tasks of its projects": exists().where(
                task.project_id.in_(deleted), task.deleted_at.is_(None)
            ),
            "assignments": exists().where(task.assignee_id == person),
            "memberships": exists().where(
                member.user_id == person, member.project_id.in_(self.memberships)
            ),
            "shares": exists().where(models.TaskShare.user_id == person),
            "time": exists().where(models.TimeEntry.user_id == person),
            "notifications": exists().where(models.Notification.recipient_id == person),
            "addresses": exists().where(event.actor_id == person, event.ip.is_not(None)),
            "names": exists().where(
                event.subject_id == person, event.changes != text("'[]'::jsonb")
            ),
        }
        async with self.house.database.session() as session:
            return [name for name, one in found.items() if await session.scalar(select(one))]

    async def events(self) -> Counter[tuple[str, UUID]]:
        """How often the person did what to what, as the log says."""
        wanted = ("TASK_DELETED", "TASK_ASSIGNED", "PROJECT_MEMBER_REMOVED", "TASK_SHARE_DELETED")
        query = (
            select(models.Event.kind, models.Event.subject_id, func.count())
            .where(models.Event.actor_id == self.person.id, models.Event.kind.in_(wanted))
            .group_by(models.Event.kind, models.Event.subject_id)
        )
        async with self.house.database.session() as session:
            return Counter({(kind, id_): n for kind, id_, n in await session.execute(query)})

    async def delete(self) -> int:
        gone = await self.house.do(
            self.person.viewer, delete_oneself, self.house.auth, password=PASSWORD
        )
        return gone.lost_tasks


async def _account(house: House) -> Account:
    return Account(house, await house.person(), await house.person())


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.nightly)])
async def test_a_large_account_is_removed_however_often_the_worker_is_killed(
    house: House, kills: int
) -> None:
    account = await _account(house)
    rows = erasure.LIMIT * (2 + kills // 2)
    await account.fill(rows)
    assert await account.delete() == 1
    # At once: what others could see of it, and who it was.
    async with house.work() as work:
        shown = await work.session.get_one(models.Task, account.shown)
        user = await work.session.get_one(models.User, account.person.id)
        assert shown.deleted_at is not None
        assert not {account.person.username, account.person.email} & {user.username, user.email}
    assert await account.left(), "one transaction removed everything"

    async def finished() -> bool:
        async with house.database.session() as session:
            unfinished = Job.state.in_([JobState.WAITING, JobState.RUNNING])
            return not await session.scalar(select(exists().where(unfinished)))

    variables = {
        "DATABASE_URL": await address_of(house.settings, house.database),
        "TASKLOOM_JOB_LEASE_SECONDS": "1",
    }
    async with (
        asyncio.timeout(60 + 30 * kills),
        killed_again_and_again(house.database, kills, **variables) as killed,
    ):
        while killed() < kills or not await finished():
            await asyncio.sleep(0.1)
    assert await account.left() == []
    told = await account.events()
    assert set(told.values()) == {1}
    assert Counter(kind for kind, _ in told) == {
        "TASK_DELETED": 2 * rows + 1,
        "TASK_ASSIGNED": rows,
        "PROJECT_MEMBER_REMOVED": len(account.memberships),
        "TASK_SHARE_DELETED": 1,
    }


async def test_a_small_account_is_removed_at_once(house: House) -> None:
    account = await _account(house)
    await account.fill(5)
    await account.delete()
    assert await account.left() == []
    async with house.database.session() as session:
        mine = Job.payload["user"].astext == account.person.id.hex
        assert not await session.scalar(select(exists().where(Job.name == erasure.JOB, mine)))
