"""A worker that is killed in the middle of an import leaves no gap, and imports nothing twice; one
that is killed while it tells GitHub something loses and undoes nothing.
"""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select

from db.models import Comment, Task, TaskStatus
from domain.tasks import task as tasks
from tests.databases import address_of
from tests.jobs.conftest import killed_again_and_again, worker_process
from tests.jobs.integrations.conftest import HOME, Scene
from tests.jobs.services import Call

ISSUES = 250
LEASE_SECONDS = 1


async def variables_of(scene: Scene) -> dict[str, str]:
    return {
        "DATABASE_URL": await address_of(scene.house.settings, scene.house.database),
        "TASKLOOM_WEBHOOK_ALLOWED_NETWORKS": str(HOME),
        "TASKLOOM_JOB_LEASE_SECONDS": str(LEASE_SECONDS),
    }


async def test_a_killed_worker_leaves_no_gap_and_no_twin(scene: Scene) -> None:
    for number in range(1, ISSUES + 1):
        scene.other.issue(number)
        if number % 5 == 0:
            scene.other.comment(number, f"Note {number}")
    scene.other.delay = 0.05
    integration = await scene.github()
    variables = await variables_of(scene)
    async with asyncio.timeout(120):
        async with killed_again_and_again(scene.house.database, 3, **variables) as kills:
            while kills() < 3:
                await asyncio.sleep(0.05)
    # Another worker goes on where they were killed.
    await scene.later(minutes=11)
    assert (await scene.fresh(integration)).last_sync_at is not None
    found = await scene.tasks()
    assert len(found) == ISSUES
    async with scene.house.database.session() as session:
        query = select(func.count()).select_from(Task).where(Task.project_id == scene.project.id)
        assert await session.scalar(query) == ISSUES
        written = select(func.count()).select_from(Comment)
        in_project = written.where(Comment.task_id.in_([task.id for task in found.values()]))
        assert await session.scalar(in_project) == ISSUES // 5


@pytest.mark.parametrize(
    ("arrives", "meanwhile"),
    [
        (True, "reopened-here"),
        (False, "nothing"),
        pytest.param(True, "nothing", marks=pytest.mark.nightly),
        pytest.param(True, "renamed-there", marks=pytest.mark.nightly),
        pytest.param(False, "reopened-here", marks=pytest.mark.nightly),
        pytest.param(False, "renamed-there", marks=pytest.mark.nightly),
    ],
)
async def test_a_worker_killed_while_it_tells_github_loses_and_undoes_nothing(
    scene: Scene, *, arrives: bool, meanwhile: str
) -> None:
    scene.other.issue(1)
    await scene.github()
    await scene.later()
    task = (await scene.tasks())["Issue 1"]
    asked = asyncio.Event()

    async def hang(call: Call) -> None:
        if call.method == "PATCH":
            asked.set()
            await asyncio.sleep(60)

    scene.other.meanwhile = hang
    if not arrives:
        scene.other.fault = lambda call: (502, {}) if call.method == "PATCH" else None
    await scene.house.do(scene.ben.viewer, tasks.complete, task.id, None)
    async with asyncio.timeout(60), worker_process(**await variables_of(scene)) as process:
        await asked.wait()
        process.kill()
    assert scene.other.issues[1]["state"] == ("closed" if arrives else "open")
    scene.other.meanwhile, scene.other.fault = None, lambda _call: None

    title = "Issue 1"
    is_open = False
    if meanwhile == "reopened-here":
        await scene.house.do(scene.ben.viewer, tasks.reopen, task.id, None)
        is_open = True
    elif meanwhile == "renamed-there":
        title = "Another title"
        scene.other.issue(1, title=title)
    await asyncio.sleep(LEASE_SECONDS + 0.2)
    # Another worker goes on, hears of it from GitHub too, and again.
    for _ in range(3):
        await scene.later(minutes=11)
    found = await scene.tasks()
    assert list(found) == [title]
    assert found[title].status is (TaskStatus.TODO if is_open else TaskStatus.COMPLETED)
    assert scene.other.issues[1]["state"] == ("open" if is_open else "closed")
    assert scene.other.issues[1]["title"] == title
