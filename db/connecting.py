"""Opens connections to PostgreSQL as it is found: by itself, behind a pooler, or as a service.

Poolers and managed services refuse start-up parameters that they do not know, so a connection is
opened with hardly any, and its settings follow as SQL: once for a connection of the server's own.

A pooler in transaction mode (PgBouncer, Supavisor, Odyssey, RDS Proxy) gives each transaction
whichever connection of the server is free. So nothing may be left on it, and nothing expected of
it: the settings are set in each transaction, for that transaction only; each statement is in one;
and no statement is prepared for later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple, TypeAlias

import asyncpg

from db.row_security import IGNORES_POLICIES
from db.traced import RecordsStatements
from telemetry import spans

Pooler: TypeAlias = Literal["auto", "none", "transaction"]

# All poolers accept these at the start, and PostgreSQL logs the name from then on.
_AT_START = ("application_name", "options")
# Has no effect on a transaction that has begun; this one has.
_IN_TRANSACTION = {"default_transaction_read_only": "transaction_read_only"}

_ABOUT = f"SELECT ARRAY(SELECT lower(name) FROM pg_settings), {IGNORES_POLICIES}"  # noqa: S608 - our own text


class Server(NamedTuple):
    """What is at an address.

    `pooled`: whether transactions of one connection may run on different ones of PostgreSQL.
    `settings`: the names of those that it has, in small letters: some are written `TimeZone`.
    """

    pooled: bool
    settings: frozenset[str]
    # Whether the role ignores the policies of tables.
    above_policies: bool

    def has(self, name: str) -> bool:
        """Whether a setting can be set. Ones with a dot are ours (`db.row_security`)."""
        if name == "role":
            return self.above_policies
        return name.lower() in self.settings or "." in name


# By address: a process does not ask twice.
_found: dict[str, Server] = {}


class PooledConnection(asyncpg.Connection):
    """A connection to a pooler in transaction mode; see the module."""

    __slots__ = ("own_settings",)
    # SQL that sets the connection's settings for one transaction.
    own_settings: str

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 - as the driver has it
        """Like the driver's, but BEGIN, which the driver sends through here, sets the settings."""
        if query.startswith("BEGIN"):
            query = f"{query.rstrip(';')}; {self.own_settings}"
        status: str = await super().execute(query, *args, timeout=timeout)
        return status

    async def fetch(self, query: str, *args: Any, **options: Any) -> list[Any]:
        """Like the driver's, in a transaction of its own unless one has begun."""
        rows: list[Any]
        if self.is_in_transaction():
            rows = await super().fetch(query, *args, **options)
        else:
            async with self.transaction():
                rows = await super().fetch(query, *args, **options)
        return rows


class TracedConnection(RecordsStatements, asyncpg.Connection):
    """A connection that records its statements, if traces are exported."""

    __slots__ = ()


class TracedPooledConnection(RecordsStatements, PooledConnection):
    """The same to a pooler."""

    __slots__ = ()


async def server_at(connect_args: Mapping[str, Any]) -> Server:
    """What is at this address, found with a connection of its own the first time."""
    dsn: str = connect_args["dsn"]
    found = _found.get(dsn)
    if found is None:
        given = {name: connect_args[name] for name in ("timeout", "ssl") if name in connect_args}
        connection = await _opened(dsn=dsn, **given, statement_cache_size=0)
        number = connection.get_server_pid()
        async with _answering(connection, connect_args["timeout"]):
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            (about,) = await connection.fetch(_ABOUT)
            await connection.close()
        # A pooler gives its clients numbers of its own, by which they can cancel a statement.
        pooler: Pooler = connect_args["pooler"]
        pooled = pid != number if pooler == "auto" else pooler == "transaction"
        found = _found[dsn] = Server(pooled, frozenset(about[0]), about[1])
    return found


async def connect_driver(
    *, server_settings: Mapping[str, str], pooler: Pooler, **arguments: Any
) -> asyncpg.Connection[Any]:
    """`asyncpg.connect`, with these settings; ones that the server does not have are left out.

    A server that does not answer in time raises the same error as one that cannot be reached.
    """
    server = await server_at({**arguments, "pooler": pooler})
    at_start = {name: server_settings[name] for name in _AT_START if name in server_settings}
    settings = {
        name: value
        for name, value in server_settings.items()
        if name not in at_start and server.has(name)
    }
    if server.pooled:
        kind = TracedPooledConnection if spans.enabled() else PooledConnection
        own = {"statement_cache_size": 0, "connection_class": kind}
        connection = await _opened(**{**arguments, **own}, server_settings=at_start)
        assert isinstance(connection, PooledConnection)
        connection.own_settings = "; ".join(
            f"SET LOCAL {_IN_TRANSACTION.get(name, name)} = '{value}'"
            for name, value in settings.items()
        )
        return connection
    if spans.enabled():
        arguments["connection_class"] = TracedConnection
    connection = await _opened(**arguments, server_settings=at_start)
    text = "; ".join(f"SET {name} = '{value}'" for name, value in settings.items())
    try:
        async with _answering(connection, arguments["timeout"]):
            await connection.execute(text)
    except asyncpg.PostgresError:
        # It may be another server by now, with other settings.
        _found.pop(arguments["dsn"], None)
        raise
    return connection


async def sqlalchemy_arguments(connect_args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of SQLAlchemy's own for connections to this server."""
    if not (await server_at(connect_args)).pooled:
        return {}
    return {"prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: ""}


@asynccontextmanager
async def _answering(connection: asyncpg.Connection[Any], seconds: float) -> AsyncIterator[None]:
    """Terminate the connection if the block fails or takes too long."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        connection.terminate()
        raise ConnectionError("the database did not answer in time") from error
    except BaseException:
        connection.terminate()
        raise


async def _opened(**arguments: Any) -> asyncpg.Connection[Any]:
    try:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(**arguments)
    except TimeoutError as error:
        raise ConnectionError("the database did not answer in time") from error
    return connection
