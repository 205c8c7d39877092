"""Migrates a database to the tables that the models describe.

Several processes may start at once, so migrations run under an advisory lock of PostgreSQL: the
first process migrates, the others wait and find nothing left to do. Each migration is a transaction
of its own (of an empty database, all together), so that neither a failure nor a kill leaves half of
one behind.

A server that is upgraded goes on to serve. So a migration waits for each lock for `LOCK_SECONDS`
only, since everything that comes later waits behind it, and is repeated after a pause. And it may
only add what the version before does not need: such a migration says in `oldest_code` which
revision's code still works, and the database keeps that. Code of that revision or later starts
against the newer tables; what is no longer needed is removed in a later version.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from db import row_security
from db.base import Base
from db.connecting import connect_driver, sqlalchemy_arguments
from db.faults import DatabaseFault, database_fault
from db.models.event import Xid8  # with all models, since it imports their package
from db.read import with_settings
from db.transaction import WITHOUT_TIME_LIMITS
from settings import DatabaseSettings

T = TypeVar("T")

log = logging.getLogger("taskloom.database")

# How long a migration waits for one lock, and how long it is repeated until it has all of them.
LOCK_SECONDS = 2.0
PATIENCE_SECONDS = 600.0
# Begins the comment on the table of the current revision.
_OLDEST = "Works with the code of revision "

NOT_OURS = "The database has no tables of Taskloom. Are DATABASE_URL and TASKLOOM_DB_SCHEMA right?"
# What every revision has.
_FIRST_TABLES = frozenset({"events", "log_epoch", "projects", "tasks", "users"})
_PARTITION = re.compile(r"events_(first|\d{6})")

# Any number that no other program uses on the same database; this one spells "taskloom".
_LOCK = int.from_bytes(b"taskloom", "big", signed=True)


# SQLAlchemy does not know this type, and meets it when it reads the database for a comparison.
ischema_names["xid8"] = Xid8


class MigrationError(Exception):
    """The database cannot be migrated; the message says why."""


async def upgrade(settings: DatabaseSettings) -> list[str]:
    """Apply all pending migrations and return their names, in order. Safe to run concurrently.

    Row-level security is turned on if the settings say so. Migrations run without it.

    Raises `MigrationError`, also if a lock cannot be had within `PATIENCE_SECONDS`.
    """
    secure = settings.row_security == "on"

    def run(connection: Connection) -> tuple[list[str], bool]:
        if settings.schema_name is not None:
            # The settings check the name; it is quoted because it may be an SQL keyword.
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{settings.schema_name}"'))
        nonlocal secure
        secured = row_security.is_on(connection)
        if secured and settings.row_security == "off":
            raise MigrationError(
                "Row-level security is on in this database. Set TASKLOOM_ROW_SECURITY=on, or turn "
                "it off with `taskloom row-security off`."
            )
        secure |= secured
        missing = _pending(connection)
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS:g}s'"))
        if not missing:
            # A newer version has policies for tables that this one does not know.
            if secure and not (secured and _is_newer(connection)):
                row_security.turn_on(connection)
            elif settings.row_security == "prepared":
                row_security.prepare(connection)
            return [], False
        if secured:
            row_security.turn_off(connection)
        config = _config(connection)
        scripts = ScriptDirectory.from_config(config)
        # Nobody uses an empty database yet.
        alone = _current(connection) == ()
        last = scripts.get_current_head() if alone else missing[0].partition("_")[0]
        assert last is not None
        command.upgrade(config, last)
        connection.execute(
            text(f"COMMENT ON TABLE alembic_version IS '{_OLDEST}{_oldest_code(scripts, last)}'")
        )
        return (missing if alone else missing[:1]), True

    applied: list[str] = []
    more = True
    while more:
        done, more = await _patiently(lambda: _locked(settings, run))
        applied += done
    return applied


async def _patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """What an attempt returns that did not have to wait too long for a lock."""
    ends = time.monotonic() + PATIENCE_SECONDS
    pause = 0.5
    while True:
        try:
            return await attempt()
        except DBAPIError as error:
            if database_fault(error) is not DatabaseFault.BUSY:
                raise
            if time.monotonic() + pause > ends:
                raise MigrationError(
                    f"A migration could not lock what it changes within {PATIENCE_SECONDS:g} "
                    "seconds. End long transactions (pg_stat_activity shows them), and try again."
                ) from error
            log.warning("a migration waited %g s for a lock; next try in %g s", LOCK_SECONDS, pause)
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - only spreads tries
        pause = min(2 * pause, 15.0)


def _oldest_code(scripts: ScriptDirectory, last: str) -> str:
    """The oldest revision whose code works with the tables of the revision `last`."""
    oldest = "0001"
    for script in reversed(list(scripts.iterate_revisions(last, "base"))):
        # Without a word about it, only the code that came with it is sure to work.
        oldest = max(oldest, getattr(script.module, "oldest_code", script.revision))
    return oldest


async def secure_rows(settings: DatabaseSettings, *, on: bool) -> None:
    """Turn row-level security on or off, whatever the settings want. Raises `MigrationError`."""

    def run(connection: Connection) -> None:
        demand_ours(connection)
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS:g}s'"))
        (row_security.turn_on if on else row_security.turn_off)(connection)

    await _patiently(lambda: _locked(settings, run))


async def pending(settings: DatabaseSettings) -> list[str]:
    """The migrations that this database lacks. Changes nothing and waits for no lock."""
    return await _connected(settings, _pending)


async def require(settings: DatabaseSettings) -> None:
    """Raise `MigrationError` if the database lacks migrations. Changes nothing."""
    if missing := await pending(settings):
        raise MigrationError(
            f"Migrations are pending, from {missing[0]} on. Run `taskloom migrate` first, if "
            "DATABASE_URL names the right database."
        )


async def differences(settings: DatabaseSettings) -> list[str]:
    """The differences between the models and a fully migrated database, in either direction."""

    def run(connection: Connection) -> list[str]:
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": is_compared,
        }
        migration = MigrationContext.configure(connection, opts=options)
        return [repr(difference) for difference in compare_metadata(migration, Base.metadata)]

    return await _connected(settings, run)


def is_compared(name: str | None, kind: str, _: Any) -> bool:
    """Whether models and database are compared in this: not in the log's partitions, which come and
    go.
    """
    return not (kind == "table" and name is not None and _PARTITION.fullmatch(name))


async def revise(settings: DatabaseSettings, message: str) -> Path:
    """Write the next migration from the difference of models and database; returns its file."""

    def run(connection: Connection) -> Path:
        config = _config(connection)
        # Not their count: two that were taken back have left gaps.
        number = int(ScriptDirectory.from_config(config).get_current_head() or 0) + 1
        script = command.revision(config, message, autogenerate=True, rev_id=f"{number:04d}")
        assert isinstance(script, Script), "one message makes one migration"
        return Path(script.path)

    return await _connected(settings, run)


def demand_ours(connection: Connection) -> None:
    """Raise `MigrationError` if the database has no tables of Taskloom."""
    if not _current(connection) or not _tables(connection).issuperset(_FIRST_TABLES):
        raise MigrationError(NOT_OURS)


def _demand_no_others(connection: Connection) -> None:
    """Raise `MigrationError` if another application's tables would be met."""
    current, tables = _current(connection), _tables(connection)
    if current and not tables.issuperset(_FIRST_TABLES):
        raise MigrationError(
            f"The database is at revision {', '.join(current)} of another application: it has a "
            "table alembic_version, and no tables of Taskloom. Use another database, or set "
            "TASKLOOM_DB_SCHEMA."
        )
    if not current and (met := sorted(tables.intersection(Base.metadata.tables))):
        names = ", ".join(met[:3]) + (f" and {len(met) - 3} more" if len(met) > 3 else "")
        raise MigrationError(
            f"The database has tables with names of ours, but no table of Taskloom's revision: "
            f"{names}. Use another database, or set TASKLOOM_DB_SCHEMA."
        )


def _tables(connection: Connection) -> set[str]:
    found = connection.execute(
        text(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
            "AND relkind IN ('r', 'p', 'v', 'm', 'f')"
        )
    )
    return {row.relname for row in found}


def _current(connection: Connection) -> tuple[str, ...]:
    return MigrationContext.configure(connection).get_current_heads()


def _works_with_newer(connection: Connection, scripts: ScriptDirectory) -> bool:
    """Whether a newer version says that this one works with its tables."""
    comment = connection.scalar(text("SELECT obj_description('alembic_version'::regclass)"))
    oldest = (comment or "").removeprefix(_OLDEST)
    return oldest in {script.revision for script in scripts.walk_revisions()}


def _is_newer(connection: Connection) -> bool:
    """Whether the database is at a revision that this version does not know."""
    scripts = ScriptDirectory.from_config(_config(connection))
    known = {script.revision for script in scripts.walk_revisions()}
    return not known.issuperset(_current(connection))


def _pending(connection: Connection) -> list[str]:
    scripts = ScriptDirectory.from_config(_config(connection))
    current = _current(connection)
    _demand_no_others(connection)
    try:
        missing = list(scripts.iterate_revisions("heads", current or "base"))
    except RevisionError as error:
        # A revision that is not ours: another program's table, or this copy of Taskloom is older.
        if _works_with_newer(connection, scripts):
            return []
        raise MigrationError(
            f"The database is at revision {', '.join(current)}, which this version does not know, "
            "and cannot work with. A newer version of Taskloom migrated it; run that version."
        ) from error
    return [Path(script.path).stem for script in reversed(missing)]


async def create(
    settings: DatabaseSettings,
    revision: str,
    fill: Callable[[asyncpg.Connection[Any]], Awaitable[None]],
) -> None:
    """Create the tables of a revision in an empty database, and fill them, in one transaction.

    Raises `MigrationError` if the database is not empty, or the revision is not known.
    """

    def run(connection: Connection) -> None:
        _lock_out_others(connection)
        if settings.schema_name is not None:
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{settings.schema_name}"'))
        _demand_empty(connection)
        config = _config(connection)
        try:
            command.upgrade(config, revision)
        except CommandError as error:
            raise MigrationError(
                f"The backup is of revision {revision}, which this version does not know. Restore "
                "it with the version that made it, or a later one."
            ) from error
        oldest = _oldest_code(ScriptDirectory.from_config(config), revision)
        connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{_OLDEST}{oldest}'"))

    async with _engine(settings) as engine, engine.begin() as connection:
        await connection.run_sync(run)
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await fill(driver)


async def demand_empty(settings: DatabaseSettings) -> None:
    """Raise `MigrationError` if `create` would."""
    await _connected(settings, _demand_empty)


def _demand_empty(connection: Connection) -> None:
    _demand_no_others(connection)
    if _current(connection):
        raise MigrationError("The database is not empty. Restore into a new one.")


@asynccontextmanager
async def _engine(settings: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    arguments = with_settings(
        settings.connect_args, **{row_security.PARAMETER: row_security.EVERYTHING}
    )
    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args=await sqlalchemy_arguments(arguments),
        async_creator=partial(connect_driver, **arguments),
        poolclass=NullPool,
    )
    try:
        yield engine
    finally:
        await engine.dispose()


async def _connected(settings: DatabaseSettings, work: Callable[[Connection], T]) -> T:
    async with _engine(settings) as engine, engine.begin() as connection:
        return await connection.run_sync(work)


async def _locked(settings: DatabaseSettings, work: Callable[[Connection], T]) -> T:
    def run(connection: Connection) -> T:
        _lock_out_others(connection)
        return work(connection)

    return await _connected(settings, run)


def _lock_out_others(connection: Connection) -> None:
    """Wait for other processes that change the tables, however long this and what follows takes."""
    connection.execute(text(WITHOUT_TIME_LIMITS))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _config(connection: Connection) -> Config:
    root = Path(__file__).resolve().parent.parent
    config = Config(toml_file=root / "pyproject.toml")
    config.set_main_option("script_location", str(root / "migrations"))
    config.attributes["connection"] = connection
    return config
