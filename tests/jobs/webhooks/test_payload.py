"""What arrives at a receiver: whose events, which, signed, and as its owner selected it."""

from __future__ import annotations

import asyncio
import datetime as dt

import asyncpg
import pytest
from sqlalchemy import select, update
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from db.models import (
    DeliveryState,
    ProjectMember,
    ReminderChannel,
    User,
)
from domain.projects import project as projects
from domain.tasks import comment as comments
from domain.tasks import reminder as reminders
from domain.tasks import task as tasks
from domain.tasks.reminder import NewReminder
from domain.tasks.schedule import Once
from jobs.reminders import remind
from tests.databases import address_of
from tests.factories import gid
from tests.jobs.webhooks.conftest import Scene


async def test_an_event_arrives_once_and_signed(scene: Scene) -> None:
    webhook, secret = await scene.webhook()
    await scene.task("Dig a pond")
    await scene.settle()
    (request,) = scene.receiver.requests
    scene.verify(request, secret)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{scene.receiver.port}"
    assert request.json["kind"] == "TASK_CREATED"
    assert request.json["id"] == request.id
    assert request.json["task"]["title"] == "Dig a pond"
    assert request.json["actor"]["username"] == scene.ada.username
    delivery = await scene.delivery(webhook)
    assert request.id == f"event_{delivery.event_id.hex}"
    assert (delivery.state, delivery.attempt) == (DeliveryState.DELIVERED, 1)
    assert (delivery.response_status, delivery.response_body) == (200, "thank you")
    assert delivery.request_body == request.body.decode()
    assert delivery.request_headers is not None
    assert "webhook-signature" not in delivery.request_headers


async def test_a_forged_body_does_not_verify(scene: Scene) -> None:
    _, secret = await scene.webhook()
    await scene.task()
    await scene.settle()
    (request,) = scene.receiver.requests
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(request.body + b" ", request.headers)


async def test_the_payload_is_what_the_owner_selects(scene: Scene) -> None:
    await scene.webhook(
        payload="{ type: kind task { ...T } changes { field } } fragment T on Task { title }"
    )
    await scene.task("Weed")
    await scene.settle()
    (request,) = scene.receiver.requests
    assert request.json == {"type": "TASK_CREATED", "task": {"title": "Weed"}, "changes": []}


async def test_the_default_payload_says_what_the_event_is_about(scene: Scene) -> None:
    await scene.webhook()
    task = await scene.task("Dig")
    await scene.house.do(scene.ben.viewer, comments.create, task.id, "With a **spade**.")
    reminder = NewReminder(
        Once(scene.house.clock() + dt.timedelta(hours=1)),
        task_id=task.id,
        message="Take the boots",
        channels=(ReminderChannel.WEBHOOK,),
    )
    await scene.house.do(scene.ada.viewer, reminders.create, reminder)
    scene.house.clock.forward(hours=2)
    await remind(scene.workshop.context)
    await scene.settle()
    subjects = {one.json["kind"]: one.json["subject"] for one in scene.receiver.requests}
    assert subjects["TASK_CREATED"] == {"__typename": "Task"}
    assert subjects["COMMENT_CREATED"] == {
        "__typename": "Comment",
        "body": "With a **spade**.",
        "editedAt": None,
        "parent": None,
    }
    assert subjects["REMINDER_DUE"] == {
        "__typename": "Reminder",
        "message": "Take the boots",
        "task": {"id": f"task_{task.id.hex}", "number": task.number, "title": "Dig"},
        "project": None,
    }


async def test_kinds_and_filter_choose_the_events(scene: Scene) -> None:
    await scene.webhook("/kinds", filter={"kind": {"eq": "TASK_COMPLETED"}})
    await scene.webhook("/titles", filter={"task": {"title": {"contains": "pond"}}})
    await scene.webhook(
        "/none",
        filter={"kind": {"in": ["TASK_COMPLETED"]}, "and": [{"kind": {"eq": "TASK_CREATED"}}]},
    )
    await scene.webhook("/others", filter={"not": {"actor": {"id": {"eq": gid(scene.ada)}}}})
    pond, hedge = await scene.task("Dig a pond"), await scene.task("Cut the hedge")
    for task in (pond, hedge):
        await scene.house.do(scene.ben.viewer, tasks.complete, task.id, None)
    await scene.settle()
    found = sorted(
        (one.path, one.json["kind"], one.json["task"]["title"]) for one in scene.receiver.requests
    )
    assert found == [
        ("/kinds", "TASK_COMPLETED", "Cut the hedge"),
        ("/kinds", "TASK_COMPLETED", "Dig a pond"),
        ("/others", "TASK_COMPLETED", "Cut the hedge"),
        ("/others", "TASK_COMPLETED", "Dig a pond"),
        ("/titles", "TASK_COMPLETED", "Dig a pond"),
        ("/titles", "TASK_CREATED", "Dig a pond"),
    ]


async def test_accounts_and_other_peoples_things_are_not_told(scene: Scene) -> None:
    stranger = await scene.house.person()
    webhook, _ = await scene.webhook(person=stranger)
    await scene.task()
    await scene.house.login(stranger)
    await scene.settle()
    assert scene.receiver.requests == []
    assert await scene.deliveries(webhook) == []


async def test_what_the_owner_may_not_see_any_more_is_not_sent(scene: Scene) -> None:
    webhook, _ = await scene.webhook(person=scene.ben)
    await scene.task()
    await scene.workshop.catch_up()
    scene.house.clock.forward(seconds=1)
    async with scene.house.work(scene.ada.viewer) as work:
        member = await work.session.scalar(
            select(ProjectMember).where(
                ProjectMember.project_id == scene.project.id,
                ProjectMember.user_id == scene.ben.id,
            )
        )
        assert member is not None
        await projects.remove_member(work, member.id)
    await scene.settle()
    # Of the project, and of the task in it.
    assert [one.json["kind"] for one in scene.receiver.requests] == ["ACCESS_LOST"] * 2
    skipped = (await scene.deliveries(webhook))[0]
    assert skipped.state is DeliveryState.SKIPPED
    assert skipped.request_body is None


async def test_nothing_goes_out_for_a_deactivated_owner(scene: Scene) -> None:
    webhook, _ = await scene.webhook()
    await scene.task()
    await scene.workshop.catch_up()
    async with scene.house.work() as work:
        users = update(User).where(User.id == scene.ada.id)
        await work.session.execute(users.values(is_active=False))
    await scene.task(person=scene.ben)
    await scene.settle()
    assert scene.receiver.requests == []
    assert (await scene.delivery(webhook)).state is DeliveryState.SKIPPED


async def test_the_payload_is_read_with_the_owners_rights(scene: Scene) -> None:
    """A session is shown to its user and to administrators alone."""
    await scene.webhook("/ada", payload="{ via session { id } }")
    await scene.webhook("/ben", person=scene.ben, payload="{ via session { id } }")
    await scene.task()
    await scene.settle()
    told = {one.path: one.json["session"] for one in scene.receiver.requests}
    session = scene.ada.viewer.session_id
    assert session is not None
    assert told == {"/ada": {"id": f"session_{session.hex}"}, "/ben": None}


async def test_what_the_database_could_not_read_is_not_sent_as_empty(scene: Scene) -> None:
    webhook, _ = await scene.webhook(payload="{ task { title comments(first: 1) { totalCount } } }")
    await scene.task("Weed")
    await scene.workshop.catch_up()
    dsn = await address_of(scene.house.settings, scene.house.database)
    holder, operator = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_locks"
        " WHERE NOT granted AND relation = 'comments'::regclass"
    )
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE comments IN ACCESS EXCLUSIVE MODE")
            attempt = asyncio.create_task(scene.workshop.run_due())
            while not attempt.done():
                await operator.execute(end)
                await asyncio.sleep(0.02)
        assert await attempt == 1
    finally:
        await holder.close()
        await operator.close()
    assert not scene.receiver.requests
    scene.house.clock.forward(seconds=10)
    await scene.workshop.run_due()
    (request,) = scene.receiver.requests
    assert request.json["task"] == {"title": "Weed", "comments": {"totalCount": 0}}
    assert (await scene.delivery(webhook)).attempt == 1
