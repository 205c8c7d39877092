"""Counters of the rows that were there before."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

from settings import Settings
from tests.counts import wrong_in
from tests.databases import database_at

NOW = dt.datetime(2026, 11, 29, 12, 0, tzinfo=dt.UTC)
BEFORE = "0033"
TAGS: list[tuple[list[str], list[str]]] = [
    ([], []),
    (["Red", "blue"], ["red", "blue"]),
    (["RED"], ["red"]),
    (["Straße"], ["strasse"]),
]


async def _user(rows: Any, name: str) -> UUID:
    id_ = uuid4()
    await rows.execute(
        "INSERT INTO users (id, created_at, updated_at, version, username, email,"
        " password_hash, pepper_version, password_changed_at, timezone, week_start, locale,"
        " is_active, is_admin) VALUES ($1, $2, $2, 1, $3, $4, '', 1, $2,"
        " 'UTC', 1, 'en', true, false)",
        id_, NOW, name, f"{name}@example.com",
    )  # fmt: skip
    return id_


async def _task(rows: Any, owner: UUID, project: UUID | None, number: int) -> UUID:
    id_ = uuid4()
    tags, keys = TAGS[number % len(TAGS)]
    deleted = NOW if number % 5 == 0 else None
    await rows.execute(
        "INSERT INTO tasks (id, created_at, updated_at, version, project_id, number, title,"
        " status, priority, tags, tag_keys, position, owner_id, deleted_at, deleted_with)"
        " VALUES ($1, $2, $2, 1, $3, $4, 'x', $5, $6, $7, $8, $9, $10, $11, $12)",
        id_, NOW, project, number if project else None, 10 + number % 4 * 10, number % 5 * 10,
        tags, keys, f"a{number}", owner, deleted, id_ if deleted else None,
    )  # fmt: skip
    return id_


async def _comment(rows: Any, task: UUID, author: UUID, *, removed: bool) -> None:
    await rows.execute(
        "INSERT INTO comments (id, created_at, updated_at, version, task_id, author_id, body,"
        " removed_at) VALUES ($1, $2, $2, 1, $3, $4, 'x', $5)",
        uuid4(), NOW, task, author, NOW if removed else None,
    )  # fmt: skip


async def _attachment(rows: Any, task: UUID, uploader: UUID) -> None:
    file = uuid4()
    await rows.execute(
        "INSERT INTO stored_files (id, uploader_id, created_at, expires_at)"
        " VALUES ($1, $2, $3, $3)",
        file, uploader, NOW,
    )  # fmt: skip
    await rows.execute(
        "INSERT INTO attachments (id, task_id, uploader_id, file_id, filename, content_type, size,"
        " sha256, has_thumbnail, created_at)"
        " VALUES ($1, $2, $3, $4, 'a.png', 'image/png', 1, '', false, $5)",
        uuid4(), task, uploader, file, NOW,
    )  # fmt: skip


async def test_old_rows_are_counted(settings: Settings) -> None:
    async with database_at(settings, BEFORE) as database:
        rows = database.rows
        ada, ben = await _user(rows, "ada"), await _user(rows, "ben")
        project = uuid4()
        await rows.execute(
            "INSERT INTO projects (id, created_at, updated_at, version, name, key, owner_id)"
            " VALUES ($1, $2, $2, 1, 'x', 'X', $3)",
            project, NOW, ada,
        )  # fmt: skip
        for number in range(1, 41):
            owner = (ada, ben)[number % 2]
            task = await _task(rows, owner, project if number % 3 else None, number)
            for count in range(number % 4):
                await _comment(rows, task, ben, removed=count == 2)
            for _ in range(number % 3):
                await _attachment(rows, task, ada)
        await database.migrate()
        assert await wrong_in(rows) == {}
        counted = await rows.fetchval("SELECT sum(tasks) FROM list_counts")
        assert counted == await rows.fetchval("SELECT count(*) FROM tasks WHERE deleted_at IS NULL")
        assert await rows.fetchval("SELECT count(*) FROM list_count_changes") == 0

        # From now on, every change is counted.
        task = await _task(rows, ada, project, 42)
        await _comment(rows, task, ben, removed=False)
        await rows.execute("UPDATE tasks SET status = 30, tags = '{}', tag_keys = '{}'")
        await rows.execute("UPDATE comments SET removed_at = NULL")
        await rows.execute("DELETE FROM attachments WHERE task_id = $1", task)
        assert await wrong_in(rows) == {}

        await database.migrate(BEFORE)
        assert await rows.fetchval("SELECT to_regclass('task_counters')") is None
        await database.migrate()
        assert await wrong_in(rows) == {}
