"""Reading rows: statements written in SQLAlchemy Core, compiled once, fetched by asyncpg.

A `select()` is compiled to text, the order of its parameters and a record class of its own; after
that, a read is one asyncpg call on a connection outside a transaction: no BEGIN, no ROLLBACK, no
reset, no pool proxy (`db.pool`). No other module depends on this.

Rows are `Row`s: asyncpg records whose columns are also attributes (named by label), so that no
object has to be built from them.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial
from itertools import count
from operator import attrgetter, itemgetter
from threading import Lock
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar, TypeVarTuple
from uuid import UUID
from weakref import WeakSet

import asyncpg
import orjson
from sqlalchemy import ARRAY, Select, select
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate
from sqlalchemy.types import TypeEngine

from cache import BoundedCache
from db.base import Base, Ordered
from db.connecting import PooledConnection, connect_driver
from db.faults import AWAY, database_fault
from db.pool import Connection, Pool
from db.row_security import EVERYTHING, PARAMETER, READER_ROLE, viewed_by


def _dump_json(value: Any) -> str:
    return orjson.dumps(value, default=_plain).decode()


def _plain(value: Any) -> str:
    # The driver's UUIDs are of a class of their own.
    if isinstance(value, UUID):
        return str(value)
    raise TypeError


# Statements that serialize values to text depend on these (`graph.engine.sql_json`); they override
# what the operator has set for the role or the database.
OUTPUT_FORMATS = {"datestyle": "ISO", "standard_conforming_strings": "on"}


class Plan(Enum):
    """When PostgreSQL plans a statement; the values are those of its `plan_cache_mode`.

    `ONCE`: one plan serves all values. For conditions that are keys, positions in an index and
    access rules: with those, planning takes longer than reading the rows.

    `EACH`: for the values at each execution. For lists and counts with a client's conditions.

    `GUESSED`: again at each execution if PostgreSQL guesses that the values matter. It guesses that
    everybody has as many rows as the average, and finds no better plan for those who have two
    hundred times as many.
    """

    ONCE = "force_generic_plan"
    EACH = "force_custom_plan"
    GUESSED = "auto"


# For connections that execute nothing else.
PLAN_ONCE = {"plan_cache_mode": Plan.ONCE.value}

# For all connections: the server notices within half a second that a connection was terminated, so
# that it stops the statement, whose answer is no longer needed, and releases its locks.
NOTICE_CLOSED = {"client_connection_check_interval": "500"}

_DIALECT = asyncpg_dialect(json_serializer=_dump_json)  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it


class Row(asyncpg.Record):
    """One row of a statement. `model`: the table's model; `labels`: the names of its columns."""

    __slots__ = ()
    model: ClassVar[type[Base] | None] = None
    labels: ClassVar[tuple[str, ...]] = ()


class PartRow(tuple[Any, ...]):
    """The columns of a row that belong to a joined table; reads like a `Row`."""

    __slots__ = ()
    model: ClassVar[type[Base] | None] = None
    labels: ClassVar[tuple[str, ...]] = ()


AnyRow: TypeAlias = Row | PartRow
_R = TypeVar("_R", Row, PartRow)


# Cached, since a class is a reference cycle that only the garbage collector frees. Many statements
# have the same columns, so there are few classes.
@lru_cache(maxsize=4096)
def row_class(
    base: type[_R], model: type[Base] | None, labels: tuple[str, ...], ordering: Any = None
) -> type[_R]:
    """A class of rows with one property per column. `ordering`: that of the pages they are on."""
    columns = {label: property(itemgetter(index)) for index, label in enumerate(labels)}
    name = f"{model.__name__ if model else ''}{base.__name__}"
    known = {"__slots__": (), "model": model, "labels": labels, "ordering": ordering}
    return type(name, (base,), {**known, **columns})


def labels_of(rows: Sequence[Any]) -> Sequence[str]:
    """The positions of the columns if all rows are of one class; empty otherwise."""
    kinds = set(map(type, rows))
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is None or not issubclass(kind, (asyncpg.Record, tuple)):
        return ()
    labels: Sequence[str] = getattr(kind, "labels", ())
    return labels


def values_of(rows: Sequence[Any], label: str) -> list[Any]:
    """One column of rows, or one attribute of any objects.

    For rows of one class this takes a quarter of the time of reading the attribute of each.
    """
    labels = labels_of(rows)
    get = itemgetter(labels.index(label)) if label in labels else attrgetter(label)
    return list(map(get, rows))


def _needless(type_: TypeEngine[Any]) -> bool:
    """Whether asyncpg accepts values of this type as they are: a member of an integer enum is an
    integer, and for a list SQLAlchemy's processor makes only a copy.
    """
    if isinstance(type_, Ordered):
        return True
    if not isinstance(type_, ARRAY):
        return False
    return type_.item_type.dialect_impl(_DIALECT).bind_processor(_DIALECT) is None


def select_from(source: Any, *columns: Any) -> Select[*tuple[Any, ...]]:
    """A SELECT of rows of `source`, for any columns.

    `select()` alone derives FROM from its columns, and a scalar subquery contributes nothing to
    it: if all columns are scalar subqueries, the source would move into each of them, and the
    statement would return one row instead of all.
    """
    return select(*columns).select_from(source)


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL text with `$1`, `$2`… for the parameters `names`.

    `constants`: the values of those that are not given with each execution. `processors`: how
    values are converted for the driver.
    """

    text: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]
    processors: Mapping[str, Callable[[Any], Any]]
    types: Mapping[str, TypeEngine[Any]]
    # The parameters that SQLAlchemy has named, uniquely only within this text.
    unnamed: frozenset[str] = frozenset()


_NUMBERS = count(1)
_PARAMETER = re.compile(r"\$(\d+)")


def _compile(query: Any) -> Any:
    return query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})


def _sql_of(compiled: Any) -> Sql:
    names: tuple[str, ...] = tuple(getattr(compiled, "positiontup", None) or ())
    processors: Mapping[str, Callable[[Any], Any]] = getattr(compiled, "_bind_processors", {})
    return Sql(
        str(compiled),
        names,
        dict(compiled.params),
        {
            name: processor
            for name, processor in processors.items()
            if name in names and not _needless(compiled.binds[name].type)
        },
        {name: compiled.binds[name].type for name in names if name in compiled.binds},
        frozenset(name for name in names if name in compiled.binds and compiled.binds[name].unique),
    )


def compiled_part(query: Any) -> Sql:
    """The text of a part of a statement, to be joined with others. With them it shares parameters
    of the same name, but none that SQLAlchemy has named.
    """
    sql = _sql_of(_compile(query))
    number = next(_NUMBERS)
    name_of = {name: f"{name}__{number}" if name in sql.unnamed else name for name in sql.names}
    return Sql(
        sql.text,
        tuple(name_of[name] for name in sql.names),
        {name_of[name]: sql.constants.get(name) for name in sql.names},
        {name_of[name]: processor for name, processor in sql.processors.items()},
        {name_of[name]: type_ for name, type_ in sql.types.items()},
    )


def joined_sql(parts: Iterable[str | Sql]) -> Sql:
    """The parts as one text, with their parameters numbered anew."""
    texts: list[str] = []
    places: dict[str, int] = {}
    constants: dict[str, Any] = {}
    processors: dict[str, Callable[[Any], Any]] = {}
    types: dict[str, TypeEngine[Any]] = {}
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        own = [places.setdefault(name, len(places) + 1) for name in part.names]
        texts.append(
            _PARAMETER.sub(lambda found, own=own: f"${own[int(found[1]) - 1]}", part.text)  # type: ignore[misc]
            if own
            else part.text
        )
        constants |= part.constants
        processors |= part.processors
        types |= part.types
    return Sql("".join(texts), tuple(places), constants, processors, types)


class Statement:
    """A compiled `select()`, or a change that returns rows (for `db.transaction`).

    The row class is made from the labels of the statement's columns. `ordering`: that of the rows,
    for their cursors.

    `plan`: when it is planned. `explains`: an EXPLAIN, which reads no rows.
    """

    __slots__ = ("_viewed", "explains", "plan", "row", "sql", "text")

    def __init__(
        self,
        query: Select[*tuple[Any, ...]]
        | ReturningInsert[*tuple[Any, ...]]
        | ReturningUpdate[*tuple[Any, ...]]
        | Sql,
        model: type[Base] | None = None,
        *,
        labels: Sequence[str] | None = None,
        plan: Plan = Plan.GUESSED,
        explains: bool = False,
        ordering: Any = None,
    ) -> None:
        if isinstance(query, Sql):
            assert labels is not None, "the labels of a text are not known"
            self.sql = query
        else:
            compiled = _compile(query)
            self.sql = _sql_of(compiled)
            labels = [str(column.key) for column in query.exported_columns]
            if model is not None and isinstance(query, Select) and not compiled.compile_state.froms:
                raise ValueError(f"the statement for rows of {model.__name__} has no FROM clause")
        self.text: str = self.sql.text
        self.plan = plan
        self.explains = explains
        self.row = row_class(Row, model, tuple(labels), ordering)
        self._viewed: str | None = None

    @property
    def viewed(self) -> str:
        """The text with one more parameter: who reads (`db.row_security`)."""
        if self._viewed is None:
            viewer = f"${len(self.sql.names) + 1}::taskloom_viewer"
            self._viewed = f"SELECT * FROM ({self.text}) AS viewed WHERE {viewer} IS NOT NULL"  # noqa: S608 - our own text
        return self._viewed

    def arguments(self, params: Mapping[str, Any]) -> list[Any]:
        """Values in the order of the placeholders; those not given keep their compiled value."""
        sql = self.sql
        values = {**sql.constants, **params}
        for name, process in sql.processors.items():
            values[name] = process(values[name])
        return [values[name] for name in sql.names]


_Ts = TypeVarTuple("_Ts")
_S = TypeVar("_S")
# One thread: several would compete for Python's lock, and the event loop would come last.
_COMPILER = ThreadPoolExecutor(1, thread_name_prefix="statements")


class KeptStatements(Generic[*_Ts, _S]):
    """A function that makes statements, and those that it has made, the most recently used of them.

    To build a statement and to compile it takes up to 20 ms. `ready` does it in a thread, so that
    it does not hold the event loop.
    """

    def __init__(self, make: Callable[[*_Ts], _S], most: int) -> None:
        self._make = make
        self._most = most
        self._known = BoundedCache[Any, _S](most)
        self._lock = Lock()

    def __call__(self, *args: *_Ts) -> _S:
        """The statement for these arguments, made at once if there is none."""
        found = self._find(args)
        if found is None:
            found = self._make(*args)
            with self._lock:
                self._known[args] = found
        return found

    async def ready(self, *args: *_Ts) -> _S:
        """The same, made in a thread."""
        found = self._find(args)
        if found is None:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(_COMPILER, partial(self, *args))
        return found

    def cache_clear(self) -> None:
        """Forget all statements."""
        with self._lock:
            self._known = BoundedCache(self._most)

    def _find(self, args: Any) -> _S | None:
        with self._lock:
            return self._known.get(args)


def kept(
    most: int,
) -> Callable[[Callable[[*_Ts], _S]], KeptStatements[*_Ts, _S]]:
    """Decorates a function of what its statements depend on; its arguments are positional."""
    return lambda make: KeptStatements(make, most)


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
