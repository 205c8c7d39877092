"""Each reminder runs once, in time or once late; due dates are notified once."""

from __future__ import annotations

import asyncio
import datetime as dt
from ipaddress import ip_network
from typing import Any

import pytest
from sqlalchemy import select, text, update

from auth.encryption import Encryption
from db.models import (
    Channel,
    Event,
    Notification,
    NotificationKind,
    Permission,
    ProjectMember,
    Reminder,
    ReminderChannel,
    Role,
    Task,
    TaskShare,
    User,
    WebhookDelivery,
)
from domain.integrations import webhook as webhooks
from domain.integrations.webhook import NewWebhook, Receivers
from domain.notifications import notification as notifications
from domain.projects import project as projects
from domain.projects.project import NewProject
from domain.tasks import reminder as reminders
from domain.tasks import reminding
from domain.tasks import share as shares
from domain.tasks import task as tasks
from domain.tasks.reminder import NewReminder
from domain.tasks.schedule import Anchor, Daily, Once, Relative, Rule
from domain.tasks.task import NewTask
from jobs.reminders import notify_of_due, remind
from tests.accounts import House, Person
from tests.jobs.conftest import MailServer, Workshop

Kind = NotificationKind
Way = ReminderChannel
HOUR = dt.timedelta(hours=1)
ALL = tuple(Way)


class Scene:
    """Ada, whose address is verified, and a worker that runs on demand."""

    def __init__(self, house: House, workshop: Workshop) -> None:
        self.house = house
        self.workshop = workshop
        self.clock = house.clock

    async def set(self) -> Scene:
        self.ada, self.ben = await self.verified(), await self.verified()
        await self.workshop.catch_up()
        return self

    async def verified(self) -> Person:
        person = await self.house.person()
        async with self.house.work() as work:
            query = update(User).where(User.id == person.id)
            await work.session.execute(query.values(email_verified_at=self.clock()))
        return person

    async def task(self, **values: Any) -> Task:
        return await self.house.do(self.ada.viewer, tasks.create, NewTask("Dig", **values))

    async def change(self, task: Task, **values: Any) -> None:
        await self.house.do(self.ada.viewer, tasks.update_task, task.id, values, None)

    async def reminder(self, rule: Rule, **values: Any) -> Reminder:
        values.setdefault("message", None if "task_id" in values else "Water the roses")
        return await self.house.do(self.ada.viewer, reminders.create, NewReminder(rule, **values))

    async def read(self, reminder: Reminder) -> Reminder:
        async with self.house.database.session() as session:
            return await session.get_one(Reminder, reminder.id)

    async def told(self, person: Person | None = None) -> list[tuple[Kind, str | None]]:
        """The inbox, the oldest first."""
        async with self.house.database.session() as session:
            rows = await session.execute(
                select(Notification.kind, Notification.message)
                .where(Notification.recipient_id == (person or self.ada).id, Notification.in_app)
                .order_by(Notification.created_at, Notification.id)
            )
            return [(kind, message) for kind, message in rows]

    async def reminded(self, person: Person | None = None) -> int:
        """How often, once everything that is due was done."""
        await self.workshop.catch_up()
        await remind(self.workshop.context)
        return [kind for kind, _ in await self.told(person)].count(Kind.REMINDER)

    async def due_told(self, person: Person | None = None) -> int:
        await notify_of_due(self.workshop.context)
        return [kind for kind, _ in await self.told(person)].count(Kind.TASK_DUE_SOON)


@pytest.fixture
async def scene(house: House, workshop: Workshop) -> Scene:
    return await Scene(house, workshop).set()


# --- runs ----------------------------------------------------------------------------------------


async def test_a_reminder_runs_when_its_time_has_come_and_not_before(scene: Scene) -> None:
    at = scene.clock() + HOUR
    reminder = await scene.reminder(Once(at))
    scene.clock.forward(minutes=59)
    assert await scene.reminded() == 0
    scene.clock.forward(minutes=1)
    assert await scene.reminded() == 1
    assert await scene.told() == [(Kind.REMINDER, "Water the roses")]
    read = await scene.read(reminder)
    assert (read.next_run_at, read.last_run_at, read.version) == (None, scene.clock(), 1)
    scene.clock.forward(hours=5)
    assert await scene.reminded() == 1


async def test_what_was_missed_is_made_up_once_and_late(scene: Scene) -> None:
    time = (scene.clock() + HOUR).time().replace(second=0, microsecond=0)
    reminder = await scene.reminder(Daily(time, "UTC"))
    # The worker is away for ten days.
    scene.clock.forward(days=10, minutes=30)
    assert await scene.reminded() == 1
    assert await scene.reminded() == 1
    following = (await scene.read(reminder)).next_run_at
    assert following is not None
    assert scene.clock() < following <= scene.clock() + dt.timedelta(days=1)
    scene.clock.forward(days=1)
    assert await scene.reminded() == 2


async def test_of_many_workers_one_runs_a_reminder(scene: Scene) -> None:
    for _ in range(120):
        await scene.reminder(Once(scene.clock() + HOUR))
    scene.clock.forward(hours=1)
    crew = [Workshop(scene.house) for _ in range(6)]
    counts = await asyncio.gather(*(remind(one.context) for one in crew))
    assert sum(counts) == 120
    assert await scene.reminded() == 120


async def test_a_run_that_fails_leaves_nothing_behind_and_is_done_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the worker is killed before its transaction ends."""
    await scene.reminder(Once(scene.clock() + HOUR), channels=ALL)
    scene.clock.forward(hours=1)

    async def die(*_: Any, **__: Any) -> None:
        await notifications.notify(*_, **__)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(reminding, "notify", die)
        with pytest.raises(KeyboardInterrupt):
            await remind(scene.workshop.context)
    assert await scene.told() == []
    assert await scene.reminded() == 1


async def test_a_reminder_that_cannot_be_run_stops_no_other(scene: Scene) -> None:
    broken = await scene.reminder(Once(scene.clock() + HOUR))
    await scene.reminder(Once(scene.clock() + HOUR))
    async with scene.house.work() as work:
        query = text("""UPDATE reminders SET rule = '{"at": "never"}' WHERE id = :id""")
        await work.session.execute(query, {"id": broken.id})
    scene.clock.forward(hours=1)
    assert await scene.reminded() == 1
    assert (await scene.read(broken)).last_run_at is None
    async with scene.house.work() as work:
        await work.session.delete(await work.session.get_one(Reminder, broken.id))


async def test_reminders_that_are_off_and_of_the_deactivated_do_not_run(scene: Scene) -> None:
    await scene.reminder(Once(scene.clock() + HOUR), is_enabled=False)
    scene.clock.forward(hours=1)
    assert await scene.reminded() == 0
    later = await scene.reminder(Once(scene.clock() + HOUR), channels=ALL)
    async with scene.house.work() as work:
        query = update(User).where(User.id == scene.ada.id).values(is_active=False)
        await work.session.execute(query)
    scene.clock.forward(hours=1)
    assert await scene.reminded() == 0
    assert (await scene.read(later)).last_run_at is None


# --- ways ----------------------------------------------------------------------------------------


async def test_it_goes_by_the_ways_that_were_chosen(scene: Scene, mail: MailServer) -> None:
    task = await scene.task()
    await scene.reminder(
        Once(scene.clock() + HOUR), task_id=task.id, channels=(Way.EMAIL, Way.WEBHOOK)
    )
    scene.clock.forward(hours=1)
    assert await scene.reminded() == 0
    scene.clock.forward(minutes=1)
    await scene.workshop.run_due()
    (letter,) = mail.to(scene.ada.email)
    assert letter.message["Subject"] == "Reminder: “Dig”"
    async with scene.house.database.session() as session:
        query = select(Event).where(
            Event.kind == "REMINDER_DUE", Event.audience.contains([scene.ada.id])
        )
        event = await session.scalar(query)
    assert event is not None
    # For its owner alone, though others may see the task.
    assert (event.audience, event.task_id, event.project_id) == ([scene.ada.id], None, None)


async def test_without_the_webhooks_way_there_is_no_event_for_them(scene: Scene) -> None:
    await scene.reminder(Once(scene.clock() + HOUR), channels=(Way.IN_APP, Way.PUSH))
    scene.clock.forward(hours=1)
    assert await scene.reminded() == 1
    kinds = await scene.house.kinds(scene.ada.id)
    assert "NOTIFICATION_CREATED" in kinds
    assert "REMINDER_DUE" not in kinds


async def test_webhooks_are_sent_what_is_meant_for_them(scene: Scene) -> None:
    hooks = []
    for person in (scene.ada, scene.ben):
        webhook, _ = await scene.house.do(
            person.viewer,
            webhooks.create,
            Encryption(scene.house.settings),
            Receivers((ip_network("127.0.0.0/8"),), plain=True),
            NewWebhook("http://127.0.0.1:8099/hook", filter={"kind": {"eq": "REMINDER_DUE"}}),
        )
        hooks.append(webhook.id)
    await scene.reminder(Once(scene.clock() + HOUR), channels=(Way.WEBHOOK,))
    scene.clock.forward(hours=1)
    assert await scene.reminded() == 0
    await scene.workshop.catch_up()
    async with scene.house.database.session() as session:
        query = select(WebhookDelivery.webhook_id).where(WebhookDelivery.webhook_id.in_(hooks))
        assert list(await session.scalars(query)) == [hooks[0]]


# --- tasks whose times change --------------------------------------------------------------------


async def test_it_follows_the_due_time_of_its_task(scene: Scene) -> None:
    due = scene.clock() + 5 * HOUR
    task = await scene.task(due_at=due)
    reminder = await scene.reminder(Relative(Anchor.DUE, -60 * 60), task_id=task.id)
    assert reminder.next_run_at == due - HOUR
    await scene.change(task, due_at=due + HOUR)
    await scene.workshop.catch_up()
    assert (await scene.read(reminder)).next_run_at == due
    await scene.change(task, due_at=None)
    await scene.workshop.catch_up()
    assert (await scene.read(reminder)).next_run_at is None
    await scene.change(task, due_at=due, start_at=due)
    scene.clock.forward(hours=4)
    assert await scene.reminded() == 1
    # Another due time is another occasion.
    await scene.change(task, due_at=due + 3 * HOUR)
    assert await scene.reminded() == 1
    scene.clock.forward(hours=3)
    assert await scene.reminded() == 2


async def test_it_follows_the_start_after_as_before(scene: Scene) -> None:
    start = scene.clock() + HOUR
    task = await scene.task(start_at=start)
    await scene.reminder(Relative(Anchor.START, 30 * 60), task_id=task.id)
    scene.clock.forward(minutes=89)
    assert await scene.reminded() == 0
    scene.clock.forward(minutes=1)
    assert await scene.reminded() == 1


async def test_a_due_time_that_was_moved_a_moment_ago_is_looked_at(scene: Scene) -> None:
    """The run comes before the change was followed."""
    due = scene.clock() + 2 * HOUR
    task = await scene.task(due_at=due)
    reminder = await scene.reminder(Relative(Anchor.DUE, -60 * 60), task_id=task.id)
    await scene.workshop.catch_up()
    scene.clock.forward(hours=1)
    await scene.change(task, due_at=due + HOUR)
    await remind(scene.workshop.context)
    assert await scene.told() == []
    assert (await scene.read(reminder)).next_run_at == due
    scene.clock.forward(hours=1)
    assert await scene.reminded() == 1


async def test_a_change_that_was_followed_late_still_brings_its_run(scene: Scene) -> None:
    task = await scene.task()
    await scene.reminder(Relative(Anchor.DUE, -60 * 60), task_id=task.id)
    await scene.change(task, due_at=scene.clock() + 2 * HOUR)
    # No worker until long after.
    scene.clock.forward(hours=8)
    assert await scene.reminded() == 1


async def test_a_due_time_too_near_for_it_brings_no_run(scene: Scene) -> None:
    task = await scene.task()
    reminder = await scene.reminder(Relative(Anchor.DUE, -60 * 60), task_id=task.id)
    await scene.change(task, due_at=scene.clock() + dt.timedelta(minutes=10))
    assert await scene.reminded() == 0
    assert (await scene.read(reminder)).next_run_at is None


async def test_events_that_are_acted_on_again_bring_no_second_run(scene: Scene) -> None:
    task = await scene.task()
    await scene.reminder(Relative(Anchor.DUE, 0), task_id=task.id)
    changed_at = scene.clock()
    await scene.change(task, due_at=scene.clock() + HOUR)
    await scene.workshop.catch_up()
    scene.clock.forward(hours=1)
    assert await scene.reminded() == 1
    await scene.house.do(scene.ada.viewer, reminding.follow_tasks, {task.id: changed_at})
    assert await scene.reminded() == 1


async def test_what_is_done_is_not_reminded_of(scene: Scene) -> None:
    due = scene.clock() + HOUR
    task = await scene.task(due_at=due)
    daily = await scene.reminder(Daily(due.time().replace(second=0), "UTC"), task_id=task.id)
    await scene.reminder(Relative(Anchor.DUE, -30 * 60), task_id=task.id)
    await scene.house.do(scene.ada.viewer, tasks.complete, task.id, None)
    scene.clock.forward(hours=2)
    assert await scene.reminded() == 0
    await scene.house.do(scene.ada.viewer, tasks.reopen, task.id, None)
    assert (await scene.read(daily)).next_run_at is not None
    scene.clock.forward(days=1)
    assert await scene.reminded() == 1


# --- what one may not see ------------------------------------------------------------------------


async def test_a_task_that_is_out_of_sight_turns_it_off_with_a_reason(scene: Scene) -> None:
    task = await scene.house.do(scene.ben.viewer, tasks.create, NewTask("Ben's"))
    await scene.house.do(
        scene.ben.viewer,
        shares.create,
        task.id,
        user_id=scene.ada.id,
        permission=Permission.VIEW,
    )
    reminder = await scene.reminder(Once(scene.clock() + HOUR), task_id=task.id, channels=ALL)
    async with scene.house.work() as work:
        share = await work.session.scalar(select(TaskShare).where(TaskShare.task_id == task.id))
        assert share is not None
    await scene.house.do(scene.ben.viewer, shares.delete, share.id)
    scene.clock.forward(hours=1)
    assert await scene.reminded() == 0
    read = await scene.read(reminder)
    assert (read.is_enabled, read.next_run_at, read.version) == (False, None, 2)
    assert read.disabled_reason == reminding.LOST
    kinds = await scene.house.kinds(scene.ada.id)
    assert kinds[-1] == "REMINDER_UPDATED"
    assert "REMINDER_DUE" not in kinds


async def shared_by_ben(scene: Scene, **values: Any) -> tuple[Task, TaskShare]:
    """A task of Ben's that Ada sees by a share."""
    task = await scene.house.do(scene.ben.viewer, tasks.create, NewTask("Ben's", **values))
    share = await scene.house.do(
        scene.ben.viewer, shares.create, task.id, user_id=scene.ada.id, permission=Permission.VIEW
    )
    return task, share


async def test_the_times_of_a_task_out_of_sight_do_not_show(scene: Scene) -> None:
    due = scene.clock() + 48 * HOUR
    task, share = await shared_by_ben(scene, due_at=due)
    rule = Relative(Anchor.DUE, -3600)
    reminder = await scene.reminder(rule, task_id=task.id)
    await scene.workshop.catch_up()
    assert (await scene.read(reminder)).next_run_at == due - HOUR
    # Before the event about the end of the share is handled.
    async with scene.house.work() as work:
        ended = update(TaskShare).where(TaskShare.id == share.id)
        await work.session.execute(ended.values(expires_at=scene.clock() - HOUR))
    changed = {"due_at": due + 24 * HOUR}
    await scene.house.do(scene.ben.viewer, tasks.update_task, task.id, changed, None)
    await scene.workshop.catch_up()
    assert (await scene.read(reminder)).next_run_at == due - HOUR


async def test_a_reminder_is_off_as_soon_as_its_task_is_lost(scene: Scene) -> None:
    task, share = await shared_by_ben(scene)
    relative = await scene.reminder(Relative(Anchor.DUE, -3600), task_id=task.id)
    once = await scene.reminder(Once(scene.clock() + HOUR), task_id=task.id)
    kept = await scene.house.do(
        scene.ben.viewer,
        reminders.create,
        NewReminder(Once(scene.clock() + HOUR), task_id=task.id),
    )
    await scene.house.do(scene.ben.viewer, shares.delete, share.id)
    changed = {"due_at": scene.clock() + 48 * HOUR}
    await scene.house.do(scene.ben.viewer, tasks.update_task, task.id, changed, None)
    await scene.workshop.catch_up()
    for one in (relative, once):
        read = await scene.read(one)
        assert (read.is_enabled, read.next_run_at) == (False, None)
        assert read.disabled_reason == reminding.LOST
    assert (await scene.read(kept)).is_enabled


async def test_a_reminder_of_a_task_in_the_trash_follows_its_last_change(scene: Scene) -> None:
    task = await scene.task(due_at=scene.clock() + 48 * HOUR)
    reminder = await scene.reminder(Relative(Anchor.DUE, -3600), task_id=task.id)
    await scene.change(task, due_at=scene.clock() + 24 * HOUR)
    await scene.house.do(scene.ada.viewer, tasks.delete, task.id, None)
    await scene.workshop.catch_up()
    assert (await scene.read(reminder)).next_run_at == scene.clock() + 23 * HOUR
    await scene.house.do(scene.ada.viewer, tasks.restore, task.id)
    scene.clock.forward(hours=23)
    assert await scene.reminded() == 1


async def test_a_project_that_is_out_of_sight_does_too(scene: Scene) -> None:
    project = await scene.house.do(scene.ben.viewer, projects.create, NewProject("Garden"))
    await scene.house.do(
        scene.ben.viewer, projects.add_member, project.id, scene.ada.id, Role.VIEWER
    )
    rule = Daily((scene.clock() + HOUR).time().replace(second=0), "UTC")
    reminder = await scene.reminder(rule, project_id=project.id, message=None)
    scene.clock.forward(hours=2)
    assert await scene.reminded() == 1
    assert await scene.told() == [(Kind.REMINDER, "Reminder: “Garden”.")]
    async with scene.house.work() as work:
        member = await work.session.scalar(
            select(ProjectMember.id).where(
                ProjectMember.project_id == project.id, ProjectMember.user_id == scene.ada.id
            )
        )
        assert member is not None
    await scene.house.do(scene.ben.viewer, projects.remove_member, member)
    scene.clock.forward(days=1)
    assert await scene.reminded() == 1
    assert not (await scene.read(reminder)).is_enabled


async def test_a_task_in_the_trash_turns_it_off(scene: Scene) -> None:
    task = await scene.task()
    reminder = await scene.reminder(Once(scene.clock() + HOUR), task_id=task.id)
    await scene.house.do(scene.ada.viewer, tasks.delete, task.id, None)
    scene.clock.forward(hours=1)
    assert await scene.reminded() == 0
    assert (await scene.read(reminder)).disabled_reason == reminding.LOST


async def test_nothing_is_told_of_an_archived_project(scene: Scene, mail: MailServer) -> None:
    project = await scene.house.do(scene.ada.viewer, projects.create, NewProject("Garden"))
    task = await scene.task(due_at=scene.clock() + 30 * HOUR, project_id=project.id)
    rule = Daily((scene.clock() + HOUR).time().replace(second=0), "UTC")
    for target in ({"task_id": task.id}, {"project_id": project.id}):
        await scene.reminder(rule, channels=ALL, **target)
    archive = projects.set_archived
    await scene.house.do(scene.ada.viewer, archive, project.id, True, None)
    scene.clock.forward(hours=10)
    assert await scene.reminded() == 0
    assert await scene.due_told() == 0
    assert "REMINDER_DUE" not in await scene.house.kinds(scene.ada.id)
    # Once it is open again both go on.
    await scene.house.do(scene.ada.viewer, archive, project.id, False, None)
    assert await scene.due_told() == 1
    scene.clock.forward(hours=20)
    assert await scene.reminded() == 2
    # What was notified just before the archiving is not mailed.
    await scene.house.do(scene.ada.viewer, archive, project.id, True, None)
    scene.clock.forward(minutes=5)
    await scene.workshop.run_due()
    assert "is due" not in "".join(letter.text for letter in mail.to(scene.ada.email))


# --- due soon ------------------------------------------------------------------------------------


async def test_a_due_date_is_told_a_day_before_and_once(scene: Scene) -> None:
    due = scene.clock() + dt.timedelta(hours=30)
    task = await scene.task(due_at=due)
    scene.clock.forward(hours=5)
    assert await scene.due_told() == 0
    scene.clock.forward(hours=1)
    assert await scene.due_told() == 1
    scene.clock.forward(hours=1)
    assert await scene.due_told() == 1
    # Another date is notified too.
    await scene.change(task, due_at=due + HOUR)
    assert await scene.due_told() == 2
    assert await scene.due_told() == 2


async def test_whoever_is_to_do_it_is_told(scene: Scene) -> None:
    project = await scene.house.do(scene.ada.viewer, projects.create, NewProject("Garden"))
    await scene.house.do(
        scene.ada.viewer, projects.add_member, project.id, scene.ben.id, Role.EDITOR
    )
    await scene.task(due_at=scene.clock() + HOUR, assignee_id=scene.ben.id, project_id=project.id)
    assert await scene.due_told(scene.ben) == 1
    assert await scene.due_told(scene.ada) == 0


async def test_an_owner_who_left_the_project_is_not_told(scene: Scene) -> None:
    project = await scene.house.do(scene.ada.viewer, projects.create, NewProject("Garden"))
    joined = await scene.house.do(
        scene.ada.viewer, projects.add_member, project.id, scene.ben.id, Role.EDITOR
    )
    for title in ("Dig", "Sow"):
        new = NewTask(title, project_id=project.id, due_at=scene.clock() + HOUR)
        await scene.house.do(scene.ben.viewer, tasks.create, new)
    await scene.house.do(scene.ada.viewer, projects.remove_member, joined.id)
    assert await scene.due_told(scene.ben) == 0
    assert await scene.told(scene.ben) == []


async def test_what_is_done_gone_or_over_is_not_told(scene: Scene) -> None:
    done = await scene.task(due_at=scene.clock() + HOUR)
    await scene.house.do(scene.ada.viewer, tasks.complete, done.id, None)
    gone = await scene.task(due_at=scene.clock() + HOUR)
    await scene.house.do(scene.ada.viewer, tasks.delete, gone.id, None)
    await scene.task(due_at=scene.clock() - HOUR)
    assert await scene.due_told() == 0


async def test_who_does_not_want_to_hear_of_due_dates_does_not(scene: Scene) -> None:
    await scene.house.do(
        scene.ada.viewer,
        notifications.update_preferences,
        choices={Kind.TASK_DUE_SOON: dict.fromkeys(Channel, False)},
    )
    await scene.task(due_at=scene.clock() + HOUR)
    assert await scene.due_told() == 0


async def test_of_many_workers_one_tells_of_a_due_date(scene: Scene) -> None:
    for _ in range(80):
        await scene.task(due_at=scene.clock() + HOUR)
    crew = [Workshop(scene.house) for _ in range(6)]
    await asyncio.gather(*(notify_of_due(one.context) for one in crew))
    assert await scene.due_told() == 80
