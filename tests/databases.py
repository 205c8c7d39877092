"""Separate databases, for tests that change the whole content of a database."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from alembic import command
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, select

from db import migrate
from db.engine import Database
from settings import DatabaseSettings, Settings


@asynccontextmanager
async def _own_database(settings: Settings) -> AsyncIterator[DatabaseSettings]:
    """An empty database without tables on the tests' server, for the duration of the block."""
    name = f"fresh_{secrets.token_hex(6)}"
    server = await asyncpg.connect(settings.database.dsn)
    try:
        await server.execute(f"CREATE DATABASE {name}")
        url = urlunsplit(urlsplit(settings.database.dsn)._replace(path=f"/{name}"))
        yield settings.with_database(url).database
    finally:
        await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.close()


@asynccontextmanager
async def fresh_database(settings: Settings) -> AsyncIterator[Database]:
    """An empty, migrated database on the tests' server, for the duration of the block."""
    async with _own_database(settings) as own:
        await migrate.upgrade(own)
        database = await Database.connect(own)
        yield database
        await database.close()


@dataclass(frozen=True, slots=True)
class OldDatabase:
    """A database at some migration. `rows`: a connection to it, in UTC."""

    settings: DatabaseSettings
    rows: asyncpg.Connection[Any]

    async def migrate(self, revision: str = "head") -> None:
        """Upgrade or downgrade to a revision, like `"0028"`."""

        def run(connection: Connection) -> None:
            current = MigrationContext.configure(connection).get_current_revision() or ""
            move = command.upgrade if revision > current else command.downgrade
            move(migrate._config(connection), revision)

        await migrate._locked(self.settings, run)


@asynccontextmanager
async def database_at(settings: Settings, revision: str) -> AsyncIterator[OldDatabase]:
    """A database without rows as it was after this migration, for the duration of the block."""
    async with _own_database(settings) as own:
        rows = await asyncpg.connect(own.dsn, server_settings={"timezone": "UTC"})
        database = OldDatabase(own, rows)
        await database.migrate(revision)
        yield database
        await rows.close()


async def address_of(settings: Settings, database: Database) -> str:
    """The address of this database, which is on the server of these settings."""
    async with database.session() as session:
        name = await session.scalar(select(func.current_database()))
    return urlunsplit(urlsplit(settings.database.dsn)._replace(path=f"/{name}"))
