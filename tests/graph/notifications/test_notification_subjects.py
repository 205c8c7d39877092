"""What notifications lead to: every kind somewhere, and never to what its reader may not see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from auth.viewer import Viewer
from db import models
from db.models import NotificationKind
from domain.integrations import integration as integrations
from domain.integrations import webhook_delivery as webhooks
from domain.notifications import notification as notifications
from domain.notifications.notification import Notice
from graph.core import ids
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, fresh_id, gid

SUBJECTS = """
{ viewer { notifications(orderBy: [{createdAt: ASC}], first: 50) { nodes {
  kind subject {
    __typename
    ... on Task { id } ... on Comment { id } ... on Reminder { id }
    ... on Webhook { id } ... on Integration { id }
  }
} } } }
"""
KIND = NotificationKind


async def notify(world: World, person: Person, kind: NotificationKind, **values: Any) -> None:
    if isinstance(comment := values.pop("comment", None), str):
        values["comment_id"] = ids.split(comment, ())[1]
    notice = Notice(person.id, kind, event_id=fresh_id(), **values)
    async with world._work(person) as work:
        await notifications.notify(work, [notice])


async def made(world: World, person: Person, mutation: str, gives: str, **values: Any) -> str:
    type_ = f"{mutation[0].upper()}{mutation[1:]}Input"
    below = f"{mutation}(input: $input) {{ {gives} {{ id }} errors {{ code message }} }}"
    reply = await world.run(f"mutation ($input: {type_}!) {{ {below} }}", person, input=values)
    id_: str = reply.good[mutation][gives]["id"]
    return id_


async def commented(world: World, person: Person, task: models.Task) -> str:
    return await made(world, person, "commentCreate", "comment", taskId=gid(task), body="So?")


async def row_of(world: World, model: Any, owner: Person) -> Any:
    async with world.database.session() as session:
        return await session.scalar(select(model).where(model.user_id == owner.id))


@pytest.mark.parametrize("engine", ENGINES)
async def test_every_kind_leads_somewhere(world: World, engine: Engine) -> None:
    ada, ben = await world.people(2)
    choose = """mutation { notificationPreferencesUpdate(input: {taskCompleted: {inApp: true}}) {
      errors { code } } }"""
    assert (await world.run(choose, ada)).good
    project = await world.project(ada, editors=[ben])
    task = await world.task(ben, project_id=project.id)
    comment = await commented(world, ben, task)
    reminder = await made(
        world, ada, "reminderCreate", "reminder", taskId=gid(task),
        rule={"daily": {"time": "09:00"}},
    )  # fmt: skip
    webhook = await made(world, ada, "webhookCreate", "webhook", url="https://receiver.example/x")
    link = await made(
        world, ada, "integrationCreate", "integration", projectId=gid(project),
        config={"github": {"repository": "octocat/garden", "token": "x"}},
    )  # fmt: skip
    expected: dict[str, dict[str, str]] = {}
    for kind in (
        KIND.TASK_SHARED_WITH_ME, KIND.TASK_ASSIGNED_TO_ME, KIND.TASK_COMPLETED, KIND.TASK_DUE_SOON
    ):  # fmt: skip
        await notify(world, ada, kind, actor_id=ben.id, task_id=task.id)
        expected[kind.name] = {"__typename": "Task", "id": gid(task)}
    for kind in (KIND.COMMENT_ON_MY_TASK, KIND.MENTIONED):
        await notify(world, ada, kind, actor_id=ben.id, task_id=task.id, comment=comment)
        expected[kind.name] = {"__typename": "Comment", "id": comment}
    due = await row_of(world, models.Reminder, ada)
    await notify(world, ada, KIND.REMINDER, task_id=task.id, subject=due)
    expected["REMINDER"] = {"__typename": "Reminder", "id": reminder}
    failing = await row_of(world, models.Webhook, ada)
    async with world._work(ada) as work:
        await webhooks.disable(work, failing.id, "It answered 410.")
    expected["WEBHOOK_DISABLED"] = {"__typename": "Webhook", "id": webhook}
    broken = await row_of(world, models.Integration, ada)
    async with world._work(ada) as work:
        row = await work.session.get_one(models.Integration, broken.id, with_for_update=True)
        await integrations.fail(work, row, "Its token has expired.")
    expected["INTEGRATION_FAILED"] = {"__typename": "Integration", "id": link}
    nodes = (await world.run(SUBJECTS, ada, engine=engine)).good["viewer"]["notifications"]["nodes"]
    assert {node["kind"]: node["subject"] for node in nodes} == expected
    assert set(expected) == {kind.name for kind in NotificationKind}


async def test_what_one_no_longer_sees_is_no_subject(world: World) -> None:
    ada, ben = await world.people(2)
    shared = await world.task(ada)
    comment = await commented(world, ada, shared)
    share = await made(
        world, ada, "taskShareCreate", "taskShare", taskId=gid(shared), userId=f"@{ben.username}"
    )
    await notify(
        world,
        ben,
        KIND.MENTIONED,
        actor_id=ada.id,
        task_id=shared.id,
        comment=comment,
    )

    async def subject() -> Any:
        nodes = (await world.run(SUBJECTS, ben)).good["viewer"]["notifications"]["nodes"]
        return nodes[0]["subject"]

    assert await subject() == {"__typename": "Comment", "id": comment}
    end = "mutation ($i: TaskShareDeleteInput!) { taskShareDelete(input: $i) { errors { code } } }"
    assert (await world.run(end, ada, i={"id": share})).codes == []
    assert await subject() is None


async def test_a_key_is_led_to_what_its_scopes_allow(world: World) -> None:
    ada, ben = await world.people(2)
    task = await world.task(ada)
    comment = await commented(world, ada, task)
    await notify(
        world,
        ada,
        KIND.MENTIONED,
        actor_id=ben.id,
        task_id=task.id,
        comment=comment,
    )
    asked = "{ viewer { notifications { nodes { subject { __typename } } } } }"

    async def subject(*scopes: str) -> Any:
        viewer: Viewer = replace(ada.viewer, scopes=frozenset(scopes))
        reply = await world.run(asked, viewer)
        return reply.good["viewer"]["notifications"]["nodes"][0]["subject"]

    assert await subject("notifications:read") is None
    assert await subject("notifications:read", "tasks:read") == {"__typename": "Task"}
    both = await subject("notifications:read", "tasks:read", "comments:read")
    assert both == {"__typename": "Comment"}
