"""Limits, wrong tokens, lost rights: what is waited for, and what ends the requests."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, text, update

from db.models import ExternalLink, IntegrationStatus, User
from domain.integrations import integration as integrations
from domain.integrations.integration import GitHubConfig
from domain.projects import project as projects
from tests.jobs.conftest import MailServer
from tests.jobs.integrations.conftest import Scene
from tests.jobs.services import REPOSITORY, TOKEN


async def test_a_used_up_limit_is_waited_for(scene: Scene) -> None:
    scene.other.now = scene.house.clock()
    for number in range(1, 151):
        scene.other.issue(number)
    scene.other.now = scene.house.clock()
    scene.other.remaining = 2
    integration = await scene.github()
    await scene.later()
    assert len(await scene.tasks()) == 100
    assert len(scene.other.lists("issues")) == 1
    assert (await scene.fresh(integration)).last_error is not None
    await scene.later(seconds=30)
    assert len(scene.other.lists("issues")) == 1
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
    await scene.change(integration, config=GitHubConfig(token=TOKEN))
    await scene.later(seconds=1)
    assert (await scene.fresh(integration)).status is IntegrationStatus.ACTIVE
    assert len(await scene.tasks()) == 1


@pytest.mark.parametrize(
    "page", ["http://127.0.0.2:9/x", "https://127.0.0.1/api/x", "http://[::ffff:7f00:1]/x", "//x"]
)
async def test_the_next_page_must_be_on_the_same_server(scene: Scene, page: str) -> None:
    """Else the token would go there."""
    scene.other.issue(1)
    scene.other.next_page = page
    integration = await scene.github()
    await scene.later()
    row = await scene.fresh(integration)
    assert row.status is IntegrationStatus.FAILED
    assert len(scene.other.lists("issues")) == 1
    # What the first page had is kept.
    assert list(await scene.tasks()) == ["Issue 1"]


async def test_an_answer_that_is_no_list_is_tried_again_later(scene: Scene) -> None:
    scene.other.refuse = (200, {})
    integration = await scene.github()
    await scene.later()
    row = await scene.fresh(integration)
    assert (row.status, row.last_error) == (
        IntegrationStatus.ACTIVE,
        "GitHub's answer is not a list.",
    )


async def test_the_owner_is_told_once_that_it_stopped(scene: Scene, mail: MailServer) -> None:
    async with scene.house.work() as work:
        verified = update(User).where(User.id == scene.ada.id)
        await work.session.execute(verified.values(email_verified_at=scene.house.clock()))
    scene.other.issue(1)
    await scene.github("ghp_wrong")
    await scene.later()
    (told,) = await scene.told()
    assert told.message == (
        "Your integration of “Garden” with GitHub has stopped. "
        "GitHub rejects the token: it is invalid or has expired."
    )
    await scene.later(minutes=1)
    (letter,) = mail.to(scene.ada.email)
    assert "has stopped" in letter.text
    await scene.later(minutes=30)
    assert len(await scene.told()) == 1


async def test_it_goes_on_when_its_owners_account_comes_back(scene: Scene) -> None:
    integration = await scene.github()
    await scene.later()
    for active in (False, True):
        async with scene.house.work() as work:
            account = update(User).where(User.id == scene.ada.id)
            await work.session.execute(account.values(is_active=active))
        scene.other.issue(1)
        count = len(scene.other.calls)
        await scene.later(minutes=11)
        assert (len(scene.other.calls) > count) is active
    assert list(await scene.tasks()) == ["Issue 1"]
    assert (await scene.fresh(integration)).last_error is None


async def test_whoever_lost_the_project_imports_nothing_more(scene: Scene) -> None:
    config = GitHubConfig(REPOSITORY, TOKEN, scene.other.api)
    integration = await scene.house.do(
        scene.ben.viewer, integrations.connect, scene.reach, scene.project.id, config
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


async def test_whoever_lost_the_project_does_not_learn_its_new_name(scene: Scene) -> None:
    config = GitHubConfig(REPOSITORY, TOKEN, scene.other.api)
    await scene.house.do(
        scene.ben.viewer, integrations.connect, scene.reach, scene.project.id, config
    )
    await scene.later()
    async with scene.house.work() as work:
        await work.session.execute(
            text("DELETE FROM project_members WHERE user_id = :id"), {"id": scene.ben.id}
        )
    await scene.house.do(
        scene.ada.viewer, projects.update_project, scene.project.id, {"name": "Merger"}, None
    )
    scene.other.issue(1)
    await scene.later(minutes=11)
    (told,) = await scene.told(scene.ben)
    assert told.message is not None
    assert told.message.startswith("Your integration of a project with GitHub has stopped.")


async def test_pausing_and_disconnecting_end_the_requests(scene: Scene) -> None:
    integration = await scene.github()
    await scene.later()
    count = len(scene.other.calls)
    await scene.change(integration, is_paused=True)
    await scene.later(minutes=30)
    assert len(scene.other.calls) == count
    await scene.house.do(scene.ada.viewer, integrations.disconnect, integration.id)
    await scene.later(minutes=30)
    assert len(scene.other.calls) == count
    async with scene.house.database.session() as session:
        links = select(func.count()).select_from(ExternalLink)
        assert await session.scalar(links.where(ExternalLink.integration_id == integration.id)) == 0
