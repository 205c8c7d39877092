"""Separate databases, for tests that change the whole content of a database."""

from __future__ import annotations

import asyncio
import fcntl
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from alembic import command
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, select

from db import migrate
from db.embedded_host import find_account, find_binaries
from db.engine import Database
from demo.seed import seed_demo
from settings import DatabaseSettings, Settings

# Names of databases that are copied, by server, by what row-level security is, and by what is in
# them: "migrated", or "demo".
_templates: dict[tuple[str, str, str], str] = {}


@asynccontextmanager
async def copied_database(settings: Settings, template: str) -> AsyncIterator[DatabaseSettings]:
    """A copy of a database on the tests' server, for the duration of the block."""
    name = f"fresh_{secrets.token_hex(6)}"
    server = await asyncpg.connect(settings.database.dsn)
    try:
        # Twice as fast as the other strategy, which copies through the log.
        await server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        yield _named(settings, name)
    finally:
        await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.close()


@asynccontextmanager
async def empty_database(settings: Settings) -> AsyncIterator[DatabaseSettings]:
    """A database without tables on the tests' server, for the duration of the block."""
    async with copied_database(settings, "template1") as own:
        yield own


@asynccontextmanager
async def migrated_database(settings: Settings) -> AsyncIterator[DatabaseSettings]:
    """A database with tables and without rows, for the duration of the block. It is a copy, which
    takes a twentieth of the time of the migrations.
    """
    kind = (settings.database.dsn, settings.database.row_security, "migrated")
    if kind not in _templates:
        name = await _created(settings)
        await migrate.upgrade(_named(settings, name))
        _templates[kind] = name
    async with copied_database(settings, _templates[kind]) as own:
        yield own


async def demo_template(settings: Settings, shared: Path | None) -> str:
    """The name of a database with the demo company, for `copied_database`.

    Creating the company takes longer than many a file of tests, so one process of a run does it,
    and the others read its dump from the folder `shared`. `None`: there are no others.
    """
    kind = (settings.database.dsn, settings.database.row_security, "demo")
    if kind not in _templates:
        name = await _created(settings)
        if shared is None:
            await _seed(settings, name)
        else:
            dump = shared / "demo.sql"
            with (shared / "demo.lock").open("w") as lock:
                await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
                if not dump.exists():
                    await _seed(settings, name)
                    await _run("pg_dump", settings, name, "--file", str(dump))
                else:
                    options = ("--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1")
                    await _run("psql", settings, name, *options, "--file", str(dump))
                    await _execute(_within(settings, name), "ANALYZE")
        _templates[kind] = name
    return _templates[kind]


async def _seed(settings: Settings, name: str) -> None:
    own = _named(settings, name)
    await migrate.upgrade(own)
    database = await Database.connect(own)
    try:
        await seed_demo(database, settings)
    finally:
        await database.close()


async def _run(program: str, settings: Settings, name: str, *options: str) -> None:
    """Run a program of the embedded PostgreSQL on a database."""
    binaries = find_binaries(find_account())
    running = await asyncio.create_subprocess_exec(
        binaries / program,
        *options,
        _named(settings, name).dsn,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await running.communicate()
    assert running.returncode == 0, told.decode()


async def _created(settings: Settings) -> str:
    name = f"template_{secrets.token_hex(6)}"
    await _execute(settings, f"CREATE DATABASE {name}")
    return name


async def drop_templates(settings: Settings) -> None:
    """Leave nothing behind on this server, which may have been given."""
    for kind in [kind for kind in _templates if kind[0] == settings.database.dsn]:
        await _execute(settings, f"DROP DATABASE {_templates.pop(kind)} WITH (FORCE)")


async def _execute(settings: Settings, statement: str) -> None:
    server = await asyncpg.connect(settings.database.dsn)
    await server.execute(statement)
    await server.close()


def _named(settings: Settings, name: str) -> DatabaseSettings:
    return _within(settings, name).database


def _within(settings: Settings, name: str) -> Settings:
    url = urlunsplit(urlsplit(settings.database.dsn)._replace(path=f"/{name}"))
    return settings.with_database(url)


@asynccontextmanager
async def fresh_database(settings: Settings) -> AsyncIterator[Database]:
    """An empty, migrated database on the tests' server, for the duration of the block."""
    async with migrated_database(settings) as own:
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
    async with empty_database(settings) as own:
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
