"""What an API key connected does no more than the key may, and ends with it."""

from __future__ import annotations

from typing import Any

import pytest

from db.models import Integration, IntegrationStatus
from domain.accounts import api_key as api_keys
from domain.tasks import comment as comments
from domain.tasks import task as tasks
from domain.tasks.task import NewTask
from events.kinds import EventKind
from graph.core import ids
from tests.factories import gid
from tests.graph_api import Api
from tests.jobs.integrations.conftest import Scene

CONNECT = """
mutation ($input: IntegrationCreateInput!) { integrationCreate(input: $input) {
  integration { id } errors { code path message } } }
"""
UPDATE = """
mutation ($input: IntegrationUpdateInput!) { integrationUpdate(input: $input) {
  integration { status failureReason apiKey { id } } errors { code path message } } }
"""
SLACK = ("integrations:write", "events:read", "projects:read", "tasks:read")


async def key_of(scene: Scene, *scopes: str) -> Any:
    return await scene.house.do(scene.ada.viewer, api_keys.create, name="CI", scopes=scopes)


async def connect(scene: Scene, who: Any, **values: Any) -> Any:
    given = {"projectId": gid(scene.project), **values}
    return (await Api(scene.house)(CONNECT, who, input=given)).of("integrationCreate")


def slack(scene: Scene, *kinds: str) -> dict[str, Any]:
    return {"config": {"slack": {"events": list(kinds), "webhookUrl": f"{scene.other.url}/hook"}}}


async def test_an_integration_ends_with_the_key_that_made_it(scene: Scene) -> None:
    key = await key_of(scene, *SLACK)
    made = await connect(scene, key.key.text, **slack(scene, "TASK_CREATED"))
    assert not made["errors"]
    id_ = made["integration"]["id"]
    await scene.house.do(
        scene.ada.viewer, tasks.create, NewTask("One", project_id=scene.project.id)
    )
    await scene.later()
    assert len(scene.other.messages) == 1
    await scene.house.do(scene.ada.viewer, api_keys.revoke, scene.house.auth, key.row.id)
    await scene.house.do(
        scene.ada.viewer, tasks.create, NewTask("Secret", project_id=scene.project.id)
    )
    await scene.later()
    assert len(scene.other.messages) == 1
    async with scene.house.database.session() as session:
        row = await session.get_one(Integration, ids.decode(Integration, id_, ()))
    assert row.status is IntegrationStatus.FAILED
    assert row.last_error == "The API key that created it was revoked."
    assert len(await scene.told()) == 1

    async def update(who: Any = scene.ada, **values: Any) -> Any:
        reply = await Api(scene.house)(UPDATE, who, input={"id": id_, **values})
        return reply.of("integrationUpdate")

    other = await key_of(scene, *SLACK)
    (error,) = (await update(other.key.text, isPaused=False))["errors"]
    assert (error["code"], error["path"]) == ("FORBIDDEN", ["input", "id"])
    (error,) = (await update(isPaused=False))["errors"]
    assert (error["code"], error["path"]) == ("BAD_USER_INPUT", ["input", "takeOver"])
    taken = (await update(takeOver=True))["integration"]
    assert taken == {"status": "ACTIVE", "failureReason": None, "apiKey": None}
    await scene.house.do(
        scene.ada.viewer, tasks.create, NewTask("Again", project_id=scene.project.id)
    )
    await scene.later()
    assert len(scene.other.messages) == 2


@pytest.mark.parametrize(
    ("scopes", "kinds", "needed"),
    [
        (("integrations:write",), ["TASK_CREATED"], "events:read"),
        (SLACK[:2], ["TASK_CREATED"], "projects:read"),
        (SLACK[:3], ["TASK_CREATED"], "tasks:read"),
        (SLACK, ["COMMENT_CREATED"], "comments:read"),
        (SLACK, ["ATTACHMENT_CREATED"], "files:read"),
    ],
)
async def test_a_channel_is_not_told_what_the_key_may_not_read(
    scene: Scene, scopes: tuple[str, ...], kinds: list[str], needed: str
) -> None:
    key = await key_of(scene, *scopes)
    (error,) = (await connect(scene, key.key.text, **slack(scene, *kinds)))["errors"]
    assert error["code"] == "FORBIDDEN"
    assert f"`{needed}`" in error["message"]


async def test_what_github_changes_here_the_key_may_change(scene: Scene) -> None:
    github = {"config": {"github": {"repository": "octo/repo", "token": "token"}}}
    for scopes, needed in (
        (("integrations:write",), "tasks:write"),
        (("integrations:write", "tasks:write"), "comments:write"),
    ):
        key = await key_of(scene, *scopes)
        (error,) = (await connect(scene, key.key.text, **github))["errors"]
        assert f"`{needed}`" in error["message"]


async def test_another_s_integration_is_not_turned_to_another_channel(scene: Scene) -> None:
    integration = await scene.slack(EventKind.COMMENT_CREATED)
    key = await key_of(scene, *SLACK)
    elsewhere = {"slack": {"webhookUrl": f"{scene.other.url}/elsewhere"}}
    given = {"id": gid(integration), "config": elsewhere}
    reply = await Api(scene.house)(UPDATE, key.key.text, input=given)
    (error,) = reply.of("integrationUpdate")["errors"]
    assert error["code"] == "FORBIDDEN"
    assert "comments:read" in error["message"]
    task = await scene.house.do(
        scene.ada.viewer, tasks.create, NewTask("One", project_id=scene.project.id)
    )
    await scene.house.do(scene.ada.viewer, comments.create, task.id, "Done")
    await scene.later()
    assert [call.path for call in scene.other.calls] == ["/hook"]
