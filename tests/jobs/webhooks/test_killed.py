"""Nothing is lost while workers are killed."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from events.kinds import EventKind
from tests.accounts import House
from tests.databases import address_of
from tests.jobs.conftest import ROOT
from tests.jobs.webhooks.conftest import CHANGES, HOME, KILLS, Scene


async def test_nothing_is_lost_while_workers_are_killed(scene: Scene) -> None:
    """With 200 events on their way; each worker dies in the middle of sending some of them."""
    webhook, secret = await scene.webhook(events=[EventKind.TASK_CREATED], payload="{ kind }")
    for number in range(CHANGES):
        scene.house.clock.now = dt.datetime.now(dt.UTC)
        await scene.task(f"Task {number}")
    for life in range(1, KILLS + 1):
        async with worker(scene.house):
            while len(scene.receiver.requests) < life * CHANGES // (KILLS + 1):
                await asyncio.sleep(0.01)
    async with worker(scene.house):
        while await scene.undelivered(webhook):
            await asyncio.sleep(0.2)
    made = {f"event_{one.event_id.hex}" for one in await scene.deliveries(webhook)}
    assert len(made) == CHANGES
    assert set(scene.receiver.ids) == made
    for request in scene.receiver.requests:
        scene.verify(request, secret)


@asynccontextmanager
async def worker(house: House) -> AsyncIterator[None]:
    """A worker in a process of its own, which is killed (SIGKILL) when the block ends."""
    variables = {
        "DATABASE_URL": await address_of(house.settings, house.database),
        "TASKLOOM_WEBHOOK_ALLOWED_NETWORKS": str(HOME),
        "TASKLOOM_JOB_LEASE_SECONDS": "1",
        "PYTHONPATH": str(ROOT),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "cli.py"), "worker", cwd=ROOT, env={**os.environ, **variables}
    )
    try:
        async with asyncio.timeout(120):
            yield
    finally:
        process.kill()
        await process.wait()
