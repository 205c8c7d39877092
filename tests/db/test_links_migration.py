"""Links to issues by number are kept, and get GitHub's ids at the next synchronization."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import uuid4

import asyncpg

from settings import Settings
from tests.databases import database_at

BEFORE = "0023"
LINKS = "SELECT kind, external_id, local_id, seen FROM external_links ORDER BY kind, external_id"


async def test_links_survive_upgrade_and_downgrade(settings: Settings) -> None:
    async with database_at(settings, BEFORE) as database:
        rows = database.rows
        await _leave(rows)
        before = await rows.fetch(LINKS)
        await database.migrate()
        after = await rows.fetch(
            "SELECT kind, external_id, number, source, project_id IS NOT NULL AS has_project"
            " FROM external_links ORDER BY kind, number"
        )
        assert [(row["kind"], row["number"]) for row in after] == [
            ("comment", None),
            ("issue", 7),
            ("issue", 7),
        ]
        assert after[0]["external_id"] == "9000"
        assert all(row["external_id"].startswith("#7") for row in after[1:])
        assert {row["source"] for row in after} == {"https://api.github.com"}
        assert all(row["has_project"] for row in after)
        assert await rows.fetchval("SELECT DISTINCT progress FROM integrations") == "{}"
        await database.migrate(BEFORE)
        assert await rows.fetch(LINKS) == before


async def _leave(rows: asyncpg.Connection[Any]) -> None:
    """Two repositories of a project, each with an issue of the same number."""
    now = dt.datetime.now(dt.UTC)

    async def insert(table: str, **values: Any) -> Any:
        row: dict[str, Any] = {"id": uuid4(), **values}
        if table != "external_links":
            row |= {"created_at": now, "updated_at": now, "version": 1}
        columns = ", ".join(row)
        places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
        await rows.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *row.values())
        return row["id"]

    user = await insert(
        "users",
        username="ada",
        email="ada@example.com",
        password_hash="",
        pepper_version=0,
        password_changed_at=now,
        timezone="UTC",
        week_start=1,
        locale="en",
        is_active=True,
        is_admin=False,
    )
    project = await insert("projects", name="Web", key="WEB", owner_id=user, last_number=2)
    for repository in ("a/garden", "a/park"):
        integration = await insert(
            "integrations",
            user_id=user,
            project_id=project,
            connector=1,
            settings=f'{{"repository": "{repository}", "baseUrl": "https://api.GitHub.com"}}',
            credentials=b"",
            status=1,
            target=f"https://api.github.com/{repository}",
            progress='{"since": "2026-01-01T00:00:00Z"}',
        )
        links = [("issue", "7")]
        if repository == "a/garden":
            links.append(("comment", "9000"))
        for kind, external_id in links:
            await insert(
                "external_links",
                integration_id=integration,
                kind=kind,
                external_id=external_id,
                local_id=uuid4(),
                seen='{"state": "open"}',
            )
