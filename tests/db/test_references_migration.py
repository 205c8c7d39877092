"""External references have a table of their own, and a trigger keeps their scope."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import asyncpg

from settings import Settings
from tests.databases import database_at


async def test_old_tasks_get_references_that_follow_them(settings: Settings) -> None:
    async with database_at(settings, "0030") as database:
        rows = database.rows
        assert await rows.fetchval("SELECT to_regclass('task_external_references')") is None
        ada, jun = [await _user(rows) for _ in range(2)]
        first, second, other = [await _task(rows, who) for who in (ada, ada, jun)]
        await database.migrate()
        assert await rows.fetchval("SELECT count(*) FROM task_external_references") == 0
        new = (
            "INSERT INTO task_external_references (task_id, source, external_id, scope_id) "
            "VALUES ($1, 'jira', $2, $3)"
        )
        await rows.execute(new, first, "1", ada)
        await rows.execute(new, second, "2", ada)
        await rows.execute(new, other, "1", jun)
        await rows.execute("UPDATE tasks SET owner_id = $1", jun)
        found = await rows.fetch(
            "SELECT task_id, scope_id FROM task_external_references ORDER BY external_id"
        )
        assert [tuple(row) for row in found] == [(other, jun), (second, jun)]
        await rows.execute("DELETE FROM tasks WHERE id = $1", second)
        assert await rows.fetchval("SELECT count(*) FROM task_external_references") == 1
        await database.migrate("0030")
        await database.migrate()


async def _user(rows: asyncpg.Connection[Any]) -> UUID:
    id_ = uuid4()
    await rows.execute(
        "INSERT INTO users (id, created_at, updated_at, version, username, email, password_hash,"
        " pepper_version, password_changed_at, timezone, week_start, locale, is_active, is_admin)"
        " VALUES ($1, now(), now(), 1, $2, $2, '', 1, now(), 'UTC', 1, 'en', true, false)",
        id_,
        id_.hex,
    )
    return id_


async def _task(rows: asyncpg.Connection[Any], owner: UUID) -> UUID:
    id_ = uuid4()
    await rows.execute(
        "INSERT INTO tasks (id, created_at, updated_at, version, title, status, priority,"
        " position, owner_id) VALUES ($1, now(), now(), 1, 'x', 10, 0, 'a', $2)",
        id_,
        owner,
    )
    return id_
