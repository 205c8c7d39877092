"""Filters that exports of reports keep are read by the names that filters have now, and back."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from graph.kit.stored_input import from_json
from graph.schema import schema
from graph.types.time.report import TimeReportFilter
from settings import Settings
from tests.databases import database_at

NOW = dt.datetime(2026, 11, 29, 12, 0, tzinfo=dt.UTC)
ONE = f"task_{'0' * 32}"
# As it was, as it is, and as it is after a way back where that is not as it was.
FILTERS: list[tuple[Any, Any, Any]] = [
    ({"firstDay": "2026-11-01", "lastDay": "2026-11-30"}, ..., None),
    (
        {"entries": {"projectId": {"isNull": True}, "isBillable": True}},
        {"entries": {"project": {"isNull": True}, "isBillable": True}},
        None,
    ),
    (
        {"entries": {"taskId": {"in": [ONE]}}},
        {"entries": {"task": {"id": {"in": [ONE]}}}},
        {"entries": {"task": {"id": {"in": [ONE]}}}},
    ),
    (
        {"entries": {"userId": {"isNull": False, "notEq": ONE}}},
        {"entries": {"user": {"isNull": False, "id": {"notEq": ONE}}}},
        {"entries": {"user": {"isNull": False, "id": {"notEq": ONE}}}},
    ),
    (
        {"entries": {"task": {"comments": {"some": {"parentId": {"eq": ONE}}}}}},
        {"entries": {"task": {"comments": {"some": {"parent": {"id": {"eq": ONE}}}}}}},
        None,
    ),
    (
        {"entries": {"taskId": {"eq": ONE}, "task": {"completed": True}, "and": [{"day": {}}]}},
        {
            "entries": {
                "task": {"status": {"eq": "COMPLETED"}},
                "and": [{"day": {}}, {"task": {"id": {"eq": ONE}}}],
            }
        },
        {
            "entries": {
                "task": {"status": {"eq": "COMPLETED"}},
                "and": [{"day": {}}, {"task": {"id": {"eq": ONE}}}],
            }
        },
    ),
    (
        {"entries": {"or": [{"not": {"task": {"completed": False, "assigneeId": {}}}}]}},
        {
            "entries": {
                "or": [{"not": {"task": {"status": {"notEq": "COMPLETED"}, "assignee": {}}}}]
            }
        },
        {
            "entries": {
                "or": [{"not": {"task": {"status": {"notEq": "COMPLETED"}, "assignee": {}}}}]
            }
        },
    ),
    (
        {"entries": {"task": {"status": {"in": ["TODO"]}, "completed": False}}},
        {
            "entries": {
                "task": {
                    "status": {"in": ["TODO"]},
                    "and": [{"status": {"notEq": "COMPLETED"}}],
                }
            }
        },
        {
            "entries": {
                "task": {
                    "status": {"in": ["TODO"]},
                    "and": [{"status": {"notEq": "COMPLETED"}}],
                }
            }
        },
    ),
    (
        {"entries": {"task": {"sharedWithMe": False}, "description": {"eq": "taskId"}}},
        {
            "entries": {
                "task": {"shares": {"none": {"user": {"isMe": True}, "isExpired": False}}},
                "description": {"eq": "taskId"},
            }
        },
        {
            "entries": {
                "task": {"shares": {"none": {"user": {"isMe": True}, "isExpired": False}}},
                "description": {"eq": "taskId"},
            }
        },
    ),
]
OLD = [old for old, _, _ in FILTERS]
NEW = [old if new is ... else new for old, new, _ in FILTERS]
BACK = [old if back is None else back for old, _, back in FILTERS]


@pytest.mark.parametrize("stored", NEW, ids=str)
def test_what_is_stored_then_is_a_filter(stored: Any) -> None:
    assert from_json(schema, TimeReportFilter, stored) is not None


async def test_stored_filters_follow(settings: Settings) -> None:
    async with database_at(settings, "0029") as database:
        rows = database.rows
        await _store(rows)
        await database.migrate("0030")
        assert await _read(rows) == [*NEW, None]
        await database.migrate("0029")
        assert await _read(rows) == [*BACK, None]
        await database.migrate("0030")
        assert await _read(rows) == [*NEW, None]


async def _store(rows: asyncpg.Connection[Any]) -> None:
    async def insert(table: str, **values: Any) -> None:
        columns = ", ".join(values)
        places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        await rows.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *values.values())

    def row() -> dict[str, Any]:
        return {"id": uuid4(), "created_at": NOW, "updated_at": NOW, "version": 1}

    ada = row()
    await insert(
        "users", **ada, username="ada", email="ada@example.com", password_hash="",
        pepper_version=1, password_changed_at=NOW, timezone="UTC", week_start=1, locale="en",
        is_active=True, is_admin=False,
    )  # fmt: skip
    for progress, filter_ in enumerate([*map(json.dumps, OLD), None]):
        await insert(
            "report_exports", **row(), user_id=ada["id"], timezone="UTC", week_start=1, format=10,
            status=30, progress=progress, filter=filter_,
        )  # fmt: skip


async def _read(rows: asyncpg.Connection[Any]) -> list[Any]:
    stored = await rows.fetch("SELECT filter FROM report_exports ORDER BY progress")
    return [None if row[0] is None else json.loads(row[0]) for row in stored]
