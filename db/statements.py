"""Statements: written in SQLAlchemy Core, compiled once to text, with a record class of their own.

Their rows are `Row`s: asyncpg records whose columns are also attributes (named by label), so that
no object has to be built from them. `db.read` and `db.transaction` run them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial
from itertools import count
from operator import attrgetter, itemgetter
from threading import Lock
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, TypeVarTuple
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import ARRAY, Select, select
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate
from sqlalchemy.types import TypeEngine

from cache import BoundedCache
from db.base import Base, Ordered


def _dump_json(value: Any) -> str:
    return orjson.dumps(value, default=_plain).decode()


def _plain(value: Any) -> str:
    # The driver's UUIDs are of a class of their own.
    if isinstance(value, UUID):
        return str(value)
    raise TypeError


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
