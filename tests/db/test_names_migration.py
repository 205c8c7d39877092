"""What was stored by the names of before is read by those of now, and back."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from uuid import uuid4

import asyncpg

from settings import Settings
from tests.databases import database_at

NOW = dt.datetime(2026, 11, 29, 12, 0, tzinfo=dt.UTC)
# Of each stored text: as it was, and as it is.
KINDS = {
    "MEMBER_ADDED": "PROJECT_MEMBER_ADDED",
    "SHARE_DELETED": "TASK_SHARE_DELETED",
    "USER_REGISTERED": "USER_CREATED",
    "INTEGRATION_DISCONNECTED": "INTEGRATION_DELETED",
    "TASK_CREATED": "TASK_CREATED",
    "PROJECT_ARCHIVED": "PROJECT_ARCHIVED",
}
CHANGES = [
    ("TimeEntry", ["billable", "tags"], ["is_billable", "tags"]),
    ("Project", ["name", "allow_overlaps"], ["name", "is_overlap_allowed"]),
    ("Reminder", ["enabled"], ["is_enabled"]),
    ("User", ["notification_email_enabled"], ["notification_is_email_enabled"]),
    ("ReportExport", ["state", "progress", "size"], ["status", "progress", "byte_size"]),
    ("ReportExport", ["reason"], ["failure_reason"]),
    # The same word of something else.
    ("Task", ["state", "enabled", "size"], ["state", "enabled", "size"]),
    ("Task", [], []),
]
WEBHOOK = (
    {
        "kinds": ["SHARE_CREATED", "TASK_CREATED"],
        "task": {
            "or": [
                {"trackedSeconds": {"gt": 60}, "title": {"eq": "size"}},
                {"timeEntries": {"some": {"billable": True, "overlaps": False}}},
                {"attachments": {"none": {"size": {"gte": 1}}}},
            ]
        },
    },
    {
        "kinds": ["TASK_SHARE_CREATED", "TASK_CREATED"],
        "task": {
            "or": [
                {"tracked": {"gt": 60}, "title": {"eq": "size"}},
                {"timeEntries": {"some": {"isBillable": True, "hasOverlap": False}}},
                {"attachments": {"none": {"byteSize": {"gte": 1}}}},
            ]
        },
    },
)
EXPORT = (
    {"from": "2026-11-01", "to": None, "entries": {"durationSeconds": {"lt": 5}}},
    {"firstDay": "2026-11-01", "lastDay": None, "entries": {"duration": {"lt": 5}}},
)
SETTINGS = (
    {"events": ["MEMBER_REMOVED", "COMMENT_CREATED"]},
    {"events": ["PROJECT_MEMBER_REMOVED", "COMMENT_CREATED"]},
)
GITHUB = (
    {"repository": "octo/cat", "comments": False},
    {"repository": "octo/cat", "hasComments": False},
)
RESULT = (
    {"task": None, "_failures": [["LOCKED", "Closed.", ["input"], None], ["FORBIDDEN", "", [], 1]]},
    {
        "task": None,
        "_failures": [["TIME_LOCKED", "Closed.", ["input"], None], ["FORBIDDEN", "", [], 1]],
    },
)


async def test_stored_names_become_those_of_the_schema(settings: Settings) -> None:
    async with database_at(settings, "0025") as database:
        rows = database.rows
        await _store(rows)
        assert await _read(rows, "state", "enabled") == _expected(0)
        await database.migrate("0026")
        assert await _read(rows, "status", "is_enabled") == _expected(1)
        await database.migrate("0025")
        assert await _read(rows, "state", "enabled") == _expected(0)


def _expected(side: int) -> dict[str, Any]:
    kinds = list(KINDS) if side == 0 else list(KINDS.values())
    return {
        "kinds": kinds + ["TASK_UPDATED"] * len(CHANGES),
        "changes": [[]] * len(KINDS) + [change[1 + side] for change in CHANGES],
        "events": [kinds, None],
        "webhook": [WEBHOOK[side], None],
        "export": [EXPORT[side], None],
        "state": [30, 30],
        "settings": [SETTINGS[side], GITHUB[side]],
        "result": [RESULT[side], {"task": "1"}],
        "reminder": [False],
    }


async def _store(rows: asyncpg.Connection[Any]) -> None:
    async def insert(table: str, **values: Any) -> None:
        columns = ", ".join(values)
        places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        await rows.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *values.values())

    def row() -> dict[str, Any]:
        return {"id": uuid4(), "created_at": NOW, "updated_at": NOW, "version": 1}

    ada, web = row(), row()
    await insert(
        "users", **ada, username="ada", email="ada@example.com", password_hash="",
        pepper_version=1, password_changed_at=NOW, timezone="UTC", week_start=1, locale="en",
        is_active=True, is_admin=False,
    )  # fmt: skip
    await insert("projects", **web, name="Web", key="WEB", owner_id=ada["id"], last_number=0)
    user = {"user_id": ada["id"]}
    events: list[tuple[str, str, list[str]]] = [(kind, "Task", []) for kind in KINDS]
    events += [("TASK_UPDATED", subject, fields) for subject, fields, _ in CHANGES]
    for kind, subject, fields in events:
        changes = [{"field": field, "from": field, "to": None} for field in fields]
        await insert(
            "events", id=uuid4(), at=NOW, kind=kind, subject_type=subject, subject_id=uuid4(),
            changes=json.dumps(changes),
        )  # fmt: skip
    for kinds, filter_ in ((list(KINDS), json.dumps(WEBHOOK[0])), (None, None)):
        await insert(
            "webhooks", **row(), **user, url="https://example.com", events=kinds,
            filter=filter_, status=10, secret=b"", since_position=1 if kinds else 2,
        )  # fmt: skip
    for progress, filter_ in ((1, json.dumps(EXPORT[0])), (2, None)):
        await insert(
            "report_exports", **row(), **user, timezone="UTC", week_start=1, format=10,
            state=30, progress=progress, filter=filter_,
        )  # fmt: skip
    for position, given in ((1, SETTINGS[0]), (2, GITHUB[0])):
        await insert(
            "integrations", **row(), **user, project_id=web["id"], connector=10,
            settings=json.dumps(given), credentials=b"", status=10, since_position=position,
            progress="{}",
        )  # fmt: skip
    for key, result in (("a", RESULT[0]), ("b", {"task": "1"})):
        await insert(
            "idempotency_keys", scope="x", key=key, mutation="task_create", input_hash=b"",
            result=json.dumps(result), created_at=NOW,
        )  # fmt: skip
    await insert(
        "reminders", **row(), **user, kind=30, rule="{}", channels=["IN_APP"],
        enabled=False,
    )  # fmt: skip


async def _read(rows: asyncpg.Connection[Any], state: str, enabled: str) -> dict[str, Any]:
    async def column(query: str) -> list[Any]:
        return [row[0] for row in await rows.fetch(query)]

    async def parsed(query: str) -> list[Any]:
        return [None if value is None else json.loads(value) for value in await column(query)]

    return {
        "kinds": await column("SELECT kind FROM events ORDER BY position"),
        "changes": [
            [change["field"] for change in changes]
            for changes in await parsed("SELECT changes FROM events ORDER BY position")
        ],
        "events": await column("SELECT events FROM webhooks ORDER BY since_position"),
        "webhook": await parsed("SELECT filter FROM webhooks ORDER BY since_position"),
        "export": await parsed("SELECT filter FROM report_exports ORDER BY progress"),
        "state": await column(f"SELECT {state} FROM report_exports"),
        "settings": await parsed("SELECT settings FROM integrations ORDER BY since_position"),
        "result": await parsed("SELECT result FROM idempotency_keys ORDER BY key"),
        "reminder": await column(f"SELECT {enabled} FROM reminders"),
    }
