"""Nothing is lost while workers are killed."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.accounts import House
from tests.databases import address_of
from tests.jobs.conftest import worker_process
from tests.jobs.webhooks.conftest import HOME, Scene


@pytest.mark.parametrize(
    ("changes", "kills"), [(100, 2), pytest.param(500, 20, marks=pytest.mark.nightly)]
)
async def test_nothing_is_lost_while_workers_are_killed(
    scene: Scene, changes: int, kills: int
) -> None:
    """With so many events on their way; each worker dies in the middle of sending some of them."""
    webhook, secret = await scene.webhook(
        filter={"kind": {"eq": "TASK_CREATED"}}, payload="{ kind }"
    )
    for number in range(changes):
        scene.house.clock.now = dt.datetime.now(dt.UTC)
        await scene.task(f"Task {number}")
    arrived = scene.receiver.requests
    verified = 0

    def verify() -> None:
        """What has arrived since the last time: after five minutes no signature counts."""
        nonlocal verified
        for request in arrived[verified:]:
            scene.verify(request, secret)
            verified += 1

    for life in range(1, kills + 1):
        async with worker(scene.house):
            while len(arrived) < life * changes // (kills + 1):
                verify()
                await asyncio.sleep(0.01)
    async with worker(scene.house):
        while await scene.delivered(webhook) < changes:
            verify()
            await asyncio.sleep(0.2)
    verify()
    made = {f"event_{one.event_id.hex}" for one in await scene.deliveries(webhook)}
    assert len(made) == changes
    assert set(scene.receiver.ids) == made


@asynccontextmanager
async def worker(house: House) -> AsyncIterator[None]:
    """A worker in a process of its own, which is killed (SIGKILL) when the block ends."""
    variables = {
        "DATABASE_URL": await address_of(house.settings, house.database),
        "TASKLOOM_WEBHOOK_ALLOWED_NETWORKS": str(HOME),
        "TASKLOOM_JOB_LEASE_SECONDS": "1",
    }
    async with worker_process(**variables), asyncio.timeout(120):
        yield
