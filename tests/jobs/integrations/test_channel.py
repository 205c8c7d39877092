"""Messages to a channel of Slack."""

from __future__ import annotations

import pytest

from db.models import (
    IntegrationStatus,
)
from domain.tasks import comment as comments
from domain.tasks import task as tasks
from domain.tasks.task import NewTask
from events.kinds import EventKind
from tests.jobs.integrations.conftest import Scene


async def test_a_channel_is_told_what_was_chosen(scene: Scene) -> None:
    integration = await scene.slack(EventKind.TASK_CREATED, EventKind.COMMENT_CREATED)
    new = NewTask("Dig <!channel>", project_id=scene.project.id)
    task = await scene.house.do(scene.ben.viewer, tasks.create, new)
    await scene.house.do(scene.ben.viewer, tasks.complete, task.id, None)
    await scene.house.do(scene.ben.viewer, comments.create, task.id, "Done")
    await scene.house.do(scene.ben.viewer, tasks.create, NewTask("Elsewhere"))
    await scene.later()
    name = f"Person {scene.ben.username}"
    plain = [message["blocks"][0]["text"] for message in scene.other.messages]
    assert sorted(one["text"] for one in plain) == [
        f"{name} commented on “Dig <!channel>”",
        f"{name} created “Dig <!channel>”",
    ]
    assert {one["type"] for one in plain} == {"plain_text"}
    assert all("<!channel>" not in message["text"] for message in scene.other.messages)
    assert (await scene.fresh(integration)).last_sync_at is not None


@pytest.mark.parametrize("status", [301, 401, 403, 404, 410])
async def test_a_channel_that_is_gone_is_told_nothing_more(scene: Scene, status: int) -> None:
    integration = await scene.slack()
    scene.other.refuse = (status, {})
    for title in ("One", "Two"):
        new = NewTask(title, project_id=scene.project.id)
        await scene.house.do(scene.ada.viewer, tasks.create, new)
        await scene.later()
    row = await scene.fresh(integration)
    assert row.status is IntegrationStatus.FAILED
    assert row.last_error is not None
    assert "/hook" not in row.last_error
    assert len(scene.other.calls) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_channel_is_told_later(scene: Scene, status: int) -> None:
    await scene.slack()
    scene.other.refuse = (status, {"Retry-After": "30"})
    new = NewTask("One", project_id=scene.project.id)
    await scene.house.do(scene.ada.viewer, tasks.create, new)
    await scene.later()
    scene.other.refuse = None
    await scene.later(seconds=20)
    assert len(scene.other.calls) == 1
    await scene.later(seconds=20)
    assert len(scene.other.calls) == 2


async def test_a_message_that_is_not_accepted_is_dropped_alone(scene: Scene) -> None:
    integration = await scene.slack()
    scene.other.refuse = (400, {})
    new = NewTask("One", project_id=scene.project.id)
    await scene.house.do(scene.ada.viewer, tasks.create, new)
    await scene.later()
    row = await scene.fresh(integration)
    assert row.status is IntegrationStatus.ACTIVE
    assert row.last_error == ("The channel's webhook rejected a message: it answered 400.")
    scene.other.refuse = None
    await scene.house.do(
        scene.ada.viewer, tasks.create, NewTask("Two", project_id=scene.project.id)
    )
    await scene.later(hours=2)
    texts = [message["text"] for message in scene.other.messages[1:]]
    assert ["Two" in text for text in texts] == [True]
    assert (await scene.fresh(integration)).last_error is None


async def test_what_fails_there_is_sent_again(scene: Scene) -> None:
    integration = await scene.slack()
    scene.other.refuse = (500, {})
    new = NewTask("@all <@U1> & co", project_id=scene.project.id)
    await scene.house.do(scene.ada.viewer, tasks.create, new)
    await scene.later()
    assert (await scene.fresh(integration)).status is IntegrationStatus.ACTIVE
    scene.other.refuse = None
    await scene.later(minutes=10)
    assert len(scene.other.messages) == 2
    text = scene.other.messages[-1]["text"]
    assert "&lt;@\u2060U1&gt; &amp; co" in text
    assert "@all" not in text
