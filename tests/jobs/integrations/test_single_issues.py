"""What is wrong with one issue concerns that issue, and undoes nothing that was done here."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from db.models import ExternalLink, Integration, IntegrationStatus, TaskStatus
from domain.integrations import integration as integrations
from domain.tasks import task as tasks
from tests.graph_api import Api
from tests.jobs.integrations.conftest import Scene
from tests.jobs.services import Call

COMPLETED = TaskStatus.COMPLETED


async def problems(scene: Scene, integration: Integration) -> dict[str, str]:
    """Of an integration, by what GitHub calls the issues."""
    async with scene.house.database.session() as session:
        rows = await session.scalars(
            select(ExternalLink).where(
                ExternalLink.integration_id == integration.id, ExternalLink.problem.is_not(None)
            )
        )
        return {row.external_id: row.problem or "" for row in rows}


async def connected(scene: Scene, *numbers: int) -> Integration:
    for number in numbers:
        scene.other.issue(number)
    integration = await scene.github()
    await scene.later()
    return integration


async def complete(scene: Scene, title: str) -> None:
    task = (await scene.tasks())[title]
    await scene.house.do(scene.ben.viewer, tasks.complete, task.id, None)
    await scene.later()


def refusing(status: int, headers: dict[str, str] | None = None) -> Any:
    def fault(call: Call) -> tuple[int, dict[str, str]] | None:
        return (status, headers or {}) if call.path.endswith("/issues/1") else None

    return fault


@pytest.mark.parametrize("status", [301, 403, 404, 410, 422, 451])
async def test_a_refused_issue_stops_nothing_and_reopens_nothing(scene: Scene, status: int) -> None:
    integration = await connected(scene, 1, 2)
    scene.other.fault = refusing(status)
    await complete(scene, "Issue 1")
    await complete(scene, "Issue 2")
    assert scene.other.issues[2]["state"] == "closed"
    # Whatever else happens to the issue, it stays done here.
    scene.other.issue(1, title="First")
    for _ in range(3):
        await scene.later(minutes=11)
    row = await scene.fresh(integration)
    assert (row.status, row.last_error) == (IntegrationStatus.ACTIVE, None)
    assert (await scene.tasks())["First"].status is COMPLETED
    assert list(await problems(scene, integration)) == [str(scene.other.issues[1]["id"])]
    # It is not tried with every run.
    assert len([call for call in scene.other.patches if call.path.endswith("/1")]) == 1
    # Once it is possible, asking for a synchronisation makes it up.
    scene.other.fault = lambda _call: None
    await scene.house.do(scene.ada.viewer, integrations.sync, integration.id)
    await scene.later(seconds=1)
    await scene.later(seconds=1)
    assert scene.other.issues[1]["state"] == "closed"
    assert await problems(scene, integration) == {}


async def test_without_the_right_to_write_the_change_waits_a_day(scene: Scene) -> None:
    integration = await connected(scene, 1)
    scene.other.read_only = {1}
    await complete(scene, "Issue 1")
    await scene.later(minutes=11)
    (problem,) = (await problems(scene, integration)).values()
    assert "cannot change it" in problem
    assert (await scene.tasks())["Issue 1"].status is COMPLETED
    scene.other.read_only = set()
    await scene.later(hours=25)
    await scene.later(seconds=1)
    assert scene.other.issues[1]["state"] == "closed"
    assert await problems(scene, integration) == {}


async def test_what_was_undone_here_is_no_problem_any_more(scene: Scene) -> None:
    integration = await connected(scene, 1)
    scene.other.read_only = {1}
    await complete(scene, "Issue 1")
    assert await problems(scene, integration)
    task = (await scene.tasks())["Issue 1"]
    await scene.house.do(scene.ben.viewer, tasks.reopen, task.id, None)
    await scene.later()
    assert await problems(scene, integration) == {}


async def test_a_transferred_issue_is_followed(scene: Scene) -> None:
    integration = await connected(scene, 1, 2)
    scene.other.transfer(1)
    await complete(scene, "Issue 1")
    moved = scene.other.transferred[1]
    assert moved["state"] == "closed"
    # Both ways from then on, though it is in no list.
    moved |= {"state": "open", "title": "Moved", "updated_at": "2026-02-01T00:00:00Z"}
    await scene.later(minutes=11)
    found = await scene.tasks()
    assert (set(found), found["Moved"].status) == ({"Moved", "Issue 2"}, TaskStatus.TODO)
    row = await scene.fresh(integration)
    assert (row.status, row.last_error) == (IntegrationStatus.ACTIVE, None)
    assert await problems(scene, integration) == {}


async def test_a_transferred_issue_is_followed_after_a_failure_too(scene: Scene) -> None:
    integration = await connected(scene, 1)
    scene.other.transfer(1)
    await complete(scene, "Issue 1")
    task = (await scene.tasks())["Issue 1"]
    scene.other.fault = lambda call: (500, {}) if call.method == "PATCH" else None
    await scene.house.do(scene.ben.viewer, tasks.reopen, task.id, None)
    await scene.later()
    assert await problems(scene, integration)
    scene.other.fault = lambda _call: None
    await scene.later(minutes=1)
    assert scene.other.transferred[1]["state"] == "open"
    assert await problems(scene, integration) == {}
    scene.other.transferred[1] |= {"title": "Moved", "updated_at": "2027-02-01T00:00:00Z"}
    await scene.later(minutes=22)
    assert set(await scene.tasks()) == {"Moved"}


@pytest.mark.parametrize("elsewhere", ["http://127.0.0.2:9/x", "https://127.0.0.1/x", "//[", ""])
async def test_a_redirect_to_another_server_is_not_followed(scene: Scene, elsewhere: str) -> None:
    """Else the token would go there."""
    integration = await connected(scene, 1)
    scene.other.fault = refusing(301, {"Location": elsewhere})
    await complete(scene, "Issue 1")
    assert len(scene.other.patches) == 1
    assert (await scene.fresh(integration)).status is IntegrationStatus.ACTIVE
    assert len(await problems(scene, integration)) == 1


async def test_an_issue_that_cannot_be_read_leaves_the_others(scene: Scene) -> None:
    scene.other.issue(1, title=None)
    scene.other.issue(2, labels=7)
    scene.other.issue(3)
    integration = await scene.github()
    await scene.later()
    assert set(await scene.tasks()) == {"Issue 3"}
    assert len(await problems(scene, integration)) == 2
    row = await scene.fresh(integration)
    assert (row.status, row.last_error) == (IntegrationStatus.ACTIVE, None)
    assert row.last_sync_at is not None
    scene.other.issue(1, title="First")
    await scene.later(minutes=11)
    assert set(await scene.tasks()) == {"Issue 3", "First"}
    assert len(await problems(scene, integration)) == 1


async def test_a_comment_that_cannot_be_read_leaves_the_others(scene: Scene) -> None:
    scene.other.issue(1)
    broken = scene.other.comment(1, "First")
    broken["body"] = 7
    scene.other.comment(1, "Second")
    integration = await scene.github()
    await scene.later()
    task = (await scene.tasks())["Issue 1"]
    assert [body.rpartition("\n")[2] for body in await scene.comments(task)] == ["Second"]
    assert len(await problems(scene, integration)) == 1
    broken["body"] = "First"
    await scene.house.do(scene.ada.viewer, integrations.sync, integration.id)
    await scene.later(seconds=1)
    bodies = [body.rpartition("\n")[2] for body in await scene.comments(task)]
    assert bodies == ["Second", "First"]
    assert await problems(scene, integration) == {}


async def test_what_changed_while_a_task_was_in_the_trash_is_made_up(scene: Scene) -> None:
    await connected(scene, 1)
    task = (await scene.tasks())["Issue 1"]
    await scene.house.do(scene.ada.viewer, tasks.delete, task.id, None)
    scene.other.issue(1, title="First", state="closed")
    await scene.later(minutes=11)
    await scene.later(minutes=11)
    await scene.house.do(scene.ada.viewer, tasks.restore, task.id)
    await scene.later(minutes=11)
    assert (await scene.tasks())["First"].status is COMPLETED
    assert scene.other.patches == []


async def test_an_issue_that_always_fails_does_not_hold_up_the_rest(scene: Scene) -> None:
    integration = await connected(scene, 1, 2)
    scene.other.fault = refusing(500)
    await complete(scene, "Issue 1")
    await scene.house.do(scene.ada.viewer, integrations.sync, integration.id)
    await scene.later(seconds=1)
    await complete(scene, "Issue 2")
    scene.other.issue(3)
    await scene.later(minutes=11)
    assert scene.other.issues[2]["state"] == "closed"
    assert "Issue 3" in await scene.tasks()
    assert list((await problems(scene, integration)).values()) == ["GitHub answered 500."]


SHOWN = """{ viewer { integrations { nodes { failureReason problems { totalCount nodes {
  failureReason since retryAt externalUrl task { title syncProblem } } } } } } }"""


async def test_problems_are_shown_at_the_task_and_at_the_integration(scene: Scene) -> None:
    integration = await connected(scene, 1, 2)
    scene.other.missing = {1}
    await complete(scene, "Issue 1")
    api = Api(scene.house)
    (shown,) = (await api(SHOWN, scene.ada)).data["viewer"]["integrations"]["nodes"]
    assert (shown["failureReason"], shown["problems"]["totalCount"]) == (None, 1)
    (problem,) = shown["problems"]["nodes"]
    message = "The issue was deleted on GitHub."
    assert problem["failureReason"] == message
    assert problem["task"] == {"title": "Issue 1", "syncProblem": message}
    assert problem["externalUrl"].endswith("/issues/1")
    assert problem["retryAt"] is None
    # The integration is its owner's alone; what is wrong with a task shows to all who see it.
    assert (await api(SHOWN, scene.ben)).data["viewer"]["integrations"]["nodes"] == []
    query = "{ tasks { nodes { title syncProblem } } }"
    nodes = (await api(query, scene.ben)).data["tasks"]["nodes"]
    assert {node["title"]: node["syncProblem"] for node in nodes} == {
        "Issue 1": message,
        "Issue 2": None,
    }
    await scene.house.do(scene.ada.viewer, integrations.disconnect, integration.id)
    nodes = (await api(query, scene.ben)).data["tasks"]["nodes"]
    assert {node["syncProblem"] for node in nodes} == {None}
