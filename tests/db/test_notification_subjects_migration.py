"""Notifications of before get what they are about from the events of their transactions."""

from __future__ import annotations

import datetime as dt
from uuid import UUID, uuid4

from settings import Settings
from tests.databases import database_at

NOW = dt.datetime(2026, 11, 29, 12, 0, tzinfo=dt.UTC)
BEFORE = "0032"


async def test_old_notifications_lead_somewhere(settings: Settings) -> None:
    async with database_at(settings, BEFORE) as database:
        rows = database.rows
        ada = uuid4()
        await rows.execute(
            "INSERT INTO users (id, created_at, updated_at, version, username, email,"
            " password_hash, pepper_version, password_changed_at, timezone, week_start, locale,"
            " is_active, is_admin) VALUES ($1, $2, $2, 1, 'ada', 'ada@example.com', '', 1, $2,"
            " 'UTC', 1, 'en', true, false)",
            ada, NOW,
        )  # fmt: skip

        async def event(kind: str, of: str, subject: UUID, at: dt.datetime) -> UUID:
            id_ = uuid4()
            await rows.execute(
                "INSERT INTO events (id, at, kind, subject_type, subject_id, audience, changes)"
                " VALUES ($1, $2, $3, $4, $5, $6, '[]')",
                id_, at, kind, of, subject, [ada],
            )  # fmt: skip
            return id_

        async def notice(kind: int, at: dt.datetime, event_id: UUID | None = None) -> UUID:
            id_ = uuid4()
            await rows.execute(
                "INSERT INTO notifications (id, recipient_id, kind, event_id, message, created_at,"
                " in_app, email) VALUES ($1, $2, $3, $4, 'x', $5, true, false)",
                id_, ada, kind, event_id, at,
            )  # fmt: skip
            return id_

        later = NOW + dt.timedelta(minutes=1)
        reminder, webhook, link, one, two = (uuid4() for _ in range(5))
        due = await event("REMINDER_DUE", "Reminder", reminder, NOW)
        await event("WEBHOOK_UPDATED", "Webhook", webhook, NOW)
        await event("INTEGRATION_UPDATED", "Integration", link, NOW)
        # Two in one moment.
        await event("WEBHOOK_UPDATED", "Webhook", one, later)
        await event("WEBHOOK_UPDATED", "Webhook", two, later)
        expected = {
            await notice(7, NOW, due): ("Reminder", reminder),
            await notice(7, NOW): (None, None),
            await notice(8, NOW): ("Webhook", webhook),
            await notice(9, NOW): ("Integration", link),
            await notice(8, later): (None, None),
            await notice(5, NOW): (None, None),
        }
        await database.migrate()
        found = await rows.fetch("SELECT id, subject_type, subject_id FROM notifications")
        shown = {row["id"]: (row["subject_type"], row["subject_id"]) for row in found}
        assert shown == expected
