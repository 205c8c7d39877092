"""Integrations at work, against servers that speak the interfaces of GitHub and Slack."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from sqlalchemy import func, select, text

from auth.sealing import Sealer
from db.engine import Database
from db.models import (
    Comment,
    CommentMention,
    ExternalLink,
    Integration,
    IntegrationStatus,
    Role,
    Task,
    TaskStatus,
)
from domain import comment as comments
from domain import integration as integrations
from domain import project as projects
from domain import task as tasks
from domain.integration import GitHubSettings, Reach, SlackSettings
from domain.project import NewProject
from domain.task import NewTask
from events.kinds import EventKind
from settings import Settings, load_settings
from tests.accounts import House
from tests.jobs.conftest import Workshop
from tests.jobs.services import REPOSITORY, TOKEN, Service, service

HOME = ip_network("127.0.0.0/8")


@pytest.fixture
def house(settings: Settings, database: Database) -> Iterator[House]:
    """With servers on this machine taken."""
    taken = {"allowed_networks": (HOME,), "timeout_seconds": 2.0}
    changed = {"webhooks": settings.webhooks.model_copy(update=taken)}
    made = House(settings.model_copy(update=changed), database)
    yield made
    made.auth.close()


class Scene:
    """A project of Ada's with Ben as an editor, and a service elsewhere."""

    def __init__(self, house: House, workshop: Workshop, other: Service) -> None:
        self.house = house
        self.workshop = workshop
        self.other = other
        self.reach = Reach(Sealer(house.settings), (HOME,), plain=False)

    async def set(self) -> Scene:
        self.ada, self.ben = [await self.house.person() for _ in range(2)]
        self.project = await self.house.do(self.ada.viewer, projects.create, NewProject("Garden"))
        await self.house.do(
            self.ada.viewer, projects.add_member, self.project.id, self.ben.id, None, Role.EDITOR
        )
        await self.workshop.all_done()
        return self

    async def github(self, token: str = TOKEN, **values: Any) -> Integration:
        settings = GitHubSettings(REPOSITORY, base_url=self.other.api, **values)
        return await self._connect(settings, token)

    async def slack(self, *events: EventKind) -> Integration:
        return await self._connect(SlackSettings(events or None), f"{self.other.url}/hook")

    async def _connect(self, settings: Any, secret: str) -> Integration:
        return await self.house.do(
            self.ada.viewer, integrations.connect, self.reach, self.project.id, settings, secret
        )

    async def later(self, **time: float) -> None:
        """Let time pass, and everything happen that is due."""
        self.house.clock.forward(**time)
        await self.workshop.all_done()
        await self.workshop.all_done()

    async def fresh(self, integration: Integration) -> Integration:
        async with self.house.database.session() as session:
            return await session.get_one(Integration, integration.id)

    async def tasks(self) -> dict[str, Task]:
        async with self.house.database.session() as session:
            query = select(Task).where(Task.project_id == self.project.id)
            return {task.title: task for task in await session.scalars(query)}

    async def comments(self, task: Task) -> list[str]:
        async with self.house.database.session() as session:
            query = select(Comment.body).where(Comment.task_id == task.id).order_by(Comment.id)
            return list(await session.scalars(query))


@pytest.fixture
async def other() -> AsyncIterator[Service]:
    async with service() as made:
        yield made


@pytest.fixture
async def scene(house: House, workshop: Workshop, other: Service) -> Scene:
    return await Scene(house, workshop, other).set()


# --- importing -----------------------------------------------------------------------------------


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
    await scene.github(assignees=[("benhub", scene.ben.username)])
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
    changed = GitHubSettings(REPOSITORY, base_url=scene.other.api, comments=False)
    await scene.house.do(
        scene.ada.viewer, integrations.change, scene.reach, integration.id, settings=changed
    )
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


# --- and back ------------------------------------------------------------------------------------


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


# --- limits and failures -------------------------------------------------------------------------


async def test_a_used_up_limit_is_waited_for(scene: Scene) -> None:
    scene.other.now = scene.house.clock()
    for number in range(1, 151):
        scene.other.issue(number)
    scene.other.now = scene.house.clock()
    scene.other.remaining = 1
    integration = await scene.github()
    await scene.later()
    assert len(await scene.tasks()) == 100
    assert len(scene.other.calls) == 1
    assert (await scene.fresh(integration)).last_error is not None
    await scene.later(seconds=30)
    assert len(scene.other.calls) == 1
    scene.other.remaining = 5_000
    await scene.later(seconds=40)
    assert len(await scene.tasks()) == 150
    assert (await scene.fresh(integration)).last_error is None


@pytest.mark.parametrize("status", [403, 429])
async def test_retry_after_is_respected(scene: Scene, status: int) -> None:
    scene.other.issue(1)
    scene.other.refuse = (status, {"Retry-After": "120"})
    await scene.github()
    await scene.later()
    await scene.later(seconds=100)
    assert len(scene.other.calls) == 1
    scene.other.refuse = None
    await scene.later(seconds=30)
    assert len(await scene.tasks()) == 1


async def test_a_wrong_token_stops_it_until_there_is_another(scene: Scene) -> None:
    scene.other.issue(1)
    integration = await scene.github("ghp_wrong")
    await scene.later()
    row = await scene.fresh(integration)
    assert row.status is IntegrationStatus.FAILED
    assert row.last_error is not None
    assert "ghp_wrong" not in row.last_error
    await scene.later(minutes=30)
    assert len(scene.other.calls) == 1
    await scene.house.do(
        scene.ada.viewer, integrations.change, scene.reach, integration.id, credentials=TOKEN
    )
    await scene.later(seconds=1)
    assert (await scene.fresh(integration)).status is IntegrationStatus.ACTIVE
    assert len(await scene.tasks()) == 1


async def test_the_next_page_must_be_on_the_same_server(scene: Scene) -> None:
    scene.other.refuse = (200, {"Link": '<http://127.0.0.2:9/x>; rel="next"'})
    integration = await scene.github()
    await scene.later()
    # The answer is no list, so there is nothing to follow; with one, the owner is told.
    assert (await scene.fresh(integration)).last_error == "GitHub's answer is not a list."
    assert len(scene.other.calls) == 1


async def test_whoever_lost_the_project_imports_nothing_more(scene: Scene) -> None:
    settings = GitHubSettings(REPOSITORY, base_url=scene.other.api)
    integration = await scene.house.do(
        scene.ben.viewer, integrations.connect, scene.reach, scene.project.id, settings, TOKEN
    )
    await scene.later()
    async with scene.house.work() as work:
        await work.session.execute(
            text("DELETE FROM project_members WHERE user_id = :id"), {"id": scene.ben.id}
        )
    scene.other.issue(1)
    await scene.later(minutes=11)
    assert await scene.tasks() == {}
    assert (await scene.fresh(integration)).status is IntegrationStatus.FAILED


async def test_pausing_and_disconnecting_end_the_requests(scene: Scene) -> None:
    integration = await scene.github()
    await scene.later()
    count = len(scene.other.calls)
    paused = IntegrationStatus.PAUSED
    await scene.house.do(
        scene.ada.viewer, integrations.change, scene.reach, integration.id, status=paused
    )
    await scene.later(minutes=30)
    assert len(scene.other.calls) == count
    await scene.house.do(scene.ada.viewer, integrations.disconnect, integration.id)
    await scene.later(minutes=30)
    assert len(scene.other.calls) == count
    async with scene.house.database.session() as session:
        links = select(func.count()).select_from(ExternalLink)
        assert await session.scalar(links.where(ExternalLink.integration_id == integration.id)) == 0


# --- messages ------------------------------------------------------------------------------------


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


async def test_a_channel_that_is_gone_is_told_nothing_more(scene: Scene) -> None:
    integration = await scene.slack()
    scene.other.refuse = (404, {})
    for title in ("One", "Two"):
        new = NewTask(title, project_id=scene.project.id)
        await scene.house.do(scene.ada.viewer, tasks.create, new)
        await scene.later()
    row = await scene.fresh(integration)
    assert row.status is IntegrationStatus.FAILED
    assert row.last_error is not None
    assert "/hook" not in row.last_error
    assert len(scene.other.calls) == 1


async def test_a_busy_channel_is_told_later(scene: Scene) -> None:
    await scene.slack()
    scene.other.refuse = (429, {"Retry-After": "30"})
    new = NewTask("One", project_id=scene.project.id)
    await scene.house.do(scene.ada.viewer, tasks.create, new)
    await scene.later()
    scene.other.refuse = None
    await scene.later(seconds=20)
    assert len(scene.other.calls) == 1
    await scene.later(seconds=20)
    assert len(scene.other.calls) == 2


# --- secrets -------------------------------------------------------------------------------------


async def test_credentials_are_nowhere_to_be_read(scene: Scene) -> None:
    integration = await scene.github()
    await scene.slack()
    await scene.later()
    async with scene.house.database.session() as session:
        for table in ("integrations", "events", "jobs"):
            rows = await session.execute(text(f"SELECT t::text FROM {table} t"))
            written = "\n".join(row[0] for row in rows)
            assert TOKEN not in written
            assert TOKEN.encode().hex() not in written
            assert "/hook" not in written
    assert TOKEN not in repr(await scene.fresh(integration))


async def test_keys_are_rotated_without_losing_credentials(scene: Scene) -> None:
    integration = await scene.github()
    old = (await scene.fresh(integration)).credentials
    secret = scene.house.settings.auth.secret.get_secret_value()
    first = {"TASKLOOM_SECRET": secret, "TASKLOOM_ENCRYPTION_KEYS": "k" * 40}
    rotated = Sealer(load_settings(first, env_file=None))
    assert rotated.open(old).decode() == TOKEN
    async with scene.house.work() as work:
        assert await integrations.reseal(work, rotated) >= 1
    new = (await scene.fresh(integration)).credentials
    assert new != old
    # The key that sealed it before is not needed any more.
    alone = {"TASKLOOM_SECRET": "s" * 40, "TASKLOOM_ENCRYPTION_KEYS": "k" * 40}
    assert Sealer(load_settings(alone, env_file=None)).open(new).decode() == TOKEN
