"""A worker that is killed in the middle of an import leaves no gap, and imports nothing twice."""

from __future__ import annotations

import asyncio

from sqlalchemy import func, select

from db.models import Comment, Task
from tests.databases import address_of
from tests.jobs.conftest import killed_again_and_again
from tests.jobs.integrations.conftest import HOME, Scene

ISSUES = 250


async def test_a_killed_worker_leaves_no_gap_and_no_twin(scene: Scene) -> None:
    for number in range(1, ISSUES + 1):
        scene.other.issue(number)
        if number % 5 == 0:
            scene.other.comment(number, f"Note {number}")
    scene.other.delay = 0.05
    integration = await scene.github()
    variables = {
        "DATABASE_URL": await address_of(scene.house.settings, scene.house.database),
        "TASKLOOM_WEBHOOK_ALLOWED_NETWORKS": str(HOME),
        "TASKLOOM_JOB_LEASE_SECONDS": "1",
    }
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
