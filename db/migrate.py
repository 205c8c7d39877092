"""Migrates a database to the tables that the models describe.

Several processes may start at once, so migrations run under an advisory lock of PostgreSQL: the
first process migrates, the others wait and find nothing left to do. One transaction holds the lock
and runs all migrations, so that neither a failure nor a kill leaves anything behind.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from db.base import Base
from db.models.event import Xid8  # with all models, since it imports their package
from db.transaction import WITHOUT_TIME_LIMITS
from settings import DatabaseSettings

T = TypeVar("T")

# Any number that no other program uses on the same database; this one spells "taskloom".
_LOCK = int.from_bytes(b"taskloom", "big", signed=True)


# SQLAlchemy does not know this type, and meets it when it reads the database for a comparison.
ischema_names["xid8"] = Xid8


class MigrationError(Exception):
    """The database cannot be migrated; the message says why."""


async def upgrade(settings: DatabaseSettings) -> list[str]:
    """Apply all pending migrations and return their names, in order. Safe to run concurrently."""

    def run(connection: Connection) -> list[str]:
        if settings.schema_name is not None:
            # The settings check the name; it is quoted because it may be an SQL keyword.
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{settings.schema_name}"'))
        applied = _pending(connection)
        if applied:
            command.upgrade(_config(connection), "head")
        return applied

    return await _locked(settings, run)


async def pending(settings: DatabaseSettings) -> list[str]:
    """The migrations that this database lacks. Changes nothing and waits for no lock."""
    return await _connected(settings, _pending)


async def differences(settings: DatabaseSettings) -> list[str]:
    """The differences between the models and a fully migrated database, in either direction."""

    def run(connection: Connection) -> list[str]:
        options = {
            "compare_type": True,
            "compare_server_default": True,
        }
        migration = MigrationContext.configure(connection, opts=options)
        return [repr(difference) for difference in compare_metadata(migration, Base.metadata)]

    return await _connected(settings, run)


async def revise(settings: DatabaseSettings, message: str) -> Path:
    """Write the next migration from the difference of models and database; returns its file."""

    def run(connection: Connection) -> Path:
        config = _config(connection)
        number = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
        script = command.revision(config, message, autogenerate=True, rev_id=f"{number:04d}")
        assert isinstance(script, Script), "one message makes one migration"
        return Path(script.path)

    return await _connected(settings, run)


def _pending(connection: Connection) -> list[str]:
    scripts = ScriptDirectory.from_config(_config(connection))
    current = MigrationContext.configure(connection).get_current_heads()
    try:
        missing = list(scripts.iterate_revisions("heads", current or "base"))
    except RevisionError as error:
        # A revision that is not ours: another program's table, or this copy of Taskloom is older.
        raise MigrationError(
            f"The database is at revision {', '.join(current)}, which this version does not know. "
            "A newer version of Taskloom migrated it; run that version."
        ) from error
    return [Path(script.path).stem for script in reversed(missing)]


async def _connected(settings: DatabaseSettings, work: Callable[[Connection], T]) -> T:
    engine = create_async_engine(
        settings.sqlalchemy_url, connect_args=settings.connect_args, poolclass=NullPool
    )
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


async def _locked(settings: DatabaseSettings, work: Callable[[Connection], T]) -> T:
    def run(connection: Connection) -> T:
        connection.execute(text(WITHOUT_TIME_LIMITS))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        return work(connection)

    return await _connected(settings, run)


def _config(connection: Connection) -> Config:
    root = Path(__file__).resolve().parent.parent
    config = Config(toml_file=root / "pyproject.toml")
    config.set_main_option("script_location", str(root / "migrations"))
    config.attributes["connection"] = connection
    return config
