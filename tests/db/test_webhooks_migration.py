"""Webhooks and deliveries from before names and attempts get both."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg
from alembic import command
from sqlalchemy import Connection

from db import migrate
from settings import Settings

NOW = dt.datetime(2026, 11, 29, 12, 0, tzinfo=dt.UTC)
NAMES = {
    "https://hooks.example.com/T1/secret?x=1": "hooks.example.com",
    "https://Hooks.example.com:8443/": "hooks.example.com:8443",
    "https://hooks.example.com:443": "hooks.example.com",
    "http://[2001:db8::1]:80/x": "[2001:db8::1]",
}
PENDING, DELIVERED, FAILED, SKIPPED = 1, 2, 3, 4
# Deliveries: state, attempts, status, error; and the error of the attempt, if there is one.
DELIVERIES: list[tuple[int, int, int | None, str | None, str | None]] = [
    (PENDING, 0, None, None, None),
    (SKIPPED, 0, None, "The webhook is disabled.", None),
    (DELIVERED, 1, 204, None, None),
    (PENDING, 3, 500, "The receiver answered 500.", "The receiver answered 500."),
    (FAILED, 10, None, "There was no answer.", "There was no answer."),
    # Skipped after its attempts, or requested again.
    (SKIPPED, 2, 503, "The webhook is disabled.", "The receiver answered 503."),
    (SKIPPED, 2, None, "The webhook is disabled.", "There was no response."),
    (PENDING, 10, 404, None, "The receiver answered 404."),
    (PENDING, 1, 200, None, None),
]


async def test_old_webhooks_get_names_and_their_latest_attempts(settings: Settings) -> None:
    server = await asyncpg.connect(settings.database.dsn)
    name = f"hooks_{secrets.token_hex(6)}"
    await server.execute(f"CREATE DATABASE {name}")
    try:
        address = urlsplit(settings.database.dsn)
        database = settings.with_database(urlunsplit(address._replace(path=f"/{name}"))).database

        def back(connection: Connection) -> None:
            command.downgrade(migrate._config(connection), "0033")
            command.downgrade(migrate._config(connection), "-1")

        await migrate.upgrade(database)
        await migrate._locked(database, back)
        rows = await asyncpg.connect(database.dsn)
        deliveries = await _leave(rows)
        await migrate.upgrade(database)
        named = await rows.fetch("SELECT url, name FROM webhooks")
        assert {row["url"]: row["name"] for row in named} == NAMES
        kept = await rows.fetch("SELECT * FROM webhook_attempts")
        attempts = {row["delivery_id"]: row for row in kept}
        attempted = {id_ for id_, (_, count, *_) in deliveries.items() if count}
        assert attempts.keys() == attempted
        for id_, attempt in attempts.items():
            _, count, status, _, error = deliveries[id_]
            assert (attempt["number"], attempt["response_status"]) == (count, status)
            assert attempt["error"] == error
            assert attempt["attempted_at"] == NOW
            assert json.loads(attempt["request_headers"]) == {"webhook-id": "x"}
            assert attempt["scopes"] == ["events:read"]
            assert (attempt["response_body"], attempt["duration_ms"]) == ("thank you", 12)
        await rows.execute("DELETE FROM webhook_deliveries WHERE state = $1", FAILED)
        assert await rows.fetchval("SELECT count(*) FROM webhook_attempts") == len(attempts) - 1
        await rows.close()
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()


async def _leave(rows: asyncpg.Connection[Any]) -> dict[UUID, Any]:
    async def insert(table: str, **values: Any) -> UUID:
        row: dict[str, Any] = {"id": uuid4(), "created_at": NOW, **values}
        if table != "webhook_deliveries":
            row |= {"updated_at": NOW, "version": 1}
        columns = ", ".join(row)
        places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
        await rows.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *row.values())
        id_: UUID = row["id"]
        return id_

    user = await insert(
        "users", username="ada", email="ada@example.com", password_hash="", pepper_version=0,
        password_changed_at=NOW, timezone="UTC", week_start=1, locale="en", is_active=True,
        is_admin=False,
    )  # fmt: skip
    for url in NAMES:
        webhook = await insert("webhooks", user_id=user, url=url, status=1, secret=b"")
    found = {}
    for delivery in DELIVERIES:
        state, count, status, error, _ = delivery
        sent: dict[str, Any] = {}
        if count:
            sent = {
                "attempted_at": NOW, "response_status": status, "response_body": "thank you",
                "request_headers": '{"webhook-id": "x"}', "scopes": ["events:read"],
                "duration_ms": 12,
            }  # fmt: skip
        id_ = await insert(
            "webhook_deliveries", webhook_id=webhook, event_id=uuid4(), is_test=False,
            state=state, attempt=count, tries=count, error=error, **sent,
        )  # fmt: skip
        found[id_] = delivery
    return found
