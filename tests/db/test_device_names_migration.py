"""Devices that their apps gave no name are called after their platform."""

from __future__ import annotations

import datetime as dt
from uuid import uuid4

from settings import Settings
from tests.databases import database_at

NOW = dt.datetime(2026, 11, 29, 12, 0, tzinfo=dt.UTC)
DEVICES = [
    ("ANDROID", None, "Android"),
    ("IOS", None, "iOS"),
    ("WEB", None, "Web browser"),
    ("IOS", "Ada's phone", "Ada's phone"),
]


async def test_every_device_gets_a_name(settings: Settings) -> None:
    async with database_at(settings, "0028") as database:
        rows = database.rows
        ada = uuid4()
        await rows.execute(
            "INSERT INTO users (id, created_at, updated_at, version, username, email,"
            " password_hash, pepper_version, password_changed_at, timezone, week_start, locale,"
            " is_active, is_admin) VALUES ($1, $2, $2, 1, 'ada', 'ada@example.com', '', 1, $2,"
            " 'UTC', 1, 'en', true, false)",
            ada, NOW,
        )  # fmt: skip
        for number, (platform, before, _) in enumerate(DEVICES):
            await rows.execute(
                "INSERT INTO devices (id, user_id, token, platform, name, created_at, seen_at)"
                " VALUES ($1, $2, $3, $4, $5, $6, $6)",
                uuid4(), ada, str(number), platform, before, NOW,
            )  # fmt: skip
        await database.migrate()
        found = await rows.fetch("SELECT name FROM devices ORDER BY token")
        assert [row["name"] for row in found] == [after for _, _, after in DEVICES]
