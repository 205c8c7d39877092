"""Webhooks get names, deliveries their attempts, and integrations the IDs of their users."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from settings import Settings
from tests.databases import database_at

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

ADA = UUID(int=7)
BASE = "https://GitHub.example.com/api/v3"
GITHUB = {"repository": "octo/cat", "baseUrl": BASE, "hasComments": False}
# The users of integrations, by name.
PEOPLE = [
    [("octoada", "ADA"), ("gone", "nobody"), ("octoada2", "ada")],
    [],
    # Twice in one project, and twice in one integration.
    [("gone", "someone"), ("gone", "nobody")],
]
SLACK = {"events": ["TASK_CREATED"]}


async def test_old_webhooks_get_names_and_their_latest_attempts(settings: Settings) -> None:
    async with database_at(settings, "0027") as database:
        rows = database.rows
        deliveries = await _leave(rows)
        await database.migrate()
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
        await _check_integrations(rows)
        await database.migrate("0027")
        assert await _settings(rows) == [
            {**GITHUB, "assignees": [_named("octoada"), _named("octoada2")]},
            {**GITHUB, "assignees": []},
            {**GITHUB, "assignees": []},
            SLACK,
        ]
        assert await rows.fetchval("SELECT count(*) FROM external_links") == 0
        await database.migrate()
        await rows.execute("DELETE FROM webhook_deliveries WHERE state = $1", FAILED)
        assert await rows.fetchval("SELECT count(*) FROM webhook_attempts") == len(attempts) - 1


def _named(login: str) -> dict[str, str]:
    return {"login": login, "username": "ada"}


async def _settings(rows: asyncpg.Connection[Any]) -> list[Any]:
    kept = await rows.fetch("SELECT settings FROM integrations ORDER BY since_position")
    return [json.loads(row["settings"]) for row in kept]


async def _check_integrations(rows: asyncpg.Connection[Any]) -> None:
    ada = [{"login": login, "userId": ADA.hex} for login in ("octoada", "octoada2")]
    assert await _settings(rows) == [
        {**GITHUB, "assignees": ada},
        {**GITHUB, "assignees": []},
        {**GITHUB, "assignees": []},
        SLACK,
    ]
    links = await rows.fetch("SELECT * FROM external_links ORDER BY integration_id")
    assert [link["kind"] for link in links] == ["assignee", "assignee"]
    assert len({link["integration_id"] for link in links} - {None}) == 2
    for link in links:
        assert link["source"] == BASE.lower()
        assert "the GitHub user gone" in link["problem"]
        assert "the username nobody" in link["problem"]
        assert (link["problem_at"] is not None, link["retry_at"]) == (True, None)
        assert link["id"].version == 7


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
        "users", id=ADA, username="ada", email="ada@example.com", password_hash="",
        pepper_version=0, password_changed_at=NOW, timezone="UTC", week_start=1, locale="en",
        is_active=True, is_admin=False,
    )  # fmt: skip
    for url in NAMES:
        webhook = await insert("webhooks", user_id=user, url=url, status=1, secret=b"")
    project = await insert("projects", name="Web", key="WEB", owner_id=user, last_number=0)
    kept: list[tuple[int, Any]] = [
        (1, {**GITHUB, "assignees": [{"login": login, "username": name} for login, name in pairs]})
        for pairs in PEOPLE
    ]
    for position, (connector, value) in enumerate([*kept, (2, SLACK)]):
        await insert(
            "integrations", user_id=user, project_id=project, connector=connector,
            settings=json.dumps(value), credentials=b"", status=1, since_position=position,
            progress="{}",
        )  # fmt: skip
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
