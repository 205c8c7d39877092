"""Separate databases, for tests that change the whole content of a database."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from sqlalchemy import func, select

from db import migrate
from db.engine import Database
from settings import Settings


@asynccontextmanager
async def fresh_database(settings: Settings) -> AsyncIterator[Database]:
    """An empty, migrated database on the tests' server, for the duration of the block."""
    name = f"fresh_{secrets.token_hex(6)}"
    server = await asyncpg.connect(settings.database.dsn)
    try:
        await server.execute(f"CREATE DATABASE {name}")
        url = urlunsplit(urlsplit(settings.database.dsn)._replace(path=f"/{name}"))
        own = settings.with_database(url).database
        await migrate.upgrade(own)
        database = await Database.connect(own)
        yield database
        await database.close()
    finally:
        await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.close()


async def address_of(settings: Settings, database: Database) -> str:
    """The address of this database, which is on the server of these settings."""
    async with database.session() as session:
        name = await session.scalar(select(func.current_database()))
    return urlunsplit(urlsplit(settings.database.dsn)._replace(path=f"/{name}"))
