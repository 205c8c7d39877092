"""Upgrading while users work: the old version serves on, can be started again, and loses nothing.

The newer version is a copy of this one with one more migration, which only adds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from db import revision
from db.engine import Database
from settings import Settings
from tests.accounts import House, Person
from tests.databases import address_of, fresh_database
from tests.servers import process

ROOT = Path(__file__).resolve().parents[2]
CREATE = "mutation ($t: String!) { taskCreate(input: {title: $t}) { task { id } } }"
NEWER = """
from alembic import op
revision: str = "9999"
down_revision: str | None = "{newest}"
branch_labels: str | None = None
depends_on: str | None = None
oldest_code: str = "{newest}"
def upgrade() -> None:
    op.execute("ALTER TABLE tasks ADD COLUMN later text NOT NULL DEFAULT 'unknown'")
def downgrade() -> None:
    op.execute("ALTER TABLE tasks DROP COLUMN later")
"""


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the newer version."""
    folder = tmp_path_factory.mktemp("newer")
    for path in ROOT.iterdir():
        if path.suffix == ".py" or path.name in {"pyproject.toml", "schema.graphql"}:
            shutil.copy(path, folder)
        elif (path / "__init__.py").exists() or path.name in {"migrations", "docs"}:
            shutil.copytree(
                path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__", "tests")
            )
    text = NEWER.format(newest=revision.newest())
    (folder / "migrations" / "versions" / "9999_later.py").write_text(text)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """A database of the present version."""
    async with fresh_database(settings) as made:
        yield made


def migrate(folder: Path, dsn: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "DATABASE_URL": dsn}
    command = [sys.executable, "-m", "cli", "migrate"]
    return subprocess.Popen(command, cwd=folder, env=environment)


async def test_a_migration_waits_for_locks_without_blocking_others(
    newer: Path, settings: Settings, database: Database
) -> None:
    dsn = await address_of(settings, database)
    holder, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT FROM tasks")
        running = migrate(newer, dsn)
        waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
        for _ in range(2):
            async with asyncio.timeout(60):
                while not await other.fetchval(waits):
                    await asyncio.sleep(0.02)
                # Behind the migration, which gives up although the lock is not released.
                await other.execute("SELECT FROM tasks")
        assert running.poll() is None, "it tries again"
        await transaction.rollback()
        assert await asyncio.to_thread(running.wait, 60) == 0
        assert await other.fetchval("SELECT version_num FROM alembic_version") == "9999"
    finally:
        await holder.close()
        await other.close()


class Load:
    """Creates tasks until it is stopped, at whichever of the servers answers."""

    def __init__(self, person: Person) -> None:
        self.urls: list[str] = []
        self.acknowledged: list[str] = []
        self._person = person
        self._stopped = False

    async def run(self) -> None:
        async with httpx.AsyncClient(headers={"Authorization": self._person.header}) as http:
            while not self._stopped:
                title = f"Task {secrets.token_hex(8)}"
                body = {"query": CREATE, "variables": {"t": title}}
                for url in list(self.urls):
                    with contextlib.suppress(httpx.HTTPError):
                        answer = await http.post(f"{url}/graphql", json=body)
                        found = answer.json().get("data") or {}
                        if (found.get("taskCreate") or {}).get("task"):
                            self.acknowledged.append(title)
                            break
                await asyncio.sleep(0.005)

    def stop(self) -> None:
        self._stopped = True

    async def more(self) -> None:
        """Wait for ten more acknowledged tasks."""
        before = len(self.acknowledged)
        async with asyncio.timeout(60):
            while len(self.acknowledged) < before + 10:
                await asyncio.sleep(0.05)


@pytest.mark.nightly
async def test_an_upgrade_under_load_and_its_rollback_lose_nothing(
    newer: Path, settings: Settings, database: Database
) -> None:
    dsn = await address_of(settings, database)
    own = settings.with_database(dsn)
    house = House(own, database)
    load = Load(await house.person())
    tasks = [asyncio.create_task(load.run()) for _ in range(4)]
    try:
        with process(own) as (old, _):
            load.urls.append(old)
            await load.more()
            assert await asyncio.to_thread(migrate(newer, dsn).wait, 120) == 0
            await load.more()
            with process(own, folder=newer) as (new, _):
                load.urls.insert(0, new)
                await load.more()
                load.urls.remove(old)
            load.urls.clear()
        # A roll-back: the old version starts on the newer tables.
        with process(own) as (again, _):
            load.urls.append(again)
            await load.more()
            async with httpx.AsyncClient() as http:
                health = (await http.get(f"{again}/health/ready")).json()
            assert health["checks"]["migrations"] == {"status": "ok"}
            load.stop()
            await asyncio.gather(*tasks)
        connection = await asyncpg.connect(dsn)
        stored = {row["title"] for row in await connection.fetch("SELECT title FROM tasks")}
        await connection.close()
        assert set(load.acknowledged) <= stored
    finally:
        load.stop()
        await asyncio.gather(*tasks)
        house.auth.close()
