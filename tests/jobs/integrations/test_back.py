"""What is sent to GitHub about tasks, and that it gets no echo of itself."""

from __future__ import annotations

from db.models import IntegrationStatus, TaskStatus
from domain.integrations import integration as integrations
from domain.integrations.integration import GitHubConfig
from domain.projects import project as projects
from domain.projects.project import NewProject
from domain.tasks import moving
from domain.tasks import task as tasks
from tests.jobs.integrations.conftest import Scene
from tests.jobs.services import REPOSITORY, TOKEN, Call


async def test_completing_a_task_closes_its_issue_and_back(scene: Scene) -> None:
    scene.other.issue(1)
    await scene.github()
    await scene.later()
    task = (await scene.tasks())["Issue 1"]
    await scene.house.do(scene.ben.viewer, tasks.complete, task.id, None)
    await scene.later()
    assert [call.json for call in scene.other.patches] == [
        {"state": "closed", "state_reason": "completed"}
    ]
    # The change comes back with the next run, and is known.
    version = (await scene.tasks())["Issue 1"].version
    await scene.later(minutes=11)
    assert (await scene.tasks())["Issue 1"].version == version
    await scene.house.do(scene.ben.viewer, tasks.reopen, task.id, None)
    await scene.later()
    assert scene.other.issues[1]["state"] == "open"
    cancelled = {"status": TaskStatus.CANCELLED}
    await scene.house.do(scene.ben.viewer, tasks.update_task, task.id, cancelled, None)
    await scene.later()
    assert scene.other.issues[1]["state_reason"] == "not_planned"
    assert len(scene.other.patches) == 3


async def test_what_github_closes_is_completed_and_not_told_back(scene: Scene) -> None:
    scene.other.issue(1)
    await scene.github()
    await scene.later()
    for state, status in (("closed", TaskStatus.COMPLETED), ("open", TaskStatus.TODO)):
        scene.other.issue(1, state=state)
        await scene.later(minutes=11)
        assert (await scene.tasks())["Issue 1"].status is status
    await scene.later(minutes=11)
    assert scene.other.patches == []


async def test_an_issue_is_closed_as_soon_as_github_can_be_reached(scene: Scene) -> None:
    scene.other.issue(1)
    integration = await scene.github()
    await scene.later()
    task = (await scene.tasks())["Issue 1"]
    scene.other.refuse = (502, {})
    await scene.house.do(scene.ada.viewer, tasks.complete, task.id, None)
    await scene.later()
    row = await scene.fresh(integration)
    assert (row.status, row.last_error) == (IntegrationStatus.ACTIVE, "GitHub answered 502.")
    scene.other.refuse = None
    await scene.later(seconds=10)
    assert scene.other.issues[1]["state"] == "closed"


async def test_github_is_not_told_what_its_owner_cannot_see(scene: Scene) -> None:
    """A task that has left the project for one that the integration's owner does not see."""
    scene.other.issue(1)
    config = GitHubConfig(REPOSITORY, TOKEN, scene.other.api)
    await scene.house.do(
        scene.ben.viewer, integrations.connect, scene.reach, scene.project.id, config
    )
    await scene.later()
    task = (await scene.tasks())["Issue 1"]
    hidden = await scene.house.do(scene.ada.viewer, projects.create, NewProject("Vault"))
    there = {"project_id": hidden.id}
    await scene.house.do(scene.ada.viewer, moving.move, task.id, there, place=None, if_version=None)
    await scene.house.do(scene.ada.viewer, tasks.complete, task.id, None)
    # It is read again, and what differs from here would be sent.
    scene.other.issue(1, title="Another title")
    await scene.later(minutes=11)
    await scene.later(minutes=11)
    assert scene.other.patches == []
    assert scene.other.issues[1]["state"] == "open"


# --- what was not told at the time ---------------------------------------------------------------


async def test_what_happened_during_a_pause_is_made_up(scene: Scene) -> None:
    for number in (1, 2, 3):
        scene.other.issue(number)
    integration = await scene.github()
    await scene.later()
    await scene.change(integration, is_paused=True)
    made = await scene.tasks()
    for number in (1, 2):
        task = made[f"Issue {number}"]
        await scene.house.do(scene.ben.viewer, tasks.complete, task.id, None)
    # On the other side one is closed and one changed meanwhile; GitHub is right about the first.
    scene.other.issue(3, state="closed")
    scene.other.issue(2, title="Second")
    await scene.later(minutes=30)
    assert scene.other.patches == []
    await scene.change(integration, is_paused=False)
    await scene.later(seconds=1)
    assert [issue["state"] for issue in scene.other.issues.values()] == ["closed"] * 3
    assert len(scene.other.patches) == 2
    found = await scene.tasks()
    assert {task.status for task in found.values()} == {TaskStatus.COMPLETED}
    assert "Second" in found
    await scene.later(minutes=11)
    assert len(scene.other.patches) == 2


async def test_what_happened_after_a_failure_is_made_up(scene: Scene) -> None:
    scene.other.issue(1)
    integration = await scene.github()
    await scene.later()
    scene.other.refuse = (401, {})
    await scene.later(minutes=11)
    assert (await scene.fresh(integration)).status is IntegrationStatus.FAILED
    task = (await scene.tasks())["Issue 1"]
    await scene.house.do(scene.ada.viewer, tasks.complete, task.id, None)
    await scene.later()
    scene.other.refuse = None
    await scene.house.do(scene.ada.viewer, integrations.sync, integration.id)
    await scene.later(seconds=1)
    assert scene.other.issues[1]["state"] == "closed"


async def test_an_issue_that_is_gone_there_is_not_tried_for_ever(scene: Scene) -> None:
    scene.other.issue(1)
    await scene.github()
    await scene.later()
    scene.other.missing.add(1)
    task = (await scene.tasks())["Issue 1"]
    await scene.house.do(scene.ada.viewer, tasks.complete, task.id, None)
    await scene.later()
    await scene.later(minutes=11)
    await scene.later(minutes=11)
    assert len(scene.other.patches) == 1


async def test_a_list_from_before_a_change_does_not_undo_it(scene: Scene) -> None:
    """GitHub answers with the open issue; before the answer arrives, the issue is closed here."""
    scene.other.issue(1)
    integration = await scene.github()
    await scene.later()
    stale = dict(scene.other.issue(1, title="First"))
    task = (await scene.tasks())["Issue 1"]
    await scene.house.do(scene.ada.viewer, tasks.complete, task.id, None)
    await scene.later()
    assert scene.other.issues[1]["state"] == "closed"
    scene.other.issues[1], current = stale, scene.other.issues[1]
    await scene.later(minutes=11)
    assert (await scene.tasks())["Issue 1"].status is TaskStatus.COMPLETED
    scene.other.issues[1] = current
    await scene.later(minutes=11)
    assert (await scene.tasks())["First"].status is TaskStatus.COMPLETED
    assert (await scene.fresh(integration)).last_error is None


async def test_an_answer_that_was_lost_is_not_mistaken_for_a_change_there(scene: Scene) -> None:
    """GitHub did what it was told, answered 502, and meanwhile it was undone here."""
    scene.other.issue(1)
    await scene.github()
    await scene.later()
    task = (await scene.tasks())["Issue 1"]
    await scene.house.do(scene.ben.viewer, tasks.complete, task.id, None)
    scene.other.lost = lambda call: call.method == "PATCH"
    await scene.later()
    assert scene.other.issues[1]["state"] == "closed"
    await scene.house.do(scene.ben.viewer, tasks.reopen, task.id, None)
    # What it is told now, it refuses; then it says in the list that the issue is closed.
    scene.other.lost = lambda _call: False
    scene.other.fault = lambda call: (422, {}) if call.method == "PATCH" else None
    await scene.later(minutes=11)
    assert (await scene.tasks())["Issue 1"].status.is_open
    scene.other.fault = lambda _call: None
    await scene.later(hours=25)
    await scene.later(seconds=1)
    assert (await scene.tasks())["Issue 1"].status.is_open
    assert scene.other.issues[1]["state"] == "open"
    # As soon as it is known which state it has, a change there counts again.
    scene.other.issue(1, state="closed")
    await scene.later(minutes=11)
    assert not (await scene.tasks())["Issue 1"].status.is_open


async def test_what_is_undone_while_github_is_told_of_it_stays_undone(scene: Scene) -> None:
    """And GitHub lists what it was told before its answer to that has arrived."""
    scene.other.issue(1)
    integration = await scene.github()
    await scene.later()
    task = (await scene.tasks())["Issue 1"]

    async def meanwhile(call: Call) -> None:
        if call.method != "PATCH":
            return
        scene.other.meanwhile = None
        await scene.house.do(scene.ben.viewer, tasks.reopen, task.id, None)
        await scene.house.do(scene.ada.viewer, integrations.sync, integration.id)
        await scene.workshop.all_done()

    scene.other.meanwhile = meanwhile
    await scene.house.do(scene.ben.viewer, tasks.complete, task.id, None)
    await scene.later()
    await scene.later(minutes=11)
    assert (await scene.tasks())["Issue 1"].status.is_open
    assert scene.other.issues[1]["state"] == "open"
