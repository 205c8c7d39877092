"""One transaction for a change: compiled statements and a session, on one connection.

A session is the right tool where entities are read, changed and written back. Where a change is
known to be a few statements, its machinery costs several times what the statements cost. So a
transaction offers both: `fetch` runs a compiled `Statement` on the driver's connection (as reads
do, see `db.read`), `session` is there from its first use on, and both are in one transaction.

The transaction begins at once, which also shows whether the pool's connection is still alive.

A change that is one statement needs no more than that: `Single` runs it, and PostgreSQL commits it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from db.held import Connections
from db.read import Statement


class Transaction:
    """Made by `begun`, which ends it too."""

    __slots__ = ("_connection", "_driver", "_heard", "_session")

    def __init__(
        self,
        connection: AsyncConnection,
        driver: asyncpg.Connection[Any],
        heard: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._driver = driver
        self._heard = heard
        self._session: AsyncSession | None = None

    @property
    def session(self) -> AsyncSession:
        """The session of this transaction, made when it is first asked for."""
        if self._session is None:
            self._session = AsyncSession(
                self._connection,
                expire_on_commit=False,
                # Its commit and rollback are the transaction's.
                join_transaction_mode="control_fully",
            )
        return self._session

    async def fetch(self, statement: Statement, params: Mapping[str, Any]) -> list[Any]:
        """The rows of a statement, after what the session has to write; raises as a session."""
        if self._session is not None:
            await self._session.flush()
        self._heard(statement.text)
        return await _fetch(self._driver, statement, params)

    async def commit(self) -> None:
        """Write what the session holds, and commit."""
        if self._session is not None:
            await self._session.commit()
        elif self._connection.in_transaction():
            await self._connection.commit()

    async def close(self) -> None:
        """Roll back what was not committed, and give the connection back."""
        if self._session is not None:
            await self._session.close()
        await self._connection.close()


class Single:
    """For changes that are one statement each, and each committed by itself."""

    __slots__ = ("_connections", "_heard")

    def __init__(self, connections: Connections, heard: Callable[[str], None]) -> None:
        self._connections = connections
        self._heard = heard

    @property
    def session(self) -> AsyncSession:
        """There is none."""
        raise RuntimeError("a change of one statement has no session")

    async def fetch(self, statement: Statement, params: Mapping[str, Any]) -> list[Any]:
        """The rows of the statement, which is committed by then; raises as a session."""
        self._heard(statement.text)
        connection = await self._connections.take()
        try:
            return await _fetch(connection, statement, params)
        finally:
            self._connections.give(connection)

    def pools(self) -> dict[str, Connections]:
        """The connections, by what they are for."""
        return {"single_changes": self._connections}

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()


async def _fetch(
    driver: asyncpg.Connection[Any], statement: Statement, params: Mapping[str, Any]
) -> list[Any]:
    try:
        return await driver.fetch(
            statement.text, *statement.arguments(params), record_class=statement.row
        )
    except asyncpg.IntegrityConstraintViolationError as error:
        raise IntegrityError(statement.text, None, error) from error
    except asyncpg.PostgresError as error:
        raise DBAPIError(statement.text, None, error) from error


@asynccontextmanager
async def begun(
    engine: AsyncEngine, heard: Callable[[str], None], *, attempts: int
) -> AsyncIterator[Transaction]:
    """A transaction that commits when the block ends well, and rolls back otherwise.

    A connection of the pool that the server has closed meanwhile is replaced, so many times.
    """
    transaction = await _begin(engine, heard, attempts)
    try:
        yield transaction
        await transaction.commit()
    finally:
        await transaction.close()


async def _begin(engine: AsyncEngine, heard: Callable[[str], None], attempts: int) -> Transaction:
    while True:
        attempts -= 1
        connection = await engine.connect()
        try:
            await connection.begin()
            pooled = await connection.get_raw_connection()
            adapter, driver = pooled.dbapi_connection, pooled.driver_connection
            assert adapter is not None
            assert driver is not None
            try:
                # SQLAlchemy would begin with the first statement of its own; ours may come first.
                await adapter._start_transaction()  # noqa: SLF001
            except Exception:
                if attempts == 0 or not driver.is_closed():
                    raise
                await connection.invalidate()
                await connection.close()
                continue
        except BaseException:
            await connection.close()
            raise
        return Transaction(connection, driver, heard)
