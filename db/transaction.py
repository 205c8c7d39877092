"""One transaction for a change: compiled statements and a session, on one connection.

A session is the right tool where entities are read, changed and written back. Where a change is
known to be a few statements, its machinery costs several times what the statements cost. So a
transaction offers both: `fetch` runs a compiled `Statement` on the driver's connection (as reads
do, see `db.read`), `session` is there from its first use on, and both are in one transaction.

The transaction begins at once, which also shows whether the connection is still alive.

A change that is one statement needs no more than that: `Single` runs it, and PostgreSQL commits it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from db.faults import OutcomeUnknown
from db.pool import Connection, Pool
from db.read import Statement


class SessionConnection:
    """A connection of the driver, and SQLAlchemy's sight of the same; for `Pool`.

    SQLAlchemy's own pool is not used: it hands a connection on whatever the driver has left on it.
    """

    __slots__ = ("driver", "sqlalchemy")

    def __init__(self, sqlalchemy: AsyncConnection, driver: Connection) -> None:
        self.sqlalchemy = sqlalchemy
        self.driver = driver

    @classmethod
    async def opened(cls, engine: AsyncEngine) -> SessionConnection:
        """A new one, of an engine without a pool."""
        connection = await engine.connect()
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        return cls(connection, driver)

    def is_closed(self) -> bool:
        """See `db.pool.Pooled`."""
        return self.driver.is_closed() or self.sqlalchemy.invalidated

    def is_in_transaction(self) -> bool:
        """See `db.pool.Pooled`."""
        return self.driver.is_in_transaction() or self.sqlalchemy.in_transaction()

    def terminate(self) -> None:
        """See `db.pool.Pooled`. SQLAlchemy's connection is closed by its synchronous methods, which
        outside of a greenlet wait for nothing.
        """
        self.driver.terminate()
        connection = self.sqlalchemy.sync_connection
        if connection is not None and not connection.closed:
            connection.invalidate()
            connection.close()

    async def begin(self) -> None:
        """Begin a transaction on the server."""
        await self.sqlalchemy.begin()
        adapter = (await self.sqlalchemy.get_raw_connection()).dbapi_connection
        assert adapter is not None
        # SQLAlchemy would begin with the first statement of its own; ours may come first.
        await adapter._start_transaction()  # noqa: SLF001

    def session(self) -> AsyncSession:
        """A session whose commit and rollback are the connection's."""
        return AsyncSession(
            self.sqlalchemy, expire_on_commit=False, join_transaction_mode="control_fully"
        )


class Transaction:
    """Made by `begun`, which ends it too."""

    __slots__ = ("_connection", "_heard", "_session")

    def __init__(self, connection: SessionConnection, heard: Callable[[str], None]) -> None:
        self._connection = connection
        self._heard = heard
        self._session: AsyncSession | None = None

    @property
    def session(self) -> AsyncSession:
        """The session of this transaction, made when it is first asked for."""
        if self._session is None:
            self._session = self._connection.session()
        return self._session

    async def fetch(self, statement: Statement, params: Mapping[str, Any]) -> list[Any]:
        """The rows of a statement, after what the session has to write; raises as a session."""
        if self._session is not None:
            await self._session.flush()
        self._heard(statement.text)
        with _as_sqlalchemy(statement):
            return await self._connection.driver.fetch(
                statement.text, *statement.arguments(params), record_class=statement.row
            )

    async def commit(self) -> None:
        """Write what the session holds, and commit. Raises `OutcomeUnknown` if the connection is
        lost while the server commits.
        """
        if self._session is not None:
            await self._session.flush()
        alive = not self._connection.is_closed()
        try:
            if self._session is not None:
                await self._session.commit()
            elif self._connection.sqlalchemy.in_transaction():
                await self._connection.sqlalchemy.commit()
        except Exception as error:
            if alive and self._connection.is_closed():
                raise OutcomeUnknown from error
            raise

    async def close(self) -> None:
        """Roll back what was not committed."""
        if self._session is not None:
            await self._session.close()
        if self._connection.sqlalchemy.in_transaction():
            await self._connection.sqlalchemy.rollback()


class Single:
    """For changes that are one statement each, and each committed by itself."""

    __slots__ = ("_connections", "_failed", "_heard")

    def __init__(
        self,
        connections: Pool[Connection],
        heard: Callable[[str], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._connections = connections
        self._heard = heard
        self._failed = failed

    @property
    def session(self) -> AsyncSession:
        """There is none."""
        raise RuntimeError("a change of one statement has no session")

    async def fetch(self, statement: Statement, params: Mapping[str, Any]) -> list[Any]:
        """The rows of the statement, which is committed by then; raises as a session, and
        `OutcomeUnknown` if the connection is lost before the server's answer.
        """
        arguments = statement.arguments(params)
        self._heard(statement.text)
        connection = await self._connections.acquire()
        with _as_sqlalchemy(statement), self._connections.answering(connection):
            try:
                return await connection.fetch(
                    statement.text, *arguments, record_class=statement.row
                )
            except Exception as error:
                self._failed(error)
                if connection.is_closed():
                    raise OutcomeUnknown from error
                raise

    def pools(self) -> dict[str, Pool[Connection]]:
        """The connections, by what they are for."""
        return {"single_changes": self._connections}

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()


@contextlib.contextmanager
def _as_sqlalchemy(statement: Statement) -> Iterator[None]:
    """Raise what the driver raises as a session would; never with a statement's values."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        raise IntegrityError(statement.text, None, error, hide_parameters=True) from error
    except asyncpg.PostgresError as error:
        raise DBAPIError(statement.text, None, error, hide_parameters=True) from error


@asynccontextmanager
async def begun(
    connections: Pool[SessionConnection],
    heard: Callable[[str], None],
    failed: Callable[[Exception], None],
) -> AsyncIterator[Transaction]:
    """A transaction that commits when the block ends well, and rolls back otherwise.

    Its connection goes back only when COMMIT or ROLLBACK has been answered. If the task is
    cancelled, it is not: there is no telling what the server is doing, and nothing may be awaited.
    """
    connection = await _begin(connections)
    transaction = Transaction(connection, heard)
    async with released(connections, connection, transaction.close):
        try:
            yield transaction
            await transaction.commit()
        except Exception as error:
            failed(error)
            raise


@asynccontextmanager
async def released(
    connections: Pool[SessionConnection],
    connection: SessionConnection,
    close: Callable[[], Awaitable[None]],
) -> AsyncIterator[None]:
    """Give the connection back at the end of the block, once `close` has ended its transaction."""
    closed = False
    try:
        try:
            yield
        except Exception:
            with contextlib.suppress(Exception):
                await close()
                closed = True
            raise
        await close()
        closed = True
    finally:
        if closed:
            connections.release(connection)
        else:
            connections.discard(connection)


async def _begin(connections: Pool[SessionConnection]) -> SessionConnection:
    """A connection within a transaction. One that the server has closed meanwhile is replaced:
    nothing has been done yet, so that it can be done on a new one.
    """
    lost = False
    while True:
        connection = await connections.acquire()
        try:
            await connection.begin()
        except BaseException as error:
            again = isinstance(error, Exception) and connection.is_closed() and not lost
            connections.discard(connection)
            if not again:
                raise
            lost = True
            connections.discard_free()
        else:
            return connection
