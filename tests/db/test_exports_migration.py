"""Nobody can open files of exports that were made before their rights were stored."""

from __future__ import annotations

import datetime as dt
import secrets
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
from alembic import command
from sqlalchemy import Connection

from db import migrate
from settings import Settings


async def test_exports_finished_before_the_migration_expire(settings: Settings) -> None:
    server = await asyncpg.connect(settings.database.dsn)
    name = f"exports_{secrets.token_hex(6)}"
    await server.execute(f"CREATE DATABASE {name}")
    try:
        address = urlsplit(settings.database.dsn)
        database = settings.with_database(urlunsplit(address._replace(path=f"/{name}"))).database
        await migrate.upgrade(database)

        def back(connection: Connection) -> None:
            command.downgrade(migrate._config(connection), "0024")

        await migrate._locked(database, back)
        rows = await asyncpg.connect(database.dsn)
        # The user does not matter.
        await rows.execute("SET session_replication_role = replica")
        for state in (10, 20, 30, 40):
            await rows.execute(
                "INSERT INTO report_exports (id, user_id, timezone, week_start, format, state,"
                " progress, created_at, updated_at, version)"
                " VALUES ($1, $1, 'UTC', 1, 10, $2, 0, $3, $3, 1)",
                uuid4(),
                state,
                dt.datetime.now(dt.UTC),
            )
        await migrate.upgrade(database)
        found = await rows.fetch("SELECT status, version FROM report_exports ORDER BY status")
        assert [tuple(row) for row in found] == [(10, 1), (20, 1), (40, 1), (60, 2)]
        await rows.close()
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()
