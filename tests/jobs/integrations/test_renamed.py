"""A repository that is renamed is the same one."""

from __future__ import annotations

from sqlalchemy import text

from db.models import Integration, IntegrationStatus, TaskStatus
from domain.integrations import integration as integrations
from domain.integrations.integration import GitHubConfig
from domain.tasks import task as tasks
from tests.jobs.integrations.conftest import Scene
from tests.jobs.services import TOKEN

NEW = "octocat/park"


async def connect_new_name(scene: Scene) -> Integration:
    config = GitHubConfig(NEW, TOKEN, scene.other.api)
    return await scene.house.do(
        scene.ada.viewer, integrations.connect, scene.reach, scene.project.id, config
    )


async def test_a_renamed_repository_is_followed(scene: Scene) -> None:
    scene.other.issue(1)
    integration = await scene.github()
    await scene.later()
    scene.other.rename(NEW)
    task = (await scene.tasks())["Issue 1"]
    await scene.house.do(scene.ben.viewer, tasks.complete, task.id, None)
    scene.other.issue(2)
    await scene.later()
    assert scene.other.issues[1]["state"] == "closed"
    await scene.later(minutes=11)
    assert set(await scene.tasks()) == {"Issue 1", "Issue 2"}
    row = await scene.fresh(integration)
    assert (row.status, row.last_error) == (IntegrationStatus.ACTIVE, None)
    assert row.settings["repository"] == NEW
    # The settings that it says it has can be given to it.
    changed = GitHubConfig(NEW, base_url=scene.other.api, has_comments=False)
    await scene.change(integration, config=changed)
    await scene.later(seconds=1)
    assert set(await scene.tasks()) == {"Issue 1", "Issue 2"}


async def test_a_repository_renamed_during_a_reading_is_read_on(scene: Scene) -> None:
    for number in range(1, 151):
        scene.other.issue(number)
    scene.other.remaining = 2
    await scene.github()
    await scene.later()
    scene.other.rename(NEW)
    scene.other.remaining = 5_000
    await scene.later(minutes=2)
    await scene.later(minutes=11)
    assert len(await scene.tasks()) == 150


async def test_connecting_the_new_name_as_well_imports_nothing_twice(scene: Scene) -> None:
    scene.other.issue(1)
    first = await scene.github()
    await scene.later()
    scene.other.rename(NEW)
    second = await connect_new_name(scene)
    await scene.later()
    await scene.later(minutes=11)
    assert len(await scene.all_tasks()) == 1
    assert (await scene.fresh(first)).status is IntegrationStatus.ACTIVE
    row = await scene.fresh(second)
    assert row.status is IntegrationStatus.FAILED
    assert row.last_error == "This repository is already connected to this project."


async def test_connecting_once_more_imports_nothing_twice(scene: Scene) -> None:
    scene.other.issue(1)
    scene.other.comment(1, "First")
    integration = await scene.github()
    await scene.later()
    await scene.house.do(scene.ada.viewer, integrations.disconnect, integration.id)
    scene.other.rename(NEW)
    scene.other.issue(1, title="Renamed")
    await connect_new_name(scene)
    await scene.later()
    (task,) = await scene.all_tasks()
    assert task.title == "Renamed"
    assert len(await scene.comments(task)) == 1
    scene.other.issue(1, state="closed")
    await scene.later(minutes=11)
    assert (await scene.tasks())["Renamed"].status is TaskStatus.COMPLETED


async def test_another_repository_of_the_former_name_is_not_imported(scene: Scene) -> None:
    scene.other.issue(1)
    integration = await scene.github()
    await scene.later()
    # Somebody makes a new one under the old name; the old one is deleted.
    scene.other.repository_id = 501
    scene.other.issues.clear()
    scene.other.issue(1, title="A stranger", id=77)
    await scene.later(minutes=11)
    assert set(await scene.tasks()) == {"Issue 1"}
    assert (await scene.fresh(integration)).status is IntegrationStatus.FAILED


async def test_a_deleted_repository_ends_it(scene: Scene) -> None:
    scene.other.issue(1)
    integration = await scene.github()
    await scene.later()
    scene.other.repository = "octocat/gone"
    scene.other.repository_id = 502
    await scene.later(minutes=11)
    row = await scene.fresh(integration)
    assert row.status is IntegrationStatus.FAILED
    assert row.last_error == "The repository does not exist, or the token cannot read its issues."


async def test_what_was_known_by_its_number_is_found_again(scene: Scene) -> None:
    """As the migration leaves what was imported by earlier versions."""
    scene.other.issue(1)
    scene.other.comment(1, "First")
    integration = await scene.github()
    await scene.later()
    async with scene.house.work() as work:
        await work.session.execute(
            text(
                "UPDATE external_links SET external_id = '#1@x'"
                " WHERE kind = 'issue' AND integration_id = :id"
            ),
            {"id": integration.id},
        )
        await work.session.execute(text("UPDATE integrations SET progress = '{}'"))
    task = (await scene.tasks())["Issue 1"]
    await scene.house.do(scene.ada.viewer, tasks.complete, task.id, None)
    await scene.later()
    assert scene.other.issues[1]["state"] == "closed"
    scene.other.issue(1, title="First")
    await scene.later(minutes=11)
    (task,) = await scene.all_tasks()
    assert (task.title, task.status) == ("First", TaskStatus.COMPLETED)
    assert len(await scene.comments(task)) == 1
    assert (await scene.fresh(integration)).last_error is None
