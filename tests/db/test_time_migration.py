"""The filters that exports keep are rewritten by the new names."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from graphql import GraphQLInputObjectType, Undefined
from graphql.utilities import coerce_input_value
from sqlalchemy import Connection

from db import migrate
from graph.schema import schema
from settings import Settings

ID = "project_018f3a1c5b7e7d3e8f00112233445566"
# Filters as they were, and as they are.
FILTERS: list[tuple[Any, Any]] = [
    (None, None),
    ({"firstDay": "2026-11-01"}, {"firstDay": "2026-11-01"}),
    ({"entries": {}}, {"entries": {}}),
    (
        {"lastDay": "2026-11-30", "entries": {"projectId": {"in": [ID]}, "isBillable": True}},
        {"lastDay": "2026-11-30", "entries": {"project": {"id": {"in": [ID]}}, "isBillable": True}},
    ),
    (
        {"entries": {"taskId": {"isNull": True}, "userId": {"isNull": False}}},
        {"entries": {"task": {"isNull": True}, "user": {"isNull": False}}},
    ),
    (
        {"entries": {"project": {"name": {"eq": "projectId"}}, "projectId": {"notEq": ID}}},
        {
            "entries": {
                "project": {"name": {"eq": "projectId"}},
                "and": [{"project": {"id": {"notEq": ID}}}],
            }
        },
    ),
    (
        {"entries": {"or": [{"task": {"completed": False}}, {"task": {"sharedWithMe": True}}]}},
        {
            "entries": {
                "or": [
                    {"task": {"not": {"status": {"eq": "COMPLETED"}}}},
                    {"task": {"shares": {"some": {"user": {"isMe": True}}}}},
                ]
            }
        },
    ),
    (
        {"entries": {"not": {"task": {"completed": True, "status": {"in": ["TODO"]}}}}},
        {
            "entries": {
                "not": {
                    "task": {
                        "status": {"in": ["TODO"]},
                        "and": [{"status": {"eq": "COMPLETED"}}],
                    }
                }
            }
        },
    ),
]


async def test_filters_of_exports_have_the_new_names(settings: Settings) -> None:
    server = await asyncpg.connect(settings.database.dsn)
    name = f"time_{secrets.token_hex(6)}"
    await server.execute(f"CREATE DATABASE {name}")
    try:
        address = urlsplit(settings.database.dsn)
        database = settings.with_database(urlunsplit(address._replace(path=f"/{name}"))).database
        await migrate.upgrade(database)

        def back(connection: Connection) -> None:
            command.downgrade(migrate._config(connection), "0033")

        await migrate._locked(database, back)
        rows = await asyncpg.connect(database.dsn)
        # The user does not matter.
        await rows.execute("SET session_replication_role = replica")
        ids = [uuid4() for _ in FILTERS]
        for id_, (before, _) in zip(ids, FILTERS, strict=True):
            await rows.execute(
                "INSERT INTO report_exports (id, user_id, timezone, week_start, format, status,"
                " progress, created_at, updated_at, version, filter)"
                " VALUES ($1, $1, 'UTC', 1, 10, 10, 0, $2, $2, 1, $3)",
                id_,
                dt.datetime.now(dt.UTC),
                None if before is None else json.dumps(before),
            )
        await migrate.upgrade(database)
        found = [
            await rows.fetchval("SELECT filter FROM report_exports WHERE id = $1", id_)
            for id_ in ids
        ]
        await rows.close()
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()
    assert [text and json.loads(text) for text in found] == [after for _, after in FILTERS]


@pytest.mark.parametrize("after", [after for _, after in FILTERS if after])
def test_the_schema_understands_them(after: Any) -> None:
    of_reports = schema._schema.type_map["TimeReportFilter"]
    assert isinstance(of_reports, GraphQLInputObjectType)
    assert coerce_input_value(after, of_reports) is not Undefined
