"""What a process does not need to load, and how it finds that out."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from db import migrate, revision
from settings import Settings

ROOT = Path(__file__).resolve().parents[2]


async def test_a_database_is_up_to_date_after_its_last_migration(settings: Settings) -> None:
    assert await revision.is_newest(settings.database)
    assert await migrate.pending(settings.database) == []
    server = await asyncpg.connect(settings.database.dsn)
    name = f"empty_{secrets.token_hex(6)}"
    await server.execute(f"CREATE DATABASE {name}")
    try:
        address = urlsplit(settings.database.dsn)
        empty = settings.with_database(urlunsplit(address._replace(path=f"/{name}")))
        assert not await revision.is_newest(empty.database)
        applied = await migrate.upgrade(empty.database)
        assert applied[-1].startswith(revision.newest())
        assert await revision.is_newest(empty.database)
        other = await asyncpg.connect(empty.database.dsn)
        await other.execute("UPDATE alembic_version SET version_num = '9999'")
        await other.close()
        # A newer version: `migrate` reports that.
        assert not await revision.is_newest(empty.database)
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()


def test_a_web_process_loads_neither_alembic_nor_redis() -> None:
    """Unless it needs them: they take 30 MiB of memory in each process."""
    code = "import app, graph.schema, sys; print({'alembic', 'redis'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
