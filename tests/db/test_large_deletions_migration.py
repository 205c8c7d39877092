"""The version before finds no delivery without a webhook and no link to a deleted integration."""

from __future__ import annotations

import datetime as dt
from uuid import uuid4

from settings import Settings
from tests.databases import database_at

BEFORE = "0047"
NOW = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)


async def test_what_deletions_left_ends_with_a_downgrade(settings: Settings) -> None:
    async with database_at(settings, "0048") as database:
        rows = database.rows
        ada, project = uuid4(), uuid4()
        await rows.execute(
            "INSERT INTO users (id, created_at, updated_at, version, username, email,"
            " password_hash, pepper_version, password_changed_at, timezone, week_start, locale,"
            " is_active, is_admin) VALUES ($1, $2, $2, 1, 'ada', 'ada@example.com', '', 1, $2,"
            " 'UTC', 1, 'en', true, false)",
            ada, NOW,
        )  # fmt: skip
        await rows.execute(
            "INSERT INTO projects (id, created_at, updated_at, version, name, key, owner_id,"
            " is_overlap_allowed, last_number)"
            " VALUES ($1, $2, $2, 1, 'Garden', 'GAR', $3, true, 0)",
            project, NOW, ada,
        )  # fmt: skip
        await rows.execute(
            "INSERT INTO webhook_deliveries (id, webhook_id, event_id, is_test, state, created_at,"
            " attempt, tries) VALUES ($1, $2, $3, false, 1, $4, 0, 0)",
            uuid4(), uuid4(), uuid4(), NOW,
        )  # fmt: skip
        await rows.execute(
            "INSERT INTO external_links (id, integration_id, project_id, source, kind, external_id,"
            " seen) VALUES ($1, $2, $3, 'https://api.github.com', 'issue', '7', '{}')",
            uuid4(), uuid4(), project,
        )  # fmt: skip
        await database.migrate(BEFORE)
        assert await rows.fetchval("SELECT count(*) FROM webhook_deliveries") == 0
        links = await rows.fetch("SELECT external_id, integration_id FROM external_links")
        assert [tuple(link) for link in links] == [("7", None)]
        await database.migrate()
