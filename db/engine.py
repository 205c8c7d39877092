"""The two ways to the database, opened and closed together.

Changes are one transaction each, with timeouts (`db.transaction`); reads go through `db.read`. A
process has as many connections for each of the two as the pool's size says, half as many for reads
whose plan depends on their values, and a few more for changes of one statement, which are done
within a millisecond. Each is opened when there is need of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import orjson
from sqlalchemy import NullPool, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from db.faults import DatabaseFault, database_fault
from db.pool import Connection, Pool
from db.read import PLAN_ONCE, Reader, acquired, connect_driver, connect_reader, with_settings
from db.transaction import SessionConnection, Single, Transaction, begun, released
from settings import DatabaseSettings

StatementListener = Callable[[str], None]

# Connections for changes of one statement.
_SINGLES = 4


class PoolUse(NamedTuple):
    """How many connections of a pool are in use at this moment, and how many there may be."""

    in_use: int
    size: int


class Database:
    """One per process. `listeners` hear the text of every statement (tests count with them)."""

    def __init__(
        self,
        engine: AsyncEngine,
        changes: Pool[SessionConnection],
        reader: Reader,
        singles: Pool[Connection],
        listeners: list[StatementListener],
    ) -> None:
        self.reader = reader
        self.single = Single(singles, self._heard, self._failed)
        self.listeners = listeners
        # The latest change that could not be stored, in seconds of `time.monotonic`, and why.
        self.refused: tuple[float, DatabaseFault] | None = None
        self._engine = engine
        self._changes = changes

    @classmethod
    async def connect(cls, settings: DatabaseSettings) -> Database:
        """Open the pools; fails at once where the server cannot be reached."""
        listeners: list[StatementListener] = []

        def heard(text: str) -> None:
            for listener in listeners:
                listener(text)

        arguments = settings.connect_args
        timeouts = {
            "statement_timeout": str(settings.statement_timeout_ms),
            "lock_timeout": str(settings.lock_timeout_ms),
            "idle_in_transaction_session_timeout": str(settings.idle_transaction_timeout_ms),
        }
        engine = _engine(with_settings(arguments, **timeouts), heard)
        wait = settings.pool_timeout_seconds
        changes = Pool(partial(SessionConnection.opened, engine), settings.pool_size, timeout=wait)
        reader = await connect_reader(
            arguments,
            max_size=settings.pool_size,
            statement_timeout_ms=settings.statement_timeout_ms,
            pool_timeout=wait,
            on_statement=heard,
        )
        size = min(_SINGLES, settings.pool_size)
        singles = acquired(arguments, max_size=size, timeout=wait, **timeouts, **PLAN_ONCE)
        return cls(engine, changes, reader, singles, listeners)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """One transaction, committed when the block ends well."""
        return begun(self._changes, self._heard, self._failed)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session by itself, for what looks after the server and not for an operation's work. It
        commits what it is told to commit, and has its connection until the block ends.
        """
        connection = await self._changes.acquire()
        session = connection.session()
        async with released(self._changes, connection, session.close):
            yield session

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """The driver's connection, outside of a transaction; closed if the block fails."""
        async with self._changes.acquired() as connection:
            yield connection.driver

    def pools(self) -> dict[str, PoolUse]:
        """How the pools stand, by what their connections are for."""
        acquired = {**self.reader.pools(), **self.single.pools()}
        return {
            "changes": PoolUse(self._changes.in_use, self._changes.size),
            **{name: PoolUse(pool.in_use, pool.size) for name, pool in acquired.items()},
        }

    def _heard(self, text: str) -> None:
        for listener in self.listeners:
            listener(text)

    def _failed(self, error: Exception) -> None:
        fault = database_fault(error)
        if fault in {DatabaseFault.FULL, DatabaseFault.READ_ONLY}:
            self.refused = (time.monotonic(), fault)

    async def close(self) -> None:
        """Close all connections, within seconds whatever is done with them."""
        await asyncio.gather(self._changes.close(), self.reader.close(), self.single.close())
        await self._engine.dispose()


def _engine(connect_args: dict[str, Any], heard: Callable[[str], None]) -> AsyncEngine:
    """SQLAlchemy without a pool of its own: see `SessionConnection`."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=partial(connect_driver, **connect_args),
        poolclass=NullPool,
        # Errors are logged with their statement; what users write is nobody's business there.
        hide_parameters=True,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def _hear(_c: Any, _cur: Any, text: str, _p: Any, _ctx: Any, _many: bool) -> None:
        heard(text)

    @event.listens_for(engine.sync_engine, "invalidate")
    def _terminate(adapter: Any, _record: Any, _error: Any) -> None:
        # SQLAlchemy would close it with a farewell, and wait two seconds for that, in a task that
        # was cancelled.
        if adapter is not None:
            adapter.driver_connection.terminate()

    return engine
