"""Rows that were there before the index of pieces are found by it."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from alembic import command
from sqlalchemy import Connection

from db import migrate
from domain.folding import pieces
from settings import Settings

_FOUND = "SELECT title FROM tasks WHERE taskloom_pieces_tasks(title, description, notes) @> $1"


async def test_old_tasks_have_pieces(settings: Settings) -> None:
    server = await asyncpg.connect(settings.database.dsn)
    name = f"pieces_{secrets.token_hex(6)}"
    await server.execute(f"CREATE DATABASE {name}")
    try:
        address = urlsplit(settings.database.dsn)
        database = settings.with_database(urlunsplit(address._replace(path=f"/{name}"))).database

        def back(connection: Connection) -> None:
            command.downgrade(migrate._config(connection), "0033")

        await migrate.upgrade(database)
        await migrate._locked(database, back)
        rows = await asyncpg.connect(database.dsn)
        assert await rows.fetchval("SELECT to_regproc('taskloom_pieces_tasks')") is None
        user = (
            "INSERT INTO users (id, created_at, updated_at, version, username, email, full_name, "
            "password_hash, pepper_version, password_changed_at, week_start, is_active, is_admin) "
            "VALUES (gen_random_uuid(), now(), now(), 1, $1, $1 || '@a.example', $2, '', 1, now(), "
            "1, true, false) RETURNING id"
        )
        ada = await rows.fetchval(user, "ada", None)
        await rows.fetchval(user, "jun", "Jun Tak\u00e1cs")
        for title, description in (("Cr\u00e8me br\u00fbl\u00e9e", None), ("Other", "with cream")):
            await rows.execute(
                "INSERT INTO tasks (id, created_at, updated_at, version, title, description, "
                "status, priority, position, owner_id) "
                "VALUES (gen_random_uuid(), now(), now(), 1, $1, $2, 10, 0, 'i', $3)",
                title,
                description,
                ada,
            )
        assert await migrate.upgrade(database)
        await rows.execute("SET enable_seqscan = off")
        for part, found in (
            ("brul", "Cr\u00e8me br\u00fbl\u00e9e"),
            ("cream", "Other"),
            ("creak", None),
        ):
            assert await rows.fetchval(_FOUND, pieces(part)) == found
        plan = await rows.fetch(f"EXPLAIN {_FOUND}", ["cre"])
        assert any("ix_tasks_pieces" in row[0] for row in plan)
        of_users = (
            "SELECT username FROM users WHERE taskloom_pieces_users(username, full_name) @> $1"
        )
        assert await rows.fetchval(of_users, pieces("takacs")) == "jun"
        assert await rows.fetchval(of_users, pieces("ada")) == "ada"
        await rows.close()
        await migrate._locked(database, back)
        await migrate.upgrade(database)
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()
