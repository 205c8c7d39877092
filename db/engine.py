"""The two ways to the database, opened and closed together.

Changes are one transaction each, with timeouts (`db.transaction`); reads go through `db.read`. A
process has as many connections for each of the two as the pool's size says, half as many for reads
whose plan depends on their values, and a few more for changes of one statement, which are done
within a millisecond. Each is opened when there is need of it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

import orjson
from sqlalchemy import QueuePool, event
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from db.read import PLAN_ONCE, Reader, connect_reader, held
from db.transaction import Single, Transaction, begun
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
        reader: Reader,
        single: Single,
        listeners: list[StatementListener],
        pool_size: int,
    ) -> None:
        self.engine = engine
        self.reader = reader
        self.single = single
        self.listeners = listeners
        self._size = pool_size
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

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
        engine = create_async_engine(
            settings.sqlalchemy_url,
            connect_args={
                **arguments,
                "server_settings": {**arguments["server_settings"], **timeouts},
            },
            pool_size=settings.pool_size,
            max_overflow=0,
            # No ping before use: a transaction's BEGIN finds a dead connection as well.
            pool_timeout=settings.pool_timeout_seconds,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
        )

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def _hear(_c: Any, _cur: Any, text: str, _p: Any, _ctx: Any, _many: bool) -> None:
            heard(text)

        reader = await connect_reader(
            arguments,
            max_size=settings.pool_size,
            statement_timeout_ms=settings.statement_timeout_ms,
            on_statement=heard,
        )
        size = min(_SINGLES, settings.pool_size)
        singles = held(arguments, max_size=size, **timeouts, **PLAN_ONCE)
        return cls(engine, reader, Single(singles, heard), listeners, settings.pool_size)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """One transaction, committed when the block ends well."""
        return begun(self.engine, self._heard, attempts=self._size + 1)

    def session(self) -> AsyncSession:
        """A session by itself, for what looks after the server and not for an operation's work."""
        return self._sessions()

    def pools(self) -> dict[str, PoolUse]:
        """How the pools stand, by what their connections are for."""
        changes = self.engine.pool
        assert isinstance(changes, QueuePool)
        held = {**self.reader.pools(), **self.single.pools()}
        return {
            "changes": PoolUse(changes.checkedout(), changes.size()),
            **{name: PoolUse(pool.in_use, pool.size) for name, pool in held.items()},
        }

    def _heard(self, text: str) -> None:
        for listener in self.listeners:
            listener(text)

    async def close(self) -> None:
        """Close all connections."""
        await self.reader.close()
        await self.single.close()
        await self.engine.dispose()
