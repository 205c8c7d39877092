"""Who is notified of what, through which channels; never twice, in vain or of their own acts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, text, update

from db.models import (
    Channel,
    Job,
    JobState,
    LogConsumer,
    Notification,
    NotificationKind,
    Permission,
    ProjectMember,
    Role,
    Task,
    User,
)
from domain.notifications import notification as notifications
from domain.projects import project as projects
from domain.projects.project import NewProject
from domain.tasks import comment as comments
from domain.tasks import share as shares
from domain.tasks import task as tasks
from domain.tasks.task import NewTask
from events.epoch import ensure_epoch
from jobs import consumer
from jobs.consumer import CONSUMERS, Consumer, advance
from tests.accounts import House, Person
from tests.jobs.conftest import Workshop

Kind = NotificationKind


class Scene:
    """A project of Ada's with Ben and Cem as editors; all have verified addresses."""

    def __init__(self, house: House, workshop: Workshop) -> None:
        self.house = house
        self.workshop = workshop

    async def set(self) -> Scene:
        self.ada, self.ben, self.cem = [await self.verified() for _ in range(3)]
        self.project = await self.house.do(self.ada.viewer, projects.create, NewProject("Garden"))
        for person in (self.ben, self.cem):
            await self.house.do(
                self.ada.viewer,
                projects.add_member,
                self.project.id,
                person.id,
                Role.EDITOR,
            )
        await self.workshop.all_done()
        return self

    async def verified(self) -> Person:
        person = await self.house.person()
        await self.set_user(person, email_verified_at=self.house.clock())
        return person

    async def set_user(self, person: Person, **values: Any) -> None:
        async with self.house.work() as work:
            await work.session.execute(update(User).where(User.id == person.id).values(**values))

    async def task(self, person: Person, title: str = "Dig", **values: Any) -> Task:
        self.house.clock.forward(seconds=1)
        new = NewTask(title, project_id=self.project.id, **values)
        return await self.house.do(person.viewer, tasks.create, new)

    async def assign(self, by: Person, task: Task, to: Person | None) -> None:
        self.house.clock.forward(seconds=1)
        await self.house.do(by.viewer, tasks.assign, task.id, None if to is None else to.id, None)

    async def comment(self, by: Person, task: Task, body: str) -> Any:
        self.house.clock.forward(seconds=1)
        return await self.house.do(by.viewer, comments.create, task.id, body)

    async def told(self, person: Person) -> list[Kind]:
        """The inbox, the oldest first."""
        await self.workshop.catch_up()
        async with self.house.database.session() as session:
            query = (
                select(Notification.kind)
                .where(Notification.recipient_id == person.id, Notification.in_app)
                .order_by(Notification.created_at, Notification.id)
            )
            return list(await session.scalars(query))


@pytest.fixture
async def scene(house: House, workshop: Workshop) -> Scene:
    return await Scene(house, workshop).set()


async def test_who_is_given_a_task_is_told_and_nobody_of_their_own_act(scene: Scene) -> None:
    task = await scene.task(scene.ada)
    await scene.assign(scene.ada, task, scene.ben)
    await scene.assign(scene.cem, task, scene.cem)
    assert await scene.told(scene.ben) == [Kind.TASK_ASSIGNED_TO_ME]
    assert await scene.told(scene.ada) == []
    assert await scene.told(scene.cem) == []


async def test_who_is_to_do_a_task_from_its_making_is_told_once(scene: Scene) -> None:
    task = await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.assign(scene.ada, task, scene.cem)
    assert await scene.told(scene.ben) == [Kind.TASK_ASSIGNED_TO_ME]
    assert await scene.told(scene.cem) == [Kind.TASK_ASSIGNED_TO_ME]


async def test_a_share_is_told(scene: Scene) -> None:
    stranger = await scene.verified()
    task = await scene.task(scene.ada)
    await scene.house.do(
        scene.ada.viewer,
        shares.create,
        task.id,
        user_id=stranger.id,
        permission=Permission.VIEW,
    )
    assert await scene.told(stranger) == [Kind.TASK_SHARED_WITH_ME]


async def test_comments_are_told_to_whose_task_it_is_and_mentions_to_the_mentioned(
    scene: Scene,
) -> None:
    task = await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.comment(scene.cem, task, f"@{scene.ben.username}, how deep? @{scene.cem.username}")
    assert await scene.told(scene.ada) == [Kind.COMMENT_ON_MY_TASK]
    assert await scene.told(scene.ben) == [Kind.TASK_ASSIGNED_TO_ME, Kind.MENTIONED]
    assert await scene.told(scene.cem) == []


async def test_an_edit_tells_only_those_whom_it_mentions_first(scene: Scene) -> None:
    task = await scene.task(scene.ada)
    comment = await scene.comment(scene.ada, task, f"@{scene.ben.username} look")
    await scene.house.do(
        scene.ada.viewer,
        comments.update,
        comment.id,
        f"@{scene.ben.username} @{scene.cem.username} look",
        None,
    )
    assert await scene.told(scene.ben) == [Kind.MENTIONED]
    assert await scene.told(scene.cem) == [Kind.MENTIONED]


async def test_a_name_taken_out_and_put_in_again_is_one_mention(scene: Scene) -> None:
    task = await scene.task(scene.ada)
    name = f"@{scene.ben.username}"
    comment = await scene.comment(scene.ada, task, name)
    for body in ("Nobody", f"Still {name}", "Nobody, really", f"{name}!"):
        await scene.house.do(scene.ada.viewer, comments.update, comment.id, body, None)
        if "!" not in body:
            await scene.told(scene.ben)
    assert await scene.told(scene.ben) == [Kind.MENTIONED]


async def test_a_mention_is_a_comment_on_my_task_where_mentions_are_off(scene: Scene) -> None:
    await scene.house.do(
        scene.ben.viewer,
        notifications.update_preferences,
        choices={Kind.MENTIONED: {Channel.IN_APP: False}},
    )
    task = await scene.task(scene.ben)
    await scene.comment(scene.ada, task, f"@{scene.ben.username}")
    assert await scene.told(scene.ben) == [Kind.COMMENT_ON_MY_TASK]


async def test_whose_task_it_was_when_it_happened_is_told(scene: Scene) -> None:
    """However late the worker is."""
    task = await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.comment(scene.ada, task, "For Ben")
    await scene.assign(scene.ada, task, scene.cem)
    await scene.comment(scene.ada, task, "For Cem")
    await scene.assign(scene.ada, task, None)
    await scene.comment(scene.ada, task, "For nobody")
    expected = [Kind.TASK_ASSIGNED_TO_ME, Kind.COMMENT_ON_MY_TASK]
    assert await scene.told(scene.ben) == expected
    assert await scene.told(scene.cem) == expected


async def test_what_happens_in_one_moment_stays_in_order(scene: Scene) -> None:
    task = await scene.task(scene.ada, assignee_id=scene.ben.id)
    for number in range(8):
        body = f"@{scene.ben.username}" if number % 2 else "Hello"
        await scene.house.do(scene.ada.viewer, comments.create, task.id, body)
    expected = [Kind.COMMENT_ON_MY_TASK, Kind.MENTIONED] * 4
    assert await scene.told(scene.ben) == [Kind.TASK_ASSIGNED_TO_ME, *expected]


async def test_a_completed_task_is_told_to_those_who_want_it(scene: Scene) -> None:
    async def wish(person: Person) -> None:
        await scene.house.do(
            person.viewer,
            notifications.update_preferences,
            choices={Kind.TASK_COMPLETED: {Channel.IN_APP: True}},
        )

    first = await scene.task(scene.ada)
    await scene.house.do(scene.ben.viewer, tasks.complete, first.id, None)
    assert await scene.told(scene.ada) == []
    await wish(scene.ada)
    second = await scene.task(scene.ada)
    await scene.house.do(scene.ben.viewer, tasks.complete, second.id, None)
    assert await scene.told(scene.ada) == [Kind.TASK_COMPLETED]


async def test_what_one_may_not_see_any_more_is_not_told(scene: Scene) -> None:
    task = await scene.task(scene.ada)
    await scene.assign(scene.ada, task, scene.ben)
    await scene.assign(scene.ada, task, None)
    mentioning = await scene.task(scene.ada)
    await scene.comment(scene.ada, mentioning, f"@{scene.ben.username}")
    async with scene.house.work(scene.ada.viewer) as work:
        member = await work.session.scalar(
            select(ProjectMember).where(
                ProjectMember.project_id == scene.project.id,
                ProjectMember.user_id == scene.ben.id,
            )
        )
        assert member is not None
        await projects.remove_member(work, member.id)
    assert await scene.told(scene.ben) == []


async def test_a_comment_that_is_gone_already_is_not_told(scene: Scene) -> None:
    task = await scene.task(scene.ada)
    comment = await scene.comment(scene.ben, task, "Oops")
    await scene.house.do(scene.ben.viewer, comments.delete, comment.id)
    assert await scene.told(scene.ada) == []


async def test_deactivated_people_are_told_nothing(scene: Scene) -> None:
    task = await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.set_user(scene.ada, is_active=False)
    await scene.comment(scene.ben, task, "Anybody there?")
    assert await scene.told(scene.ada) == []


async def test_events_that_are_acted_on_again_change_nothing(scene: Scene) -> None:
    """As after a restore, when the place may be set back."""
    task = await scene.task(scene.ada)
    async with scene.house.database.session() as session:
        place = await session.get_one(LogConsumer, "notifications")
        before = (place.xid, place.position)
    await scene.assign(scene.ada, task, scene.ben)
    assert await scene.told(scene.ben) == [Kind.TASK_ASSIGNED_TO_ME]
    async with scene.house.work() as work:
        place = await work.session.get_one(LogConsumer, "notifications")
        place.xid, place.position = before
    assert await scene.told(scene.ben) == [Kind.TASK_ASSIGNED_TO_ME]


async def test_a_restore_on_a_younger_server_loses_nothing(scene: Scene) -> None:
    """The ids in the log, and the place, are ahead of what this server has given out."""
    database = scene.house.database
    task = await scene.task(scene.ada)
    await scene.workshop.catch_up()
    await scene.assign(scene.ada, task, scene.ben)
    ahead = "(xid::text::bigint + 1000000000)::text::xid8"
    async with database.session() as session, session.begin():
        await session.execute(text(f"UPDATE events SET xid = {ahead}"))
        await session.execute(text(f"UPDATE log_consumers SET xid = {ahead}"))
    await ensure_epoch(database)
    assert await scene.told(scene.ben) == [Kind.TASK_ASSIGNED_TO_ME]
    await scene.assign(scene.ada, task, scene.cem)
    assert await scene.told(scene.cem) == [Kind.TASK_ASSIGNED_TO_ME]


async def test_of_several_workers_one_acts_on_an_event(scene: Scene) -> None:
    acted: list[Any] = []

    async def act(_tools: Any, _work: Any, events: Any) -> None:
        await asyncio.sleep(0.01)
        acted.extend(event.position for event in events)

    counting = Consumer("counting", act)
    await advance(scene.workshop.context, counting)
    await scene.task(scene.ada)
    await scene.workshop.catch_up()
    others = [Workshop(scene.house) for _ in range(4)]
    for _ in range(3):
        await asyncio.gather(*(advance(other.context, counting) for other in others))
    assert len(acted) == len(set(acted)) > 0


async def test_an_event_that_cannot_be_acted_on_is_put_aside_and_stops_nobody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted: list[str] = []
    broken = True

    async def act(_tools: Any, _work: Any, events: Any) -> None:
        for event in events:
            if broken and event.kind == "TASK_COMPLETED":
                raise ValueError("no idea what to do")
            acted.append(event.kind)

    clumsy = Consumer("clumsy", act)
    monkeypatch.setitem(CONSUMERS, "clumsy", clumsy)
    await advance(scene.workshop.context, clumsy)
    task = await scene.task(scene.ada)
    await scene.house.do(scene.ada.viewer, tasks.complete, task.id, None)
    await scene.house.do(scene.ada.viewer, tasks.reopen, task.id, None)
    await scene.workshop.catch_up()
    # The batch was begun, and then taken one by one.
    assert acted[-2:] == ["TASK_CREATED", "TASK_REOPENED"]
    await scene.workshop.run_due()
    async with scene.house.database.session() as session:
        job = await session.scalar(
            select(Job).where(Job.name == consumer.EVENT_JOB, Job.state != JobState.DONE)
        )
    assert job is not None
    assert job.reason == "ValueError: no idea what to do"
    broken = False
    scene.house.clock.forward(minutes=1)
    await scene.workshop.run_due()
    assert acted[-1] == "TASK_COMPLETED"


async def test_any_number_of_notifications_is_marked_as_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The latest at once, the others by the worker; those that come later stay unread."""
    monkeypatch.setattr(notifications, "READ_AT_ONCE", 2)
    for number in range(5):
        await scene.task(scene.ada, f"Task {number}", assignee_id=scene.ben.id)
    await scene.workshop.catch_up()
    assert await scene.house.do(scene.ben.viewer, notifications.count_unread) == 5
    assert await scene.house.do(scene.ben.viewer, notifications.mark_all_read) == 5
    assert await scene.house.do(scene.ben.viewer, notifications.count_unread) == 3
    await scene.task(scene.ada, "Later", assignee_id=scene.ben.id)
    await scene.workshop.all_done()
    assert await scene.house.do(scene.ben.viewer, notifications.count_unread) == 1
