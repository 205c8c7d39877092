"""What is brought from GitHub, and how often it is asked for."""

from __future__ import annotations

from sqlalchemy import func, select

from db.models import (
    CommentMention,
    Event,
    TaskStatus,
)
from domain.integrations.integration import GitHubConfig
from domain.tasks import task as tasks
from tests.jobs.integrations.conftest import Scene


async def test_issues_come_in_pages_and_are_asked_for_once(scene: Scene) -> None:
    for number in range(1, 251):
        scene.other.issue(number)
    integration = await scene.github()
    await scene.later()
    assert len(await scene.tasks()) == 250
    assert [query.get("page") for query in scene.other.lists("issues")] == [None, "2", "3"]
    assert all("since" not in query for query in scene.other.lists("issues"))
    assert (await scene.fresh(integration)).last_sync_at == scene.house.clock()

    # A second run asks for what has changed since, and changes that alone.
    before = {title: task.version for title, task in (await scene.tasks()).items()}
    scene.other.calls.clear()
    scene.other.now = scene.other.now.replace(day=6)
    scene.other.issue(7, title="Seventh")
    await scene.later(minutes=11)
    (query,) = scene.other.lists("issues")
    assert query["since"].startswith("2026-01-05T")
    found = await scene.tasks()
    assert len(found) == 250
    assert found.pop("Seventh").version == before.pop("Issue 7") + 1
    assert {title: task.version for title, task in found.items()} == before


async def test_what_an_issue_has_a_task_has(scene: Scene) -> None:
    scene.other.issue(
        1,
        title="  Dig\u0007 a pond ",
        body="Deep.\r\nWide.",
        labels=[{"name": "Water"}, {"name": "water"}, "spring"],
        assignees=[{"login": "stranger"}, {"login": "BenHub"}],
    )
    scene.other.issue(2, state="closed", state_reason="completed")
    scene.other.issue(3, state="closed", state_reason="not_planned")
    scene.other.issue(4, pull_request={"url": "…"})
    scene.other.issue(5, title="x" * 300, body=None)
    scene.other.comment(1, f"Ask @{scene.ben.username}.")
    integration = await scene.github(assignees=[("BenHub", scene.ben.id), ("ben2", scene.ben.id)])
    await scene.later()
    found = await scene.tasks()
    assert len(found) == 4
    pond = found["Dig  a pond"]
    assert (pond.description, pond.tags) == ("Deep.\nWide.", ["Water", "spring"])
    assert (pond.assignee_id, pond.owner_id) == (scene.ben.id, scene.ada.id)
    assert found["Issue 2"].status is TaskStatus.COMPLETED
    assert found["Issue 3"].status is TaskStatus.CANCELLED
    assert found["x" * 199 + "…"].description is None
    (body,) = await scene.comments(pond)
    assert body.startswith("**hubot** on GitHub:\n\nAsk @")
    async with scene.house.database.session() as session:
        mine = select(func.count()).select_from(CommentMention)
        mentioned = mine.where(CommentMention.user_id == scene.ben.id)
        assert await session.scalar(mentioned) == 0
        # The integration did it by itself, for its owner.
        causes = select(Event.actor_id, Event.integration_id, Event.session_id).distinct()
        created = Event.kind == "TASK_CREATED", Event.project_id == scene.project.id
        (cause,) = await session.execute(causes.where(*created))
        assert tuple(cause) == (scene.ada.id, integration.id, None)


async def test_comments_come_and_change_with_the_issues(scene: Scene) -> None:
    scene.other.issue(1)
    comment = scene.other.comment(1, "First")
    await scene.github()
    await scene.later()
    scene.other.now = scene.other.now.replace(day=6)
    scene.other.issue(1)
    comment |= {"body": "Changed", "updated_at": scene.other.issues[1]["updated_at"]}
    scene.other.comment(1, "Second")
    await scene.later(minutes=11)
    await scene.later(minutes=11)
    task = (await scene.tasks())["Issue 1"]
    head = "**hubot** on GitHub:\n\n"
    assert await scene.comments(task) == [f"{head}Changed", f"{head}Second"]


async def test_what_was_changed_here_stays_until_it_changes_there(scene: Scene) -> None:
    scene.other.issue(1, labels=["a"])
    integration = await scene.github()
    await scene.later()
    task = (await scene.tasks())["Issue 1"]
    await scene.house.do(scene.ada.viewer, tasks.update_task, task.id, {"title": "Mine"}, None)
    scene.other.issue(1, labels=["b"])
    await scene.later(minutes=11)
    assert (await scene.tasks())["Mine"].tags == ["b"]
    # Even when all is read anew.
    await scene.change(integration, config=GitHubConfig(has_comments=False))
    await scene.later(seconds=1)
    assert list(await scene.tasks()) == ["Mine"]


async def test_what_was_deleted_here_does_not_come_back(scene: Scene) -> None:
    scene.other.issue(1)
    scene.other.comment(1, "First")
    await scene.github()
    await scene.later()
    task = (await scene.tasks())["Issue 1"]
    await scene.house.do(scene.ada.viewer, tasks.delete, task.id, None)
    scene.other.issue(1, title="Again", state="closed")
    await scene.later(minutes=11)
    (only,) = (await scene.tasks()).values()
    assert only.title == "Issue 1"
    assert only.deleted_at is not None
