"""A disk that is really full: what is refused, what is kept, and that it goes on."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from app import create_app
from bench.drill_disk import SmallDisk
from db import migrate
from db.embedded import EmbeddedPostgres
from settings import load_settings
from tests.accounts import Person
from tests.factories import World, gid, world_of
from tests.servers import UNLIMITED

CREATE = """
mutation ($t: String!, $d: Markdown!, $p: ID!) {
  taskCreate(input: {title: $t, description: $d, projectId: $p}) { task { id } errors { code } }
}
"""
COUNT = "query ($p: ID!) { project(id: $p) { tasks(first: 1) { totalCount } stats { total } } }"
LONG = "word " * 800

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")


@pytest.fixture
async def small() -> AsyncIterator[tuple[World, SmallDisk]]:
    """A server whose tasks are on a small disk."""
    with EmbeddedPostgres.temporary() as server:
        settings = load_settings({"DATABASE_URL": server.dsn(), **UNLIMITED}, env_file=None)
        await migrate.upgrade(settings.database)
        cluster = next(server.data_dir.rglob("postmaster.pid")).parent
        disk = await SmallDisk.below_tasks(server.dsn(), cluster)
        try:
            app = create_app(settings)
            async with app.lifespan(), world_of(app) as world:
                yield world, disk
        finally:
            server.stop()
            disk.close()


async def test_changes_are_refused_while_the_disk_is_full_and_none_is_lost(
    small: tuple[World, SmallDisk],
) -> None:
    world, disk = small
    ada = await world.person()
    project = gid(await world.project(ada))
    kept = 0

    async def create(who: Person) -> list[str]:
        nonlocal kept
        reply = await world.post(CREATE, who, t="one more", d=LONG, p=project)
        kept += not reply.codes
        return reply.codes

    async def count() -> tuple[int, int]:
        found = (await world.post(COUNT, ada, p=project)).good["project"]
        return found["tasks"]["totalCount"], found["stats"]["total"]

    for _ in range(5):
        assert await create(ada) == []
    disk.fill()
    # Pages that have room are used first.
    codes = [await create(ada) for _ in range(40)]
    assert codes[-10:] == [["UNAVAILABLE"]] * 10
    assert {code for one in codes for code in one} == {"UNAVAILABLE"}
    assert await count() == (kept, kept)
    ready = await world.http.get("/health/ready")
    assert ready.json()["checks"]["database"]["status"] == "degraded"
    disk.free()
    for _ in range(5):
        assert await create(ada) == []
    assert await count() == (kept, kept)
