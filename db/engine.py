"""The database's connection pools, opened and closed together.

Each change is one transaction with timeouts (`db.transaction`); reads go through `db.read`. One
setting says how many connections a process opens, and the pools share them (`pool_sizes`): a pool
cannot wait for a connection that another pool holds. A connection is opened when it is first
needed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

import orjson
from sqlalchemy import NullPool, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from db.connecting import connect_driver, sqlalchemy_arguments
from db.faults import DatabaseFault, database_fault
from db.pool import Connection, Pool
from db.read import PLAN_ONCE, AllRows, Reader, connect_reader, driver_pool, with_settings
from db.replica import Replica, ReplicatedReader
from db.row_security import EVERYTHING, PARAMETER
from db.traced import record_statements
from db.transaction import SessionConnection, Single, Transaction, begun, released
from settings import DatabaseSettings, RedisSettings
from telemetry import spans

StatementListener = Callable[[str], None]

# Faults of a server that otherwise answers.
_REFUSALS = frozenset({DatabaseFault.FULL, DatabaseFault.READ_ONLY, DatabaseFault.FAILING})
# How often connections for changes are renewed while the server accepts none.
_RENEW_SECONDS = 1.0


class PoolSizes(NamedTuple):
    """How many connections each pool has."""

    changes: int
    reads: int
    filtered_reads: int
    single_changes: int


def pool_sizes(connections: int) -> PoolSizes:
    """How the pools share the connections of a process.

    A change of one statement takes less than a millisecond, so a few connections do. There are two
    or more where one may be held for minutes: by an export for its snapshot, and by the periodic
    maintenance as its lock.
    """
    single_changes = max(1, connections // 7)
    filtered_reads = max(min(2, connections // 3), connections // 5)
    reads = (connections - single_changes - filtered_reads) // 2
    changes = connections - single_changes - filtered_reads - reads
    return PoolSizes(changes, reads, filtered_reads, single_changes)


# The texts of the statements that one request has run so far, for its line in the log.
request_statements: ContextVar[list[str] | None] = ContextVar("request_statements", default=None)


def _note(listeners: list[StatementListener], text: str) -> None:
    texts = request_statements.get()
    if texts is not None:
        texts.append(text)
    for listener in listeners:
        listener(text)


class PoolUse(NamedTuple):
    """How many connections of a pool are in use now, and how many are allowed."""

    in_use: int
    size: int


class Database:
    """One per process. `listeners` receive the text of every statement; tests count with them."""

    def __init__(
        self,
        engine: AsyncEngine,
        changes: Pool[SessionConnection],
        reader: Reader,
        singles: Pool[Connection],
        listeners: list[StatementListener],
        *,
        row_security: bool = False,
    ) -> None:
        self._row_security = row_security
        self.reader = reader
        # For the server itself: sees all rows (`db.row_security`).
        self.all_rows = AllRows(reader)
        self.single = Single(singles, self._heard, self._failed)
        self.listeners = listeners
        # When a change last could not be stored, in seconds of `time.monotonic`, and why.
        self.refused: tuple[float, DatabaseFault] | None = None
        self.replica: Replica | None = None
        self._renewed_at = float("-inf")
        self._engine = engine
        self._changes = changes

    @classmethod
    async def connect(
        cls, settings: DatabaseSettings, *, shared: RedisSettings | None = None
    ) -> Database:
        """Open the pools; fails at once if the server cannot be reached.

        With `shared`, queries may use the read replica, if the settings name one (`replica`).
        """
        listeners: list[StatementListener] = []
        heard = partial(_note, listeners)
        arguments = settings.connect_args
        changing = {
            "statement_timeout": str(settings.statement_timeout_ms),
            "lock_timeout": str(settings.lock_timeout_ms),
            "idle_in_transaction_session_timeout": str(settings.idle_transaction_timeout_ms),
        }
        if settings.row_security != "off":
            changing[PARAMETER] = EVERYTHING
        own = await sqlalchemy_arguments(arguments)
        engine = _engine(with_settings(arguments, **changing), own, heard)
        wait = settings.pool_timeout_seconds
        size = pool_sizes(settings.connections)
        changes = Pool(partial(SessionConnection.opened, engine), size.changes, timeout=wait)
        reading = partial(
            connect_reader,
            max_size=size.reads,
            by_values=size.filtered_reads,
            statement_timeout_ms=settings.statement_timeout_ms,
            pool_timeout=wait,
            on_statement=heard,
            row_security=settings.row_security,
        )
        reader = await reading(arguments, kind=ReplicatedReader)
        assert isinstance(reader, ReplicatedReader)
        singles = driver_pool(
            arguments, max_size=size.single_changes, timeout=wait, **changing, **PLAN_ONCE
        )
        secure = settings.row_security != "off"
        made = cls(engine, changes, reader, singles, listeners, row_security=secure)
        elsewhere = settings.read_connect_args
        if elsewhere is not None and shared is not None:
            other = await reading(elsewhere, at_once=False)
            made.replica = reader.replica = Replica(reader, other, shared)
            await made.replica.start()
        return made

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """One transaction, committed if the block ends without an error."""
        return begun(self._changes, self._heard, self._failed, row_security=self._row_security)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A plain session for the upkeep of the server, not for the work of an operation. The
        caller commits; the session holds its connection until the block ends.
        """
        connection = await self._changes.acquire()
        session = connection.session()
        async with released(self._changes, connection, session.close):
            yield session

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """The driver's connection, outside a transaction; closed if the block fails."""
        async with self._changes.acquired() as connection:
            yield connection.driver

    def pools(self) -> dict[str, PoolUse]:
        """The use of the pools, by what their connections are for."""
        driver_pools = {**self.reader.pools(), **self.single.pools()}
        return {
            "changes": PoolUse(self._changes.in_use, self._changes.size),
            **{name: PoolUse(pool.in_use, pool.size) for name, pool in driver_pools.items()},
        }

    def _heard(self, text: str) -> None:
        _note(self.listeners, text)

    def _failed(self, error: Exception) -> None:
        fault = database_fault(error)
        now = time.monotonic()
        if fault is DatabaseFault.READ_ONLY and now - self._renewed_at > _RENEW_SECONDS:
            self._renewed_at = now
            self._changes.renew()
            self.single.renew()
            # What was the primary may go on as a replica, behind the new one.
            for pool in self.reader.pools().values():
                pool.renew()
        if fault in _REFUSALS:
            assert fault is not None
            self.refused = (now, fault)

    async def close(self) -> None:
        """Close all connections within seconds, even those in use."""
        if self.replica is not None:
            await self.replica.close()
        await asyncio.gather(self._changes.close(), self.reader.close(), self.single.close())
        await self._engine.dispose()


def _engine(
    connect_args: dict[str, Any], own: dict[str, Any], heard: Callable[[str], None]
) -> AsyncEngine:
    """SQLAlchemy without its own pool: see `SessionConnection`. `own`: its own arguments."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args=own,
        async_creator=partial(connect_driver, **connect_args),
        poolclass=NullPool,
        # Errors are logged with their statement; the log must not contain what users wrote.
        hide_parameters=True,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def _hear(_c: Any, _cur: Any, text: str, _p: Any, _ctx: Any, _many: bool) -> None:
        heard(text)

    if spans.enabled():
        record_statements(engine.sync_engine)

    @event.listens_for(engine.sync_engine, "invalidate")
    def _terminate(adapter: Any, _record: Any, _error: Any) -> None:
        # SQLAlchemy would try to close it gracefully, and wait two seconds for that, in a task that
        # was cancelled.
        if adapter is not None:
            adapter.driver_connection.terminate()

    return engine
