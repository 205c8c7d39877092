"""Nobody can open files of exports that were made before their rights were stored."""

from __future__ import annotations

import datetime as dt
from uuid import uuid4

from settings import Settings
from tests.databases import database_at


async def test_exports_finished_before_the_migration_expire(settings: Settings) -> None:
    async with database_at(settings, "0024") as database:
        rows = database.rows
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
        await database.migrate()
        found = await rows.fetch("SELECT status, version FROM report_exports ORDER BY status")
        assert [tuple(row) for row in found] == [(10, 1), (20, 1), (40, 1), (60, 2)]
