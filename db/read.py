"""Reading rows: said in SQLAlchemy Core, compiled once, fetched by asyncpg.

A `select()` is compiled to text, the order of its parameters and a record class of its own; after
that, a read is one call of asyncpg on a connection that is not in a transaction: no BEGIN, no
ROLLBACK, no reset, no pool's proxy (`db.pool`). Nothing else in the house knows of this.

Rows are `Row`s: asyncpg records whose columns are attributes too (by their label), so that they
cost nothing to make.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

import asyncpg
import orjson
from sqlalchemy import ARRAY, Select, select
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeEngine

from db.base import Base, Ordered
from db.faults import DatabaseFault, database_fault
from db.pool import Connection, Pool


def _dump_json(value: Any) -> str:
    return orjson.dumps(value).decode()


# What statements that write values as text rely on (`graph.engine.sql_json`), whatever the operator
# has set for the role or the database.
AS_WRITTEN = {"datestyle": "ISO", "standard_conforming_strings": "on"}
# For connections: see `Statement`.
PLAN_ONCE = {"plan_cache_mode": "force_generic_plan"}

# For all connections: a terminated one is noticed within half a second, so that the server does not
# go on with a statement whose answer nobody waits for, nor keep its locks.
CUT_OFF = {"client_connection_check_interval": "500"}

_DIALECT = asyncpg_dialect(json_serializer=_dump_json)  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it


class Row(asyncpg.Record):
    """One row of a statement. `model` says of which table, `labels` which columns it has."""

    __slots__ = ()
    model: ClassVar[type[Base] | None] = None
    labels: ClassVar[tuple[str, ...]] = ()


class PartRow(tuple[Any, ...]):
    """Those columns of a row that are of a table joined to it; reads as a `Row`."""

    __slots__ = ()
    model: ClassVar[type[Base] | None] = None
    labels: ClassVar[tuple[str, ...]] = ()


AnyRow: TypeAlias = Row | PartRow
_R = TypeVar("_R", Row, PartRow)


# A class is a cycle, which waits for the collector if it is given up. Statements differ in more
# than their columns, so that there are few classes for many of them.
@lru_cache(maxsize=4096)
def row_class(
    base: type[_R], model: type[Base] | None, labels: tuple[str, ...], ordering: Any = None
) -> type[_R]:
    """A class of rows with one property a column. `ordering`: of the pages that they are of."""
    columns = {label: property(itemgetter(index)) for index, label in enumerate(labels)}
    name = f"{model.__name__ if model else ''}{base.__name__}"
    known = {"__slots__": (), "model": model, "labels": labels, "ordering": ordering}
    return type(name, (base,), {**known, **columns})


def labels_of(rows: Sequence[Any]) -> Sequence[str]:
    """The columns of rows of one class, by their places; none where they are anything else."""
    kinds = set(map(type, rows))
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is None or not issubclass(kind, (asyncpg.Record, tuple)):
        return ()
    labels: Sequence[str] = getattr(kind, "labels", ())
    return labels


def values_of(rows: Sequence[Any], label: str) -> list[Any]:
    """One column of rows, of any objects: for rows of one class, a quarter of the time that asking
    each for its attribute takes.
    """
    labels = labels_of(rows)
    get = itemgetter(labels.index(label)) if label in labels else attrgetter(label)
    return list(map(get, rows))


def _needless(type_: TypeEngine[Any]) -> bool:
    """Whether asyncpg takes a value of this type as it is: a member of an enum of numbers is one,
    and of a list SQLAlchemy makes no more than a copy.
    """
    if isinstance(type_, Ordered):
        return True
    if not isinstance(type_, ARRAY):
        return False
    return type_.item_type.dialect_impl(_DIALECT).bind_processor(_DIALECT) is None


def select_from(source: Any, *columns: Any) -> Select[*tuple[Any, ...]]:
    """A SELECT of rows of `source`, whatever the columns are.

    `select()` alone finds what to read from in its columns, and of these a scalar subquery names
    nothing: with such columns only, the source would move into each of them, and one row would
    come back instead of the rows.
    """
    return select(*columns).select_from(source)


class Statement:
    """A compiled `select()`, or a change that returns rows (for `db.transaction`).

    `base` is the row class to use where several statements give rows of one kind; by default the
    statement makes its own from the labels of its columns. `ordering`: that of the rows, for their
    cursors.

    `plan_once`: whether one plan serves all values (PostgreSQL's generic plan). Left to itself,
    PostgreSQL plans anew at each execution wherever it guesses that the values matter, and for
    a statement with the rights in it that takes longer than to read the rows. True where the
    conditions are keys, places in an index and rights; not where a client writes the conditions.
    """

    __slots__ = ("_constants", "_names", "_processors", "plan_once", "row", "text")

    def __init__(
        self,
        query: Select[*tuple[Any, ...]] | ReturningInsert[*tuple[Any, ...]],
        model: type[Base] | None = None,
        *,
        plan_once: bool = False,
        ordering: Any = None,
    ) -> None:
        if model is not None and isinstance(query, Select) and not query.get_final_froms():
            raise ValueError(f"a statement of rows of {model.__name__} reads from nothing")
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        self.text: str = str(compiled)
        self._names: tuple[str, ...] = tuple(getattr(compiled, "positiontup", None) or ())
        self._constants: dict[str, Any] = dict(compiled.params)
        processors: Mapping[str, Callable[[Any], Any]] = getattr(compiled, "_bind_processors", {})
        self._processors = {
            name: processor
            for name, processor in processors.items()
            if name in self._names and not _needless(compiled.binds[name].type)
        }
        self.plan_once = plan_once
        self.row = row_class(
            Row, model, tuple(str(column.key) for column in query.exported_columns), ordering
        )

    def arguments(self, params: Mapping[str, Any]) -> list[Any]:
        """Values in the order of the placeholders; what is not given stays as compiled."""
        values = {**self._constants, **params}
        for name, process in self._processors.items():
            values[name] = process(values[name])
        return [values[name] for name in self._names]


class Fetching(Protocol):
    """What reads rows: the `Reader`, or one `Snapshot` of it."""

    async def fetch(self, statement: Statement, params: Mapping[str, Any]) -> list[Any]:
        """All rows of the statement."""


class Snapshot:
    """Reads of one transaction (`Reader.snapshot`), one after the other. `moment`: its `now()`."""

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
        """The rows in portions, by a cursor of the server: memory does not grow with them."""
        self._on_statement(statement.text)
        cursor = await self._connection.cursor(
            statement.text, *statement.arguments(params), record_class=statement.row
        )
        while rows := await cursor.fetch(chunk):
            yield rows


class Reader:
    """The connections that reads go through; one for each process.

    Some plan a statement once, the others for the values that it is given. To tell a connection
    before each statement which of the two it is to do would be one more round trip.
    """

    def __init__(
        self,
        once: Pool[Connection],
        by_values: Pool[Connection],
        *,
        on_statement: Callable[[str], None],
    ) -> None:
        self._once = once
        self._by_values = by_values
        self._on_statement = on_statement

    async def fetch(self, statement: Statement, params: Mapping[str, Any]) -> list[Any]:
        """All rows of the statement."""
        self._on_statement(statement.text)
        arguments = statement.arguments(params)
        connections = self._once if statement.plan_once else self._by_values
        try:
            return await self._fetch(connections, statement, arguments)
        except Exception as error:
            if database_fault(error) is not DatabaseFault.UNREACHABLE:
                raise
        # The server had closed the connection, or was away and may be back: reads can be repeated.
        connections.discard_free()
        return await self._fetch(connections, statement, arguments)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Reads that all see the rows of one moment, which is also their `now()`. It holds a
        connection, and its transaction, until the block ends.
        """
        async with (
            self._by_values.acquired() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            moment = await connection.fetchval("SELECT now()")
            yield Snapshot(connection, moment, self._on_statement)

    async def _fetch(
        self, connections: Pool[Connection], statement: Statement, arguments: list[Any]
    ) -> list[Any]:
        connection = await connections.acquire()
        with connections.answering(connection):
            return await connection.fetch(statement.text, *arguments, record_class=statement.row)

    def pools(self) -> dict[str, Pool[Connection]]:
        """The connections, by what they are for."""
        return {"reads": self._once, "filtered_reads": self._by_values}

    async def close(self) -> None:
        """Give the connections back to the server."""
        await self._once.close()
        await self._by_values.close()


async def _prepare(connection: Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            # A statement has written its values already.
            encoder=str,
            decoder=orjson.loads,
            format="text",
        )


async def connect_reader(
    connect_args: Mapping[str, Any],
    *,
    max_size: int,
    statement_timeout_ms: int,
    pool_timeout: float = 10.0,
    on_statement: Callable[[str], None] = lambda _: None,
) -> Reader:
    """Open the first connection. `connect_args`: asyncpg's (`settings.database.connect_args`).

    `max_size` is of those that plan once; of the others there are half as many.
    """
    read_only = {
        "statement_timeout": str(statement_timeout_ms),
        "default_transaction_read_only": "on",
    }
    once = acquired(connect_args, max_size=max_size, timeout=pool_timeout, **read_only, **PLAN_ONCE)
    by_values = acquired(
        connect_args, max_size=(max_size + 1) // 2, timeout=pool_timeout, **read_only
    )
    once.release(await once.acquire())
    return Reader(once, by_values, on_statement=on_statement)


def acquired(
    connect_args: Mapping[str, Any], *, max_size: int, timeout: float, **server_settings: str
) -> Pool[Connection]:
    """Connections that keep what they prepared; none is opened yet."""
    arguments = with_settings(connect_args, **AS_WRITTEN, **server_settings)

    async def connect() -> Connection:
        connection = await connect_driver(
            **arguments,
            # A plan takes PostgreSQL 35 to 280 KiB for each connection.
            statement_cache_size=500,
            # However long the rights make a statement.
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
    """Arguments of `connect_driver` with further settings of the server."""
    given = {**connect_args.get("server_settings", {}), **CUT_OFF, **server_settings}
    return {**connect_args, "server_settings": given}


async def connect_driver(*args: Any, **arguments: Any) -> Connection:
    """`asyncpg.connect`, which raises the same for a server that does not answer in time as for one
    that is not there.
    """
    try:
        connection: Connection = await asyncpg.connect(*args, **arguments)
    except TimeoutError as error:
        raise ConnectionError("the database did not answer in time") from error
    return connection
