"""The inbox as its owner sees it: listed, counted, read, live, and chosen."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import aclosing
from typing import Any

import pytest
from sqlalchemy import select, update

from db import models
from db.models import NotificationKind
from domain.notifications import notification as notifications
from domain.notifications.notification import Notice
from tests.accounts import Person
from tests.factories import World, fresh_id, gid

INBOX = """
query ($filter: NotificationFilter) {
  viewer {
    notifications(filter: $filter) {
      totalCount
      nodes { id kind isRead actor { username } task { title } comment { body } event { kind } }
    }
    unreadNotificationCount
  }
}
"""


async def tell(world: World, person: Person, **values: Any) -> models.Notification:
    """What the worker does, without one."""
    notice = Notice(recipient_id=person.id, event_id=fresh_id(), **values)
    async with world._work(person) as work:
        (made,) = await notifications.notify(work, [notice])
        stored: models.Notification = await work.session.get_one(models.Notification, made)
        return stored


async def inbox(world: World, person: Person, **filter_: Any) -> Any:
    return (await world.post(INBOX, person, filter=filter_ or None)).good["viewer"]


async def test_the_inbox_lists_what_one_was_told_the_newest_first(world: World) -> None:
    ada, ben = await world.people(2)
    task = await world.task(ada, "Dig", assignee_id=ben.id)
    now = dt.datetime.now(dt.UTC)
    kinds = [NotificationKind.TASK_ASSIGNED_TO_ME, NotificationKind.MENTIONED]
    for minutes, kind in enumerate(kinds):
        await tell(
            world,
            ben,
            kind=kind,
            actor_id=ada.id,
            task_id=task.id,
            at=now + dt.timedelta(minutes=minutes),
        )
    found = await inbox(world, ben)
    assert [node["kind"] for node in found["notifications"]["nodes"]] == [
        "MENTIONED",
        "TASK_ASSIGNED_TO_ME",
    ]
    assert found["notifications"]["totalCount"] == found["unreadNotificationCount"] == 2
    assert found["notifications"]["nodes"][0]["task"] == {"title": "Dig"}
    assert found["notifications"]["nodes"][0]["actor"] == {"username": ada.username}
    only = await inbox(world, ben, kind={"eq": "MENTIONED"})
    assert only["notifications"]["totalCount"] == 1
    assert (await inbox(world, ada))["notifications"]["nodes"] == []


async def test_a_page_of_the_inbox_takes_few_statements(world: World) -> None:
    ada, ben = await world.people(2)
    for number in range(5):
        task = await world.task(ada, f"Task {number}", assignee_id=ben.id)
        await tell(world, ben, kind=NotificationKind.MENTIONED, actor_id=ada.id, task_id=task.id)
    await inbox(world, ben)
    with world.heard() as statements:
        found = await inbox(world, ben)
    assert len(found["notifications"]["nodes"]) == 5
    # The page, the count, the unread ones, people, tasks, and (none here) events and comments.
    assert len(statements) <= 7


async def test_reading_and_unreading(world: World) -> None:
    ada, ben = await world.people(2)
    made = [await tell(world, ben, kind=NotificationKind.REMINDER, message=f"{n}") for n in "123"]
    marking = """
    mutation ($input: NotificationMarkReadInput!) {
      notificationMarkRead(input: $input) {
        notifications { id isRead readAt } unreadCount errors { code path }
      }
    }
    """

    async def mark(person: Person, ids: list[str], **values: Any) -> Any:
        reply = await world.post(marking, person, input={"ids": ids, **values})
        return reply.data["notificationMarkRead"]

    done = await mark(ben, [gid(made[0])])
    assert done["unreadCount"] == 2
    assert [node["isRead"] for node in done["notifications"]] == [True]
    read_at = done["notifications"][0]["readAt"]
    again = await mark(ben, [gid(made[0])])
    assert again["notifications"][0]["readAt"] == read_at
    assert (await mark(ben, [gid(made[0])], isRead=False))["unreadCount"] == 3
    # All or nothing, and nobody else's.
    refused = await mark(ada, [gid(made[1])])
    assert refused["errors"] == [{"code": "NOT_FOUND", "path": ["input", "ids", "0"]}]
    everything = "mutation { notificationMarkAllRead(input: {}) { markedCount } }"
    assert (await world.post(everything, ben)).good == {
        "notificationMarkAllRead": {"markedCount": 3}
    }
    assert (await inbox(world, ben))["unreadNotificationCount"] == 0
    assert (await inbox(world, ben, isRead=False))["notifications"]["nodes"] == []


async def test_the_task_of_a_notification_hides_with_the_right_to_see_it(world: World) -> None:
    ada, ben = await world.people(2)
    task = await world.task(ada, "Secret")
    await tell(world, ben, kind=NotificationKind.MENTIONED, actor_id=ada.id, task_id=task.id)
    (node,) = (await inbox(world, ben))["notifications"]["nodes"]
    assert node["task"] is None


async def test_preferences_have_defaults_and_stay_as_chosen(world: World) -> None:
    ada = await world.person()
    fields = """
      isEmailEnabled version
      taskSharedWithMe { inApp email push } taskAssignedToMe { inApp email push }
      taskCompleted { inApp email push } commentOnMyTask { inApp email push }
      mentioned { inApp email push } taskDueSoon { inApp email push }
      reminder { inApp email push } webhookDisabled { inApp email push }
      integrationFailed { inApp email push }
    """
    on, off = ({"inApp": value, "email": value, "push": value} for value in (True, False))
    asked = f"{{ viewer {{ notificationPreferences {{ {fields} }} }} }}"
    before = (await world.post(asked, ada)).good["viewer"]
    assert before["notificationPreferences"] == {
        "isEmailEnabled": True,
        "version": 0,
        "taskSharedWithMe": on,
        "taskAssignedToMe": on,
        "taskCompleted": off,
        "commentOnMyTask": on,
        "mentioned": on,
        "taskDueSoon": on,
        "reminder": on,
        "webhookDisabled": on,
        "integrationFailed": on,
    }
    changing = f"""
    mutation ($input: NotificationPreferencesUpdateInput!) {{
      notificationPreferencesUpdate(input: $input) {{
        notificationPreferences {{ {fields} }} errors {{ code path }}
      }}
    }}
    """

    async def choose(**values: Any) -> Any:
        reply = await world.post(changing, ada, input=values)
        return reply.data["notificationPreferencesUpdate"]

    changed = await choose(taskCompleted={"email": True}, mentioned={"push": False}, ifVersion=0)
    assert changed["errors"] == []
    assert changed["notificationPreferences"]["taskCompleted"] == off | {"email": True}
    assert changed["notificationPreferences"]["mentioned"] == on | {"push": False}
    assert changed["notificationPreferences"]["version"] == 1
    late = await choose(isEmailEnabled=False, ifVersion=0)
    assert late["notificationPreferences"] == changed["notificationPreferences"]
    assert [error["code"] for error in late["errors"]] == ["CONFLICT"]
    back = await choose(taskCompleted={"email": False}, isEmailEnabled=False)
    assert back["notificationPreferences"]["taskCompleted"] == off
    assert back["notificationPreferences"]["isEmailEnabled"] is False
    # The choices stay beneath.
    assert back["notificationPreferences"]["mentioned"] == on | {"push": False}


RECEIVED = """
subscription ($after: String) {
  notificationReceived(after: $after) { cursor unreadCount notification { id kind task { title } } }
}
"""


async def test_notifications_come_in_live_and_a_cut_stream_resumes(world: World) -> None:
    ada, ben, cem = await world.people(3)
    task = await world.task(ada, "Dig", assignee_id=ben.id)
    about = {"kind": NotificationKind.MENTIONED, "actor_id": ada.id, "task_id": task.id}
    async with asyncio.timeout(20), aclosing(world.deliveries(RECEIVED, ben)) as replies:
        waiting = asyncio.create_task(anext(replies))
        await asyncio.sleep(0.1)
        await tell(world, cem, **about)
        first = await tell(world, ben, **about)
        received = (await waiting).good["notificationReceived"]
    assert received["notification"]["id"] == gid(first)
    assert received["unreadCount"] == 1
    second = await tell(world, ben, **about)
    resumed = await world.first_delivery(RECEIVED, ben, after=received["cursor"])
    assert resumed.good["notificationReceived"]["notification"]["id"] == gid(second)


async def test_devices_are_registered_once_and_move_with_their_token(world: World) -> None:
    ada, ben = await world.people(2)
    registering = """
    mutation ($input: DeviceCreateInput!) {
      deviceCreate(input: $input) { device { id platform name } errors { code } }
    }
    """
    token = f"token-{fresh_id().hex}"

    async def register(person: Person, name: str | None = "Phone") -> Any:
        values = {"target": {"token": token}, "platform": "IOS", "name": name}
        reply = await world.post(registering, person, input=values)
        return reply.good["deviceCreate"]["device"]

    async def listed(person: Person) -> list[str]:
        reply = await world.post("{ viewer { devices { nodes { id } } } }", person)
        return [node["id"] for node in reply.good["viewer"]["devices"]["nodes"]]

    device = await register(ada)
    assert (device["platform"], device["name"]) == ("IOS", "Phone")
    assert (await register(ada))["id"] == device["id"]
    assert await listed(ada) == [device["id"]]
    assert (await register(ada, None))["name"] == "iOS"
    await register(ben)
    assert await listed(ada) == []
    gone = """
    mutation ($input: DeviceDeleteInput!) {
      deviceDelete(input: $input) { deletedId errors { code } }
    }
    """
    refused = (await world.post(gone, ada, input={"device": {"token": token}})).data["deviceDelete"]
    assert [error["code"] for error in refused["errors"]] == ["NOT_FOUND"]
    done = (await world.post(gone, ben, input={"device": {"token": token}})).good["deviceDelete"]
    assert done["deletedId"] == device["id"]
    assert await listed(ben) == []


async def test_a_device_gets_nothing_more_when_its_session_is_revoked(world: World) -> None:
    ada = await world.person()
    phone, drawer = [
        Person(ada.username, ada.email, await world.house.login(ada)) for _ in range(2)
    ]
    registering = """mutation ($input: DeviceCreateInput!) {
      deviceCreate(input: $input) { device { id } errors { code } } }"""
    for person, name in ((ada, "Laptop"), (phone, "Lost phone"), (drawer, "Phone in a drawer")):
        values = {"target": {"token": f"token-{fresh_id().hex}"}, "platform": "IOS", "name": name}
        assert (await world.post(registering, person, input=values)).good
    async with world.database.session() as session, session.begin():
        expired = (
            select(models.Device.session_id)
            .where(models.Device.name == "Phone in a drawer", models.User.username == ada.username)
            .where(models.User.id == models.Device.user_id)
        )
        await session.execute(
            update(models.Session)
            .where(models.Session.id == expired.scalar_subquery())
            .values(expires_at=dt.datetime.now(dt.UTC) - dt.timedelta(days=1))
        )

    async def names() -> list[str]:
        reply = await world.post("{ viewer { devices { nodes { name } } } }", ada)
        return sorted(node["name"] for node in reply.good["viewer"]["devices"]["nodes"])

    assert await names() == ["Laptop", "Lost phone", "Phone in a drawer"]
    revoking = "mutation { sessionRevokeOthers(input: {}) { errors { code } } }"
    assert (await world.post(revoking, ada)).good
    assert await names() == ["Laptop"]


async def test_a_device_moves_to_the_session_that_registers_it(world: World) -> None:
    ada = await world.person()
    later = Person(ada.username, ada.email, await world.house.login(ada))
    registering = """mutation ($input: DeviceCreateInput!) {
      deviceCreate(input: $input) { device { id } errors { code } } }"""
    values = {"target": {"token": f"token-{fresh_id().hex}"}, "platform": "IOS"}
    for person in (ada, later):
        assert (await world.post(registering, person, input=values)).good
    assert (await world.post("mutation { sessionRevoke(input: {}) { errors { code } } }", ada)).good
    listing = "{ viewer { devices { totalCount } } }"
    assert (await world.post(listing, later)).good["viewer"]["devices"]["totalCount"] == 1


@pytest.mark.parametrize("state", ["FAILED", "DONE"])
async def test_administrators_see_the_queue_and_run_failed_jobs_again(
    world: World, state: str
) -> None:
    admin = await world.person(is_admin=True)
    now = dt.datetime.now(dt.UTC)
    job = models.Job(
        id=fresh_id(),
        name=f"test.{fresh_id().hex}",
        payload={"secret": "of somebody"},
        state=models.JobState[state],
        attempts=12,
        reason="ConnectError: nobody listens",
        created_at=now,
        due_at=now,
        finished_at=now,
    )
    await world.rows(job)
    asked = """
    query ($filter: JobFilter) {
      adminJobs(filter: $filter) { nodes { id status attemptCount failureReason } }
      adminJobQueue { waiting running done failed oldestRunAt workers }
    }
    """
    found = (await world.post(asked, admin, filter={"name": {"eq": job.name}})).good
    assert found["adminJobs"]["nodes"] == [
        {
            "id": gid(job),
            "status": state,
            "attemptCount": 12,
            "failureReason": "ConnectError: nobody listens",
        }
    ]
    assert found["adminJobQueue"][state.lower()] >= 1
    retry = """
    mutation ($input: AdminJobRetryInput!) {
      adminJobRetry(input: $input) { job { status attemptCount } errors { code } }
    }
    """
    done = (await world.post(retry, admin, input={"id": gid(job)})).data["adminJobRetry"]
    if state == "FAILED":
        assert done == {"job": {"status": "WAITING", "attemptCount": 1}, "errors": []}
    else:
        assert done == {"job": None, "errors": [{"code": "BAD_USER_INPUT"}]}
