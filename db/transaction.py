"""One transaction for a change: compiled statements and a session, on one connection.

A session is the right tool if entities are read, changed and written back. If a change is known to
be a few statements, the session costs several times as much as the statements. So a transaction
offers both: `fetch` runs a compiled `Statement` on the driver's connection (as reads do, see
`db.read`), `session` is created on first use, and both work in the same transaction.

The transaction begins at once, which also shows whether the connection is still alive.

A change of one statement needs no transaction block: `Single` runs it, and PostgreSQL commits it.
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
from db.row_security import BEGIN_VIEWING, END_VIEWING
from db.statements import Statement

# Until the end of the transaction, for work whose statements take as long as there is data: a
# migration, the demo in bulk. The limits that our settings, or a hosted database, give a connection
# are meant for requests. Some of them exist only in newer versions of PostgreSQL.
WITHOUT_TIME_LIMITS = """
SELECT set_config(name, '0', true) FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
    'transaction_timeout')
"""


class SessionConnection:
    """A connection of the driver together with SQLAlchemy's wrapper of it; for `Pool`.

    SQLAlchemy's own pool is not used: it reuses a connection in whatever state the driver left it.
    """

    __slots__ = ("driver", "sqlalchemy")

    def __init__(self, sqlalchemy: AsyncConnection, driver: Connection) -> None:
        self.sqlalchemy = sqlalchemy
        self.driver = driver

    @classmethod
    async def opened(cls, engine: AsyncEngine) -> SessionConnection:
        """Open a new connection, from an engine without a pool."""
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
        """See `db.pool.Pooled`. Closes SQLAlchemy's connection by its synchronous methods, which
        do not wait outside a greenlet.
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
        # SQLAlchemy would begin at its own first statement; ours may come earlier.
        await adapter._start_transaction()  # noqa: SLF001

    def session(self) -> AsyncSession:
        """A session whose commit and rollback are those of the connection."""
        return _Session(
            self.sqlalchemy, expire_on_commit=False, join_transaction_mode="control_fully"
        )


class _Session(AsyncSession):
    """Commits and rolls back the connection's transaction even if the session has executed nothing,
    and so has not joined it.
    """

    async def commit(self) -> None:
        await super().commit()
        if (connection := self._unjoined()) is not None:
            await connection.commit()

    async def rollback(self) -> None:
        await super().rollback()
        if (connection := self._unjoined()) is not None:
            await connection.rollback()

    def _unjoined(self) -> AsyncConnection | None:
        """The connection, if its transaction is still open."""
        assert isinstance(self.bind, AsyncConnection)
        return self.bind if self.bind.in_transaction() else None


class Transaction:
    """Created and ended by `begun`."""

    __slots__ = ("_connection", "_heard", "_row_security", "_session")

    def __init__(
        self, connection: SessionConnection, heard: Callable[[str], None], *, row_security: bool
    ) -> None:
        self._connection = connection
        self._heard = heard
        self._row_security = row_security
        self._session: AsyncSession | None = None

    @property
    def session(self) -> AsyncSession:
        """The session of this transaction, created on first use."""
        if self._session is None:
            self._session = self._connection.session()
        return self._session

    async def fetch(self, statement: Statement, params: Mapping[str, Any]) -> list[Any]:
        """The rows of a statement, after the session was flushed; raises what a session would."""
        if self._session is not None:
            await self._session.flush()
        self._heard(statement.text)
        with _as_sqlalchemy(statement):
            return await self._connection.driver.fetch(
                statement.text, *statement.arguments(params), record_class=statement.row
            )

    @asynccontextmanager
    async def viewing(self, viewer: str) -> AsyncIterator[None]:
        """Statements in this block see what the viewer sees (`db.row_security`), and only read."""
        if not self._row_security:
            yield
            return
        if self._session is not None:
            await self._session.flush()
        await self._connection.driver.fetch(BEGIN_VIEWING, viewer)
        # After an error, the transaction is rolled back, and the settings with it.
        yield
        await self._connection.driver.fetch(END_VIEWING)

    async def commit(self) -> None:
        """Flush the session and commit. Raises `OutcomeUnknown` if the connection is lost while
        the server commits.
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
    """For changes of one statement each, each committed by itself."""

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
        """The rows of the statement, which has then been committed. Raises what a session would,
        and `OutcomeUnknown` if the connection is lost before the server's answer.
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

    def renew(self) -> None:
        """Use no present connection again; see `Pool.renew`."""
        self._connections.renew()

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()


@contextlib.contextmanager
def _as_sqlalchemy(statement: Statement) -> Iterator[None]:
    """Raise the driver's errors as a session would, without the statement's values."""
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
    *,
    row_security: bool = False,
) -> AsyncIterator[Transaction]:
    """A transaction that commits if the block ends without an error, and rolls back otherwise.

    Its connection is released only when COMMIT or ROLLBACK has been answered. If the task is
    cancelled, it is discarded: the server's state is unknown, and nothing may be awaited.
    """
    connection = await _begin(connections)
    transaction = Transaction(connection, heard, row_security=row_security)
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
    """Release the connection at the end of the block, once `close` has ended its transaction."""
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
    """A connection in a transaction. One that the server has closed in the meantime is replaced:
    nothing has run on it yet.
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
