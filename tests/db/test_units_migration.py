"""What was stored in minutes is read in seconds, and back."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from uuid import uuid4

import asyncpg

from settings import Settings
from tests.databases import database_at

NOW = dt.datetime(2026, 11, 29, 12, 0, tzinfo=dt.UTC)
ESTIMATES = ([None, 0, 1, 1_000_000], [None, 0, 60, 60_000_000])
RULES = (
    [{"offset_minutes": -90}, {"offset_minutes": 0}, {"time": "09:00", "timezone": "UTC"}],
    [{"offset": -5_400}, {"offset": 0}, {"time": "09:00", "timezone": "UTC"}],
)
# Of each event: its subject, and its changes as they were and as they are.
EVENTS: list[tuple[str, list[Any], list[Any]]] = [
    (
        "Task",
        [
            {"field": "title", "from": "estimate_minutes", "to": "5"},
            {"field": "estimate_minutes", "from": None, "to": 90},
        ],
        [
            {"field": "title", "from": "estimate_minutes", "to": "5"},
            {"field": "estimate", "from": None, "to": 5_400},
        ],
    ),
    (
        "Task",
        [{"field": "estimate_minutes", "from": 1_000_000, "to": 0}],
        [{"field": "estimate", "from": 60_000_000, "to": 0}],
    ),
    (
        "Task",
        [{"field": "title", "from": "5", "to": "6"}],
        [{"field": "title", "from": "5", "to": "6"}],
    ),
    (
        "Reminder",
        [{"field": "rule", "from": {"offset_minutes": 5}, "to": {"at": "2026-11-29T12:00:00"}}],
        [{"field": "rule", "from": {"offset": 300}, "to": {"at": "2026-11-29T12:00:00"}}],
    ),
    ("Reminder", [], []),
]
FILTER = (
    {
        "task": {
            "or": [
                {"estimateMinutes": {"gte": 30, "in": [30, 60], "isNull": False}},
                {"title": {"eq": "estimateMinutes"}, "tracked": {"gt": 60}},
            ],
            "subtasks": {"none": {"estimateMinutes": {"isNull": True}}},
        }
    },
    {
        "task": {
            "or": [
                {"estimate": {"gte": 1_800, "in": [1_800, 3_600], "isNull": False}},
                {"title": {"eq": "estimateMinutes"}, "tracked": {"gt": 60}},
            ],
            "subtasks": {"none": {"estimate": {"isNull": True}}},
        }
    },
)
REPORT = (
    {"firstDay": "2026-11-01", "entries": {"task": {"estimateMinutes": {"lt": 5}}}},
    {"firstDay": "2026-11-01", "entries": {"task": {"estimate": {"lt": 300}}}},
)
RESULT = (
    {"email": "ada@example.com", "expires_in": 900},
    {"email": "ada@example.com", "expires_at": "2026-11-29T12:15:00+00:00"},
)


async def test_minutes_become_seconds(settings: Settings) -> None:
    async with database_at(settings, "0026") as database:
        rows = database.rows
        await _store(rows)
        assert await _read(rows, "estimate_minutes") == _expected(0)
        await database.migrate("0027")
        assert await _read(rows, "estimate") == _expected(1)
        await database.migrate("0026")
        assert await _read(rows, "estimate_minutes") == _expected(0)


def _expected(side: int) -> dict[str, Any]:
    return {
        "estimates": ESTIMATES[side],
        "rules": RULES[side],
        "changes": [event[1 + side] for event in EVENTS],
        "webhooks": [FILTER[side], None],
        "exports": [REPORT[side], None],
        "results": [RESULT[side], {"task": "1"}],
    }


async def _store(rows: asyncpg.Connection[Any]) -> None:
    async def insert(table: str, **values: Any) -> None:
        columns = ", ".join(values)
        places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        await rows.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *values.values())

    def row() -> dict[str, Any]:
        return {"id": uuid4(), "created_at": NOW, "updated_at": NOW, "version": 1}

    ada = row()
    user = {"user_id": ada["id"]}
    await insert(
        "users", **ada, username="ada", email="ada@example.com", password_hash="",
        pepper_version=1, password_changed_at=NOW, timezone="UTC", week_start=1, locale="en",
        is_active=True, is_admin=False,
    )  # fmt: skip
    for number, minutes in enumerate(ESTIMATES[0]):
        await insert(
            "tasks", **row(), title=str(number), status=10, priority=0, position="a",
            owner_id=ada["id"], estimate_minutes=minutes,
        )  # fmt: skip
    for number, rule in enumerate(RULES[0]):
        await insert(
            "reminders", **row(), **user, kind=30, rule=json.dumps(rule), channels=["IN_APP"],
            is_enabled=False, message=str(number),
        )  # fmt: skip
    for subject, changes, _ in EVENTS:
        await insert(
            "events", id=uuid4(), at=NOW, kind="TASK_UPDATED", subject_type=subject,
            subject_id=uuid4(), changes=json.dumps(changes),
        )  # fmt: skip
    for position, filter_ in enumerate((json.dumps(FILTER[0]), None)):
        await insert(
            "webhooks", **row(), **user, url="https://example.com", filter=filter_, status=10,
            secret=b"", since_position=position,
        )  # fmt: skip
    for progress, filter_ in enumerate((json.dumps(REPORT[0]), None)):
        await insert(
            "report_exports", **row(), **user, timezone="UTC", week_start=1, format=10,
            status=30, progress=progress, filter=filter_,
        )  # fmt: skip
    for key, result in (("a", RESULT[0]), ("b", {"task": "1"})):
        await insert(
            "idempotency_keys", scope="x", key=key, mutation="x", input_hash=b"",
            result=json.dumps(result), created_at=NOW,
        )  # fmt: skip


async def _read(rows: asyncpg.Connection[Any], estimate: str) -> dict[str, Any]:
    async def column(query: str) -> list[Any]:
        return [row[0] for row in await rows.fetch(query)]

    async def parsed(query: str) -> list[Any]:
        return [None if value is None else json.loads(value) for value in await column(query)]

    return {
        "estimates": await column(f"SELECT {estimate} FROM tasks ORDER BY title"),
        "rules": await parsed("SELECT rule FROM reminders ORDER BY message"),
        "changes": await parsed("SELECT changes FROM events ORDER BY position"),
        "webhooks": await parsed("SELECT filter FROM webhooks ORDER BY since_position"),
        "exports": await parsed("SELECT filter FROM report_exports ORDER BY progress"),
        "results": await parsed("SELECT result FROM idempotency_keys ORDER BY key"),
    }
