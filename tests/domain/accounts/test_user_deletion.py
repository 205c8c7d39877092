"""Deleting an account: what is deleted with it, what stays, and what prevents it."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from auth.viewer import NOBODY
from db import models
from db.models import Permission, Role
from domain import trash
from domain.accounts import user
from domain.accounts.session import InvalidCredentials
from domain.accounts.user_deletion import delete_oneself
from domain.projects import project as projects
from domain.projects.project import NewProject
from errors import Forbidden, Unauthenticated
from tests.accounts import PASSWORD, House, Person
from tests.waiting import begun_beside


async def _leave(house: House, person: Person, password: str = PASSWORD) -> UUID:
    left = await house.do(person.viewer, delete_oneself, house.auth, password=password)
    return left.user_id


async def _project(house: House, owner: Person, *members: Person) -> models.Project:
    project = await house.do(owner.viewer, projects.create, NewProject(name=owner.username))
    for member in members:
        await house.do(owner.viewer, projects.add_member, project.id, member.id, Role.EDITOR)
    return project


async def _task(
    house: House,
    owner: Person,
    *,
    project: models.Project | None = None,
    assignee: Person | None = None,
) -> UUID:
    async with house.work(owner.viewer) as work:
        task = models.Task(
            id=work.new_id(),
            title="A task",
            project_id=None if project is None else project.id,
            number=None if project is None else 1,
            position="a0",
            owner_id=owner.id,
            assignee_id=None if assignee is None else assignee.id,
            created_at=work.now,
            updated_at=work.now,
            tags=[],
            tag_keys=[],
        )
        work.session.add(task)
    return task.id


async def test_the_password_is_required(house: House) -> None:
    person = await house.person()
    with pytest.raises(InvalidCredentials) as refused:
        await _leave(house, person, "wrong password")
    assert refused.value.path == ("password",)
    assert await house.auth.still_valid(person.viewer.credentials)
    with pytest.raises(Unauthenticated):
        await house.do(NOBODY, delete_oneself, house.auth, password=PASSWORD)


async def test_no_personal_data_remains(house: House) -> None:
    person = await house.person()
    assert await _leave(house, person) == person.id
    async with house.work() as work:
        # From the table, so that columns that the entity does not load are read too.
        users = models.User.__table__
        row = (await work.session.execute(select(users).where(users.c.id == person.id))).one()
        texts = [str(value) for value in row]
        events = await work.session.scalars(
            select(models.Event).where(models.Event.actor_id == person.id)
        )
        texts += [f"{event.changes} {event.ip}" for event in events]
        session = await work.session.get_one(models.Session, person.viewer.session_id)
        tokens = await work.session.scalar(
            select(func.count())
            .select_from(models.RefreshToken)
            .where(models.RefreshToken.session_id == session.id)
        )
    for text in texts:
        assert person.username not in text
        assert "203.0.113.9" not in text
    assert (session.ip, session.user_agent, session.device_name, tokens) == (None, None, None, 0)


async def test_access_ends_and_the_names_become_available(house: House) -> None:
    person = await house.person()
    await _leave(house, person)
    with pytest.raises(Unauthenticated):
        await house.auth.viewer(person.header)
    with pytest.raises(InvalidCredentials):
        await house.refresh(person.grant.refresh_token)
    with pytest.raises(InvalidCredentials):
        await house.login(person)
    await house.do(
        NOBODY,
        user.register,
        house.auth,
        username=person.username,
        email=person.email,
        password=PASSWORD,
    )


async def test_a_project_with_other_members_must_be_handed_over_first(house: House) -> None:
    owner, member = await house.person(), await house.person()
    project = await _project(house, owner, member)
    with pytest.raises(Forbidden, match=f"“{owner.username}”.*projectTransfer"):
        await _leave(house, owner)
    assert await house.auth.still_valid(owner.viewer.credentials)
    await house.do(owner.viewer, projects.transfer, project.id, member.id, None)
    await _leave(house, owner)
    async with house.work() as work:
        kept = await work.session.get_one(models.Project, project.id)
        left = await work.session.scalars(
            select(models.ProjectMember.user_id).where(
                models.ProjectMember.project_id == project.id
            )
        )
        assert (kept.owner_id, kept.deleted_at) == (member.id, None)
        assert list(left) == [member.id]


async def test_a_project_that_is_being_handed_over_to_the_user_keeps_an_owner(
    house: House,
) -> None:
    owner, heir = await house.person(), await house.person()
    project = await _project(house, owner, heir)
    async with house.work(owner.viewer) as work:
        await projects.transfer(work, project.id, heir.id, None)
        await work.session.flush()
        leaving = await begun_beside(house.database, work.session, _leave(house, heir))
    with pytest.raises(Forbidden, match="projectTransfer"):
        await leaving
    async with house.work() as work:
        kept = await work.session.get_one(models.Project, project.id)
        owners = await work.session.scalars(
            select(models.ProjectMember.user_id).where(
                models.ProjectMember.project_id == project.id,
                models.ProjectMember.role == Role.OWNER,
            )
        )
        assert [kept.owner_id] == list(owners) == [heir.id]


async def test_private_data_goes_to_the_trash_and_the_rest_stays(house: House) -> None:
    person, owner = await house.person(), await house.person()
    alone, shared = await _project(house, person), await _project(house, owner, person)
    personal = await _task(house, person)
    inside = await _task(house, person, project=alone)
    written = await _task(house, person, project=shared, assignee=person)
    given = await _task(house, owner, assignee=person)
    await _leave(house, person)
    async with house.work() as work:
        tasks = {
            id_: await work.session.get_one(models.Task, id_)
            for id_ in (personal, inside, written, given)
        }
        assert (await work.session.get_one(models.Project, alone.id)).deleted_at is not None
    assert tasks[personal].deleted_at is not None
    assert tasks[inside].deleted_at is not None
    # Its author has no name now, and nobody is assigned.
    assert (tasks[written].deleted_at, tasks[written].owner_id) == (None, person.id)
    assert tasks[written].assignee_id is None
    assert (tasks[given].deleted_at, tasks[given].assignee_id) == (None, None)


async def test_the_assignee_of_a_personal_task_is_notified(house: House) -> None:
    person, helper = await house.person(), await house.person()
    await _task(house, person, assignee=helper)
    await _leave(house, person)
    assert "TASK_DELETED" in await house.kinds(helper.id)


async def test_shares_with_a_deleted_user_end(house: House) -> None:
    person, owner = await house.person(), await house.person()
    task_id = await _task(house, owner)
    async with house.work(owner.viewer) as work:
        share = models.TaskShare(
            id=work.new_id(),
            created_at=work.now,
            updated_at=work.now,
            task_id=task_id,
            user_id=person.id,
            permission=Permission.EDIT,
            shared_by_id=owner.id,
        )
        work.session.add(share)
    await _leave(house, person)
    async with house.work() as work:
        assert await work.session.get(models.TaskShare, share.id) is None


async def test_time_entries_that_nobody_else_can_see_are_deleted_too(house: House) -> None:
    person, other = await house.person(), await house.person()
    project = await _project(house, other, person)
    async with house.work(person.viewer) as work:
        for where, words in ((None, "private words"), (project.id, "for the project")):
            work.session.add(
                models.TimeEntry(
                    id=work.new_id(),
                    user_id=person.id,
                    project_id=where,
                    description=words,
                    started_at=work.now,
                    ended_at=work.now,
                    created_at=work.now,
                    updated_at=work.now,
                )
            )
        await work.enqueue("mail.reset", {"email": person.email.upper()})
        await work.enqueue("mail.verification", {"user": person.id, "email": "new@example.com"})
        await work.enqueue("mail.reset", {"email": other.email})
    await _leave(house, person)
    async with house.work() as work:
        kept = await work.session.scalars(
            select(models.TimeEntry.description).where(models.TimeEntry.user_id == person.id)
        )
        jobs = await work.session.scalars(
            select(models.Job.payload).where(models.Job.name.startswith("mail."))
        )
        payloads = [str(payload).lower() for payload in jobs]
    assert list(kept) == ["for the project"]
    assert not [one for one in payloads if person.email.lower() in one or person.id.hex in one]
    assert [one for one in payloads if other.email.lower() in one]


async def test_time_in_a_project_goes_with_it_once_nobody_can_see_it(house: House) -> None:
    person, other = await house.person(), await house.person()
    alone, shared = await _project(house, person), await _project(house, other, person)
    async with house.work(person.viewer) as work:
        for where, whose in ((alone, person), (shared, person), (shared, other)):
            work.session.add(
                models.TimeEntry(
                    id=work.new_id(),
                    user_id=whose.id,
                    project_id=where.id,
                    description=f"of {whose.username}",
                    started_at=work.now,
                    ended_at=work.now,
                    created_at=work.now,
                    updated_at=work.now,
                )
            )
    # One project goes to the trash with the account, the other one later.
    await _leave(house, person)
    await house.do(other.viewer, projects.delete, shared.id, None)
    async with house.work() as work:
        old = update(models.Project).where(models.Project.id.in_([alone.id, shared.id]))
        await work.session.execute(old.values(deleted_at=work.now - dt.timedelta(days=31)))
    async with house.work() as work:
        await trash.purge(work)
    async with house.work() as work:
        kept = await work.session.scalars(
            select(models.TimeEntry.description).where(
                models.TimeEntry.user_id.in_([person.id, other.id])
            )
        )
        assert list(kept) == [f"of {other.username}"]
