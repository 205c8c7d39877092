"""Reading rows: a read is one asyncpg call on a connection outside a transaction: no BEGIN, no
ROLLBACK, no reset, no pool proxy (`db.pool`).
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from weakref import WeakSet

import orjson

from db.connecting import PooledConnection, connect_driver
from db.faults import AWAY, database_fault
from db.pool import Connection, Pool
from db.row_security import EVERYTHING, PARAMETER, READER_ROLE, viewed_by
from db.statements import Plan, Statement

# Statements that serialize values to text depend on these (`graph.engine.sql_json`); they override
# what the operator has set for the role or the database.
OUTPUT_FORMATS = {"datestyle": "ISO", "standard_conforming_strings": "on"}

# For connections that execute nothing else.
PLAN_ONCE = {"plan_cache_mode": Plan.ONCE.value}

# For all connections: the server notices within half a second that a connection was terminated, so
# that it stops the statement, whose answer is no longer needed, and releases its locks.
NOTICE_CLOSED = {"client_connection_check_interval": "500"}


class Fetching(Protocol):
    """Reads rows: the `Reader`, or a `Snapshot` of it."""

    async def fetch(self, statement: Statement, params: Mapping[str, Any]) -> list[Any]:
        """All rows of the statement."""


class Snapshot:
    """Reads in one transaction (`Reader.snapshot`), one at a time. `moment`: its `now()`."""

    def __init__(
        self, connection: Connection, moment: dt.datetime, on_statement: Callable[[str], None]
    ) -> None:
        self.moment = moment
        self._connection = connection
        self._on_statement = on_statement

    async def fetch(self, statement: Statement, params: Mapping[str, Any]) -> list[Any]:
        """All rows of the statement."""
        self._on_statement(statement.text)
        rows: list[Any] = await self._connection.fetch(
            statement.text, *statement.arguments(params), record_class=statement.row
        )
        return rows

    async def stream(
        self, statement: Statement, params: Mapping[str, Any], *, chunk: int = 1_000
    ) -> AsyncGenerator[list[Any], None]:
        """The rows in chunks, by a server-side cursor: memory does not grow with their number."""
        self._on_statement(statement.text)
        cursor = await self._connection.cursor(
            statement.text, *statement.arguments(params), record_class=statement.row
        )
        while rows := await cursor.fetch(chunk):
            yield rows


class Reader:
    """The connections for reads; one reader per process.

    Some connections plan a statement once, the others for its values: as often as PostgreSQL likes,
    or each time. To switch a connection costs one more round trip.
    """

    def __init__(
        self,
        once: Pool[Connection],
        by_values: Pool[Connection],
        *,
        on_statement: Callable[[str], None],
        row_security: bool = False,
    ) -> None:
        self._once = once
        self._by_values = by_values
        self._on_statement = on_statement
        self._row_security = row_security
        # A snapshot may take minutes; one connection at least is left to other reads.
        self._snapshots = asyncio.Semaphore(max(1, by_values.size - 1))
        # Of `by_values`, those that plan each time.
        self._each: WeakSet[Connection] = WeakSet()

    async def fetch(
        self, statement: Statement, params: Mapping[str, Any], *, viewer: str | None = None
    ) -> list[Any]:
        """All rows of the statement that the viewer sees; see `db.row_security`."""
        self._on_statement(statement.text)
        text, arguments = statement.text, statement.arguments(params)
        if self._row_security and not statement.explains:
            text = statement.viewed
            arguments.append(viewed_by() if viewer is None else viewer)
        connections = self._once if statement.plan is Plan.ONCE else self._by_values
        try:
            return await self._fetch(connections, text, arguments, statement)
        except Exception as error:
            if database_fault(error) not in AWAY:
                raise
        # The server had closed the connection, or was restarted: a read can be repeated.
        connections.discard_free()
        return await self._fetch(connections, text, arguments, statement)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Reads that all see the rows as of one moment, which is also their `now()`. Holds a
        connection with an open transaction until the block ends; waits while others hold too many.
        """
        async with (
            self._snapshots,
            self._by_values.acquired() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            moment = await connection.fetchval("SELECT now()")
            if self._row_security:
                await connection.fetchval("SELECT set_config($1, $2, true)", PARAMETER, viewed_by())
            yield Snapshot(connection, moment, self._on_statement)

    async def _fetch(
        self, connections: Pool[Connection], text: str, arguments: list[Any], statement: Statement
    ) -> list[Any]:
        connection = await connections.acquire()
        with connections.answering(connection):
            if connections is self._by_values:
                await self._plan(connection, each=statement.plan is Plan.EACH)
            return await connection.fetch(text, *arguments, record_class=statement.row)

    async def _plan(self, connection: Connection, *, each: bool) -> None:
        """Have a connection plan statements each time, or as often as PostgreSQL likes."""
        # Behind a pooler statements are not prepared, and are planned each time anyway. (The driver
        # has an `isinstance` of its own, by which every connection would be one to a pooler.)
        if each == (connection in self._each) or issubclass(type(connection), PooledConnection):
            return
        plan = Plan.EACH if each else Plan.GUESSED
        await connection.execute(f"SET plan_cache_mode = {plan.value}")
        (self._each.add if each else self._each.discard)(connection)

    def pools(self) -> dict[str, Pool[Connection]]:
        """The connections, by what they are for."""
        return {"reads": self._once, "filtered_reads": self._by_values}

    async def close(self) -> None:
        """Close the connections."""
        await self._once.close()
        await self._by_values.close()


class AllRows:
    """Reads for the server itself, which see all rows."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def fetch(self, statement: Statement, params: Mapping[str, Any]) -> list[Any]:
        """All rows of the statement."""
        return await self._reader.fetch(statement, params, viewer=EVERYTHING)


async def _prepare(connection: Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            # A statement has already converted its values to text.
            encoder=str,
            decoder=orjson.loads,
            format="text",
        )


async def connect_reader(
    connect_args: Mapping[str, Any],
    *,
    max_size: int,
    by_values: int,
    statement_timeout_ms: int,
    pool_timeout: float = 10.0,
    on_statement: Callable[[str], None] = lambda _: None,
    at_once: bool = True,
    kind: type[Reader] = Reader,
    row_security: str = "off",
) -> Reader:
    """Open the first connection, if `at_once`. `connect_args`: `settings.database.connect_args`.

    `max_size` applies to connections that plan once, `by_values` to the others.
    """
    read_only = {
        "statement_timeout": str(statement_timeout_ms),
        "default_transaction_read_only": "on",
    }
    if row_security == "on":
        # Only if the connection's own role ignores policies.
        read_only["role"] = READER_ROLE
    once = driver_pool(
        connect_args, max_size=max_size, timeout=pool_timeout, **read_only, **PLAN_ONCE
    )
    others = driver_pool(connect_args, max_size=by_values, timeout=pool_timeout, **read_only)
    if at_once:
        once.release(await once.acquire())
    return kind(once, others, on_statement=on_statement, row_security=row_security != "off")


def driver_pool(
    connect_args: Mapping[str, Any], *, max_size: int, timeout: float, **server_settings: str
) -> Pool[Connection]:
    """A pool of connections that keep their prepared statements; none is open yet."""
    arguments = with_settings(connect_args, **OUTPUT_FORMATS, **server_settings)

    async def connect() -> Connection:
        connection = await connect_driver(
            **arguments,
            # A plan takes 35 to 280 KiB of PostgreSQL's memory for each connection.
            statement_cache_size=500,
            # Without a limit of length: access rules make statements long.
            max_cacheable_statement_size=0,
            max_cached_statement_lifetime=0,
        )
        try:
            await _prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    return Pool(connect, max_size, timeout=timeout)


def with_settings(connect_args: Mapping[str, Any], **server_settings: str) -> dict[str, Any]:
    """Arguments of `connect_driver` with additional server settings."""
    given = {**connect_args.get("server_settings", {}), **NOTICE_CLOSED, **server_settings}
    return {**connect_args, "server_settings": given}
