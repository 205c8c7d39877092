"""A migration repairs the inconsistencies between tasks that earlier versions could leave."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from settings import Settings
from tests.databases import database_at


async def test_tasks_move_to_the_project_of_their_parent(settings: Settings) -> None:
    async with database_at(settings, "0014") as database:
        rows = database.rows
        ids = await _leave(rows)
        await database.migrate()
        found = {
            row["title"]: row
            for row in await rows.fetch(
                "SELECT title, parent_id, root_id, owner_id, deleted_with FROM tasks"
            )
        }
        assert found["of another below"]["owner_id"] == ids["ada"]
        assert found["below a deleted one"]["parent_id"] is None
        assert found["its subtask"]["root_id"] == ids["below a deleted one"]
        assert found["in a deleted project"]["deleted_with"] == ids["gone"]
        assert found["elsewhere"]["parent_id"] is None
        assert await rows.fetchval("SELECT count(*) FROM jobs WHERE name = 'share.end'") == 1


async def _leave(rows: asyncpg.Connection[Any]) -> dict[str, UUID]:
    now = dt.datetime.now(dt.UTC)
    ids: dict[str, UUID] = {}

    async def insert(table: str, called: str, **values: Any) -> None:
        ids[called] = uuid4()
        row = {"id": ids[called], "created_at": now, "updated_at": now, "version": 1} | values
        columns = ", ".join(row)
        places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
        await rows.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *row.values())

    async def task(title: str, owner: str, above: str | None = None, **values: Any) -> None:
        if above is not None:
            root = await rows.fetchval("SELECT root_id FROM tasks WHERE id = $1", ids[above])
            values |= {"parent_id": ids[above], "root_id": root or ids[above]}
        await insert(
            "tasks",
            title,
            title=title,
            owner_id=ids[owner],
            position="a0",
            status=10,
            priority=0,
            **values,
        )

    for number, name in enumerate(("ada", "bob")):
        await insert(
            "users",
            name,
            username=name,
            email=f"{name}@example.com",
            password_hash="",
            pepper_version=number,
            password_changed_at=now,
            timezone="UTC",
            week_start=1,
            locale="en",
            is_active=True,
            is_admin=False,
        )
    for name, deleted_at in (("gone", now), ("web", None), ("app", None)):
        await insert(
            "projects",
            name,
            name=name,
            key=name.upper(),
            owner_id=ids["ada"],
            last_number=5,
            deleted_at=deleted_at,
        )
    await task("top", "ada")
    await task("of another below", "bob", "top")
    await task("deleted", "ada", deleted_at=now)
    await task("below a deleted one", "ada", "deleted")
    await task("its subtask", "ada", "below a deleted one")
    await task("in a deleted project", "ada", project_id=ids["gone"], number=1)
    await task("here", "ada", project_id=ids["web"], number=1)
    await task("elsewhere", "ada", "here", project_id=ids["app"], number=1)
    for name, end in (("ended", now), ("ending", now + dt.timedelta(days=1))):
        await insert(
            "task_shares",
            name,
            task_id=ids["top" if name == "ending" else "here"],
            user_id=ids["bob"],
            permission=10,
            shared_by_id=ids["ada"],
            expires_at=end,
        )
    return ids
