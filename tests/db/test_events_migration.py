"""Webhooks that were stored with the first filter and payloads send the same, or say why not."""

from __future__ import annotations

import datetime as dt
import importlib
import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from graphql import GraphQLError, parse, validate

from graph.kit.stored_input import from_json
from graph.schema import schema
from graph.types.events.event_filter import EventFilter
from graph.types.integrations import webhook_payload
from settings import Settings
from tests.databases import database_at

migration: Any = importlib.import_module("migrations.versions.0032_events")
NOW = dt.datetime(2026, 11, 29, 12, 0, tzinfo=dt.UTC)
ME = {"actor": {"isMe": True}}

# What was stored (filter, kinds beside it), and the filter that it becomes.
FILTERS: list[tuple[Any, list[str] | None, Any]] = [
    (None, None, None),
    ({}, None, None),
    (None, ["TASK_CREATED"], {"kind": {"in": ["TASK_CREATED"]}}),
    ({"kinds": ["A"]}, None, {"kind": {"in": ["A"]}}),
    ({"kinds": ["A", "B"]}, ["C", "B"], {"kind": {"in": ["B"]}}),
    ({"projects": ["p"]}, None, {"project": {"id": {"in": ["p"]}}}),
    ({"tasks": ["t", "u"]}, None, {"task": {"id": {"in": ["t", "u"]}}}),
    ({"actors": ["a"], "excludeOwn": False}, None, {"actor": {"id": {"in": ["a"]}}}),
    ({"excludeOwn": True}, None, {"not": ME}),
    (
        {"tasks": ["t"], "task": {"title": {"eq": "x"}}},
        None,
        {"task": {"and": [{"id": {"in": ["t"]}}, {"title": {"eq": "x"}}]}},
    ),
]
# Filters of tasks, before and after.
TASKS: list[tuple[Any, Any]] = [
    ({"completed": True}, {"status": {"eq": "COMPLETED"}}),
    ({"completed": False}, {"not": {"status": {"eq": "COMPLETED"}}}),
    (
        {"status": {"in": ["TODO"]}, "completed": True},
        {"status": {"in": ["TODO"]}, "and": [{"status": {"eq": "COMPLETED"}}]},
    ),
    (
        {"completed": False, "not": {"title": {"eq": "a"}}, "and": [{"number": {"eq": 1}}]},
        {
            "not": {"status": {"eq": "COMPLETED"}},
            "and": [{"not": {"title": {"eq": "a"}}}, {"number": {"eq": 1}}],
        },
    ),
    ({"estimateMinutes": {"gte": 5, "in": [1, 2]}}, {"estimate": {"gte": 300, "in": [60, 120]}}),
    ({"estimateMinutes": {"isNull": True}}, {"estimate": {"isNull": True}}),
    ({"estimate": {"gte": 300}}, {"estimate": {"gte": 300}}),
    ({"sharedWithMe": True}, {"shares": {"some": {"user": {"isMe": True}}}}),
    ({"sharedWithMe": False}, {"not": {"shares": {"some": {"user": {"isMe": True}}}}}),
    ({"assigneeId": {"eq": "u"}}, {"assignee": {"id": {"eq": "u"}}}),
    ({"assigneeId": {"isNull": True}}, {"assignee": {"isNull": True}}),
    ({"projectId": {"isNull": False}}, {"project": {"isNull": False}}),
    ({"parentId": {"isNull": False, "notIn": ["t"]}}, {"parent": {"id": {"notIn": ["t"]}}}),
    (
        {"owner": {"username": {"eq": "ada"}}, "ownerId": {"in": ["u"]}},
        {"owner": {"username": {"eq": "ada"}}, "and": [{"owner": {"id": {"in": ["u"]}}}]},
    ),
    (
        {"or": [{"subtasks": {"none": {"completed": True}}}, {"parent": {"projectId": {}}}]},
        {
            "or": [
                {"subtasks": {"none": {"status": {"eq": "COMPLETED"}}}},
                {"parent": {"project": {}}},
            ]
        },
    ),
    (
        {"comments": {"some": {"authorId": {"eq": "u"}, "parentId": {"isNull": True}}}},
        {"comments": {"some": {"author": {"id": {"eq": "u"}}, "parent": {"isNull": True}}}},
    ),
    (
        {"timeEntries": {"every": {"userId": {"eq": "u"}, "taskId": {"isNull": False}}}},
        {"timeEntries": {"every": {"user": {"id": {"eq": "u"}}, "task": {"isNull": False}}}},
    ),
    (
        {"attachments": {"some": {"uploaderId": {"eq": "u"}}}},
        {"attachments": {"some": {"uploader": {"id": {"eq": "u"}}}}},
    ),
    ({"title": {"eq": "completed"}, "tags": {"some": {"in": ["taskId"]}}}, None),
]
# Payloads, before and after; None stays as it is.
PAYLOADS: list[tuple[str, str | None]] = [
    ("{ kind at task { id title } }", None),
    ("{ changes { field } }", None),
    ("{ task { key } }", "{ task { key: identifier } }"),
    ("{ task { name: key project { key } } }", "{ task { name: identifier project { key } } }"),
    (
        "{ subject { ... on TimeEntry { durationSeconds billable } } }",
        "{ subject { ... on TimeEntry { durationSeconds: duration billable: isBillable } } }",
    ),
    (
        "{ ...E task { ...T } } fragment E on TaskEvent { kind } fragment T on Task { key }",
        (
            "{ ...E task { ...T } } fragment E on Event { kind } "
            "fragment T on Task { key: identifier }"
        ),
    ),
    (
        "{ task { attachments(first: 1) { nodes { size url } } } }",
        "{ task { attachments(first: 1) { nodes { size: byteSize url: downloadUrl } } } }",
    ),
    (
        "{ task { activity(first: 2) { nodes { task { key } } edges { node { kind } } } } }",
        (
            "{ task { activity(first: 2) { nodes { task { key: identifier } } "
            "edges { node { kind } } } } }"
        ),
    ),
]
UNWRITABLE = {
    "{ changes { field from to } }": "FieldChange.from",
    "{ sessionId }": "Event.sessionId",
    "{ task { estimateMinutes } }": "Task.estimateMinutes",
    "{ actor { email } }": "User.email",
    "{ task { comments(orderBy: [{createdAt: {direction: DESC}}]) { nodes { id } } } }": "orderBy",
    "{ subject { ... on Reminder { rule { kind } } } }": "Reminder.rule",
}
DEFAULT = """{
  id
  kind
  at
  cursor
  summary
  requestId
  subjectId
  subject {
    __typename
    ... on TaskShare { permission expiresAt user { id username fullName } }
  }
  actor { id username fullName }
  task { id number title status }
  changes { field from to }
}"""


@pytest.mark.parametrize(("stored", "events", "expected"), FILTERS)
def test_a_filter_and_its_kinds_become_one(stored: Any, events: Any, expected: Any) -> None:
    assert migration.event_filter(stored, events) == (expected, None)


def test_kinds_that_exclude_each_other_never_matched() -> None:
    made, why = migration.event_filter({"kinds": ["A"]}, ["B"])
    assert made == {"kind": {"in": ["B"]}}
    assert "no kind of event in common" in why


@pytest.mark.parametrize(("stored", "expected"), TASKS)
def test_a_filter_of_tasks_has_the_new_names(stored: Any, expected: Any) -> None:
    made, why = migration.event_filter({"task": stored}, None)
    assert (made, why) == ({"task": stored if expected is None else expected}, None)


def _same(one: str, other: str) -> bool:
    return parse(one).to_dict() == parse(other).to_dict()


def _valid(payload: str) -> list[GraphQLError]:
    document = parse(webhook_payload.document_of(payload))
    return validate(schema._schema, document)


@pytest.mark.parametrize(("stored", "expected"), PAYLOADS)
def test_a_payload_keeps_its_shape(stored: str, expected: str | None) -> None:
    made = migration.payload_document(stored)
    assert made == stored if expected is None else _normal(made) == _normal(expected)
    assert _valid(made) == []
    assert migration.payload_document(made) == made


def _normal(text: str) -> list[str]:
    return text.replace("{", " { ").replace("}", " } ").split()


@pytest.mark.parametrize(("stored", "field"), UNWRITABLE.items())
def test_a_payload_without_an_equal_is_named(stored: str, field: str) -> None:
    with pytest.raises(migration.Unwritable, match=field):
        migration.payload_document(stored)


def test_a_default_payload_of_a_key_becomes_the_new_default() -> None:
    made = migration.payload_document(DEFAULT)
    assert "... on NodeChange { oldId newId }" in made
    assert _valid(made) == []


async def test_stored_webhooks(settings: Settings) -> None:
    async with database_at(settings, "0031") as database:
        rows = database.rows
        user = await _store(rows)
        await database.migrate()
        found = {
            row["url"].rpartition("/")[2]: row
            for row in await rows.fetch(
                "SELECT url, filter, payload, status, disabled_reason FROM webhooks"
            )
        }
        assert json.loads(found["good"]["filter"]) == {
            "kind": {"in": ["TASK_CREATED"]},
            "not": ME,
            "task": {"not": {"status": {"eq": "COMPLETED"}}},
        }
        assert _normal(found["good"]["payload"]) == _normal("{ task { key: identifier } }")
        assert found["good"]["status"] == 1
        assert (found["plain"]["filter"], found["plain"]["payload"]) == (None, None)
        for url, why in (("changes", "FieldChange.from"), ("never", "in common")):
            assert found[url]["status"] == 2
            assert why in found[url]["disabled_reason"]
        assert found["changes"]["payload"] == "{ changes { field from to } }"
        # Their owner is notified, and pending deliveries are not sent.
        told = await rows.fetch("SELECT recipient_id, kind, message, in_app FROM notifications")
        assert {(row["recipient_id"], row["kind"], row["in_app"]) for row in told} == {
            (user, 8, True)
        }
        assert all(row["message"].startswith("Your webhook to a.example was") for row in told)
        kinds = await rows.fetch("SELECT kind, audience FROM events")
        assert sorted(row["kind"] for row in kinds) == (
            ["NOTIFICATION_CREATED"] * 2 + ["WEBHOOK_UPDATED"] * 2
        )
        assert all(row["audience"] == [user] for row in kinds)
        assert await rows.fetchval("SELECT count(*) FROM webhook_deliveries WHERE state = 4") == 1
        await database.migrate("0031")
        (former,) = [
            json.loads(row["filter"])
            for row in await rows.fetch("SELECT url, filter FROM webhooks WHERE filter IS NOT NULL")
            if row["url"].endswith("never")
        ]
        assert former == {"kinds": ["TASK_CREATED"]}


async def _store(rows: asyncpg.Connection[Any]) -> UUID:
    async def insert(table: str, **values: Any) -> UUID:
        columns = {
            row["column_name"]
            for row in await rows.fetch(
                "SELECT column_name FROM information_schema.columns WHERE table_name = $1", table
            )
        }
        given = {name: value for name, value in values.items() if name in columns}
        places = ", ".join(f"${n}" for n in range(1, len(given) + 1))
        await rows.execute(
            f"INSERT INTO {table} ({', '.join(given)}) VALUES ({places})", *given.values()
        )
        key: UUID = given["id"]
        return key

    def row() -> dict[str, Any]:
        return {"id": uuid4(), "created_at": NOW, "updated_at": NOW, "version": 1}

    user = await insert(
        "users", **row(), username="ada", email="ada@example.com", password_hash="",
        pepper_version=1, password_changed_at=NOW, timezone="UTC", week_start=1, locale="en",
        is_active=True, is_admin=False,
    )  # fmt: skip
    stored: dict[str, tuple[Any, list[str] | None, str | None]] = {
        "good": (
            {"excludeOwn": True, "task": {"completed": False}},
            ["TASK_CREATED"],
            "{ task { key } }",
        ),
        "plain": (None, None, None),
        "changes": (None, None, "{ changes { field from to } }"),
        "never": ({"kinds": ["COMMENT_CREATED"]}, ["TASK_CREATED"], None),
    }
    for url, (filter_, events, payload) in stored.items():
        webhook = await insert(
            "webhooks", **row(), user_id=user, name=url, url=f"https://a.example/{url}",
            events=events, filter=None if filter_ is None else json.dumps(filter_),
            payload=payload, status=1, secret=b"",
        )  # fmt: skip
        if url == "changes":
            await insert(
                "webhook_deliveries", id=uuid4(), webhook_id=webhook, event_id=uuid4(),
                is_test=False, state=1, created_at=NOW, attempt=0, tries=0,
            )  # fmt: skip
    return user


def test_what_filters_become_is_what_the_schema_reads() -> None:
    for stored, events, _ in FILTERS:
        made, _ = migration.event_filter(stored, events)
        if made is not None and "A" not in str(made) and "'B'" not in str(made):
            from_json(schema, EventFilter, made)
    for stored, _ in TASKS:
        made, _ = migration.event_filter({"task": stored}, None)
        from_json(schema, EventFilter, made)
