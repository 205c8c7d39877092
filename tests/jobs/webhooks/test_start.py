"""What a worker loads, and when."""

from __future__ import annotations

import asyncio
import os
import sys

from sqlalchemy import func, select

from db.models import Notification
from tests.databases import address_of
from tests.jobs.conftest import ROOT
from tests.jobs.webhooks.conftest import HOME, Scene

# The command `taskloom worker`; for each line that it reads, it says which of these it has loaded.
WORKER = """
import asyncio, sys
from cli.worker import work
from settings import load_settings

async def answer():
    while await asyncio.to_thread(sys.stdin.readline):
        names = "strawberry graphql graph.schema reportlab uvicorn jinja2 jwt cryptography".split()
        print(*[name for name in names if name in sys.modules], flush=True)

async def main():
    asking = asyncio.create_task(answer())
    await work(load_settings())
    asking.cancel()

asyncio.run(main())
"""


async def test_a_worker_loads_the_schema_with_the_first_webhook(scene: Scene) -> None:
    variables = {
        "DATABASE_URL": await address_of(scene.house.settings, scene.house.database),
        "TASKLOOM_WEBHOOK_ALLOWED_NETWORKS": str(HOME),
        "PYTHONPATH": str(ROOT),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WORKER,
        cwd=ROOT,
        env={**os.environ, **variables},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )

    async def loaded() -> list[str]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"?\n")
        return (await process.stdout.readline()).decode().split()

    try:
        async with asyncio.timeout(120):
            await scene.task("For Ben", assignee_id=scene.ben.id)
            while not await _notifications(scene):
                await asyncio.sleep(0.1)
            assert await loaded() == []
            await scene.webhook(payload="{ kind }")
            await scene.task()
            while not scene.receiver.requests:
                await asyncio.sleep(0.1)
            assert await loaded() == ["strawberry", "graphql", "graph.schema", "cryptography"]
    finally:
        process.kill()
        await process.wait()


async def _notifications(scene: Scene) -> int:
    async with scene.house.database.session() as session:
        of_ben = select(func.count()).where(Notification.recipient_id == scene.ben.id)
        return await session.scalar(of_ben) or 0
