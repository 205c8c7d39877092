"""Orderings, and the cursors that keep a position in them.

An ordering is a tuple of `Key`s that always ends with the id, so that it is total. A cursor holds
the values of these keys for one row: the next page is "the rows after these values", which stays
right while rows come and go. A cursor also carries a mark of its ordering, so that a cursor of
another ordering is rejected instead of returning wrong rows.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property, lru_cache
from inspect import get_annotations
from typing import Any, TypeVar
from uuid import UUID

import orjson
import strawberry
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    SmallInteger,
    Text,
    and_,
    bindparam,
    false,
    func,
    inspect,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import InstrumentedAttribute, aliased
from strawberry.utils.str_converters import to_camel_case

from auth import access
from auth.viewer import Viewer
from db.base import Ordered
from errors import BadInput
from graph.core.inputs import optional
from graph.core.node import described_enum

T = TypeVar("T")
Path = tuple[str | int, ...]
MAX_KEYS = 5


class SortOrder(Enum):
    """A direction, and where rows without a value are placed: at the end unless it says so."""

    ASC = "ASC"
    DESC = "DESC"
    ASC_NULLS_FIRST = "ASC_NULLS_FIRST"
    DESC_NULLS_FIRST = "DESC_NULLS_FIRST"


described_enum(
    SortOrder,
    "The direction of an ordering. Items without a value come last unless it says otherwise.",
    {
        SortOrder.ASC: "Ascending: smallest first.",
        SortOrder.DESC: "Descending: largest first.",
        SortOrder.ASC_NULLS_FIRST: "Ascending, after the items without a value.",
        SortOrder.DESC_NULLS_FIRST: "Descending, after the items without a value.",
    },
)


@dataclass(frozen=True, slots=True)
class Source:
    """What an ordering compares: SQL over an entity, and the type of value.

    `members`: all values that there can be, if they are few, in ascending order. `related`: the
    relation and what is compared at its end, if it is a value of a related object. `beside`: the
    column of another table that has this value, by the id of the entity in its primary key. Each
    entity has a row there, so that a page can be read in the order of an index of that table.
    `positive`: for a number that is 0 for most entities and never negative, a selection of the
    others: their ids as `key`, and `value`.
    """

    name: str
    sql: Callable[[Viewer, Any], Any]
    type: Any
    nullable: bool
    members: tuple[Any, ...] = ()
    related: tuple[InstrumentedAttribute[Any], Source] | None = None
    beside: InstrumentedAttribute[Any] | None = None
    positive: Callable[[Viewer], Any] | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """One step of an ordering."""

    source: Source
    descending: bool = False
    nulls_first: bool = False

    @property
    def mark(self) -> str:
        """The step as text, for the cursor's mark."""
        return f"{self.source.name}{'-' if self.descending else '+'}{int(self.nulls_first)}"

    def reversed(self) -> Key:
        """The same step read backward."""
        return Key(self.source, not self.descending, not self.nulls_first)

    def sorted(self, expression: Any) -> Any:
        """The ORDER BY term. Without nulls it says nothing about them, so that an index can serve
        it.
        """
        term = expression.desc() if self.descending else expression.asc()
        if not self.source.nullable:
            return term
        return term.nulls_first() if self.nulls_first else term.nulls_last()


@dataclass(frozen=True, eq=False)
class Ordering:
    """A total order: the given keys, then the id in the direction of the last one.

    Compared by identity, since equal keys have one ordering (`ordering_by`).
    """

    keys: tuple[Key, ...]

    @cached_property
    def mark(self) -> str:
        """A short mark of the whole ordering."""
        text = ",".join(key.mark for key in self.keys)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def reversed(self) -> Ordering:
        """The same order read backward."""
        return Ordering(tuple(key.reversed() for key in self.keys))

    def cursor(self, values: Sequence[Any]) -> str:
        """The cursor of a row with these key values."""
        body = orjson.dumps([self.mark, *(_to_json(value) for value in values)])
        return base64.urlsafe_b64encode(body).decode().rstrip("=")

    def place(self, cursor: str, path: Path) -> tuple[Any, ...]:
        """The key values in a cursor; `BadInput` for a text that is not a cursor of this
        ordering.
        """
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            body = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            if body[0] == self.mark:
                return tuple(
                    _from_json(value, key.source)
                    for key, value in zip(self.keys, body[1:], strict=True)
                )
        except (ValueError, TypeError, LookupError, OverflowError):
            raise BadInput("Invalid cursor for this list.", path=path) from None
        raise BadInput(
            "This cursor belongs to another list or ordering. Omit it to start at the beginning.",
            path=path,
        )

    def after(
        self,
        expressions: Sequence[Any],
        nulls: Sequence[bool],
        prefix: str,
        *,
        inclusive: bool = False,
    ) -> ColumnElement[bool]:
        """The predicate "comes after the position whose values are bound as `prefix_0`…".

        `nulls` says which of the position's values are null (a part of the statement's shape).
        `inclusive`: or is at that very position.
        """
        return after(self.keys, expressions, nulls, parameters_of(self.keys, prefix), inclusive)


def parameters_of(keys: Sequence[Key], prefix: str) -> list[Any]:
    """The parameters that hold a position's values."""
    return [bindparam(f"{prefix}_{index}", type_=key.source.type) for index, key in enumerate(keys)]


def after(
    keys: Sequence[Key],
    expressions: Sequence[Any],
    nulls: Sequence[bool],
    parameters: Sequence[Any],
    inclusive: bool,
) -> ColumnElement[bool]:
    """See `Ordering.after`; also for some of its keys."""
    directions = {key.descending for key in keys}
    if len(directions) == 1 and not any(key.source.nullable for key in keys):
        # One comparison of rows, which a single index range serves.
        left, right = tuple_(*expressions), tuple_(*parameters)
        if inclusive:
            return left <= right if directions == {True} else left >= right
        return left < right if directions == {True} else left > right
    alternatives: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for key, expression, parameter, is_null in zip(
        keys, expressions, parameters, nulls, strict=True
    ):
        alternatives.append(and_(*equal, _beyond(key, expression, parameter, is_null)))
        equal.append(expression.is_(None) if is_null else expression == parameter)
    if inclusive:
        alternatives.append(and_(*equal))
    found = or_(false(), *alternatives)
    if keys[0].source.nullable:
        return found
    # Implied, but only this can be the range of an index.
    return and_(from_on(keys[0], expressions[0], parameters[0]), found)


def from_on(key: Key, expression: Any, parameter: Any) -> ColumnElement[bool]:
    """Whether the value is at a position or after it, if neither is null."""
    at_or_after: ColumnElement[bool] = (
        expression <= parameter if key.descending else expression >= parameter
    )
    return at_or_after


def _beyond(key: Key, expression: Any, parameter: Any, is_null: bool) -> ColumnElement[bool]:
    if is_null:
        # After the nulls come the values if nulls are first; otherwise nothing.
        return expression.is_not(None) if key.nulls_first else false()
    past: ColumnElement[bool] = expression < parameter if key.descending else expression > parameter
    if key.source.nullable and not key.nulls_first:
        return or_(past, expression.is_(None))
    return past


def _to_json(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, Enum):
        return value.value
    return value


def _from_json(value: Any, source: Source) -> Any:
    if value is None:
        if not source.nullable:
            raise ValueError
        return None
    python_type = source.type.python_type
    written_as = python_type if python_type in {bool, int, float} else str
    # `type` instead of `isinstance`, since True is an integer in Python.
    if type(value) is not written_as:
        raise ValueError
    if python_type is dt.datetime:
        moment = dt.datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(dt.UTC)
    if python_type is dt.date:
        return dt.date.fromisoformat(value)
    if python_type is UUID:
        return UUID(hex=value)
    if python_type is str and "\0" in value:
        raise ValueError
    if python_type is int and abs(int(value)) > _largest(source.type):
        raise ValueError
    return value


def _largest(type_: Any) -> int:
    if isinstance(type_, SmallInteger):
        return 2**15 - 1
    return 2**63 - 1 if isinstance(type_, BigInteger) else 2**31 - 1


# --- declaring -----------------------------------------------------------------------------------


def source(attribute: InstrumentedAttribute[Any]) -> Source:
    """A column of the model."""
    column = attribute.property.columns[0]
    type_ = column.type
    members: tuple[Any, ...] = (False, True) if isinstance(type_, Boolean) else ()
    if isinstance(type_, Ordered):
        members = tuple(sorted(int(member) for member in type_.enum))
    return Source(
        name=attribute.key,
        sql=lambda _, entity: getattr(entity, attribute.key),
        type=getattr(type_, "impl", type_) if isinstance(type_, Ordered) else type_,
        nullable=bool(column.nullable),
        members=members,
    )


def sortable(attribute: InstrumentedAttribute[Any]) -> Source:
    """What an ordering by a column compares: names and titles by their sort key
    (`db.base.sort_key`), as people expect.
    """
    return source(getattr(attribute.class_, f"{attribute.key}_key", attribute))


def key(by_what: Source, description: str) -> Any:
    """A field of an ordering."""
    if by_what.name.endswith("_key"):
        description += " Case and accents decide only between texts that are otherwise equal."
    return optional(description, metadata={"source": by_what})


def by(attribute: InstrumentedAttribute[Any], description: str) -> Any:
    """Order by a column that no filter compares."""
    return key(sortable(attribute), description)


def text_key(value: Any) -> ColumnElement[str]:
    """The sort key of an SQL expression that has no column for it."""
    return func.taskloom_sort_key(value, type_=Text()).collate("C")


def by_expression(
    name: str, sql: Callable[[Viewer, Any], Any], type_: Any, description: str, *, nullable: bool
) -> Any:
    """Order by an SQL expression: `sql(viewer, entity)`."""
    return key(Source(name, sql, type_, nullable), description)


def by_counter(name: str, counter: InstrumentedAttribute[Any], description: str) -> Any:
    """Order by a column of a table beside the entity's (`Source.beside`)."""
    source = Source(
        name,
        lambda _, entity: beside(counter, entity),
        counter.type,
        nullable=False,
        beside=counter,
    )
    return key(source, description)


def beside(counter: InstrumentedAttribute[Any], entity: Any) -> ColumnElement[int]:
    """The value of a counter, as an expression over the entity. 0 while a statement creates it."""
    counters = aliased(counter.class_)
    (own,) = inspect(counters).mapper.primary_key
    value = select(getattr(counters, counter.key)).where(getattr(counters, own.key) == entity.id)
    return func.coalesce(value.scalar_subquery(), 0)


def by_relation(relationship: InstrumentedAttribute[Any], description: str) -> Any:
    """Order by a value of the object at the end of a to-one relation, if the viewer can see it."""
    return optional(description, metadata={"relation": relationship})


def order_input(description: str, of: type[Any] | None = None) -> Callable[[type[T]], type[T]]:
    """Declare an ordering's input: exactly one of its fields is given.

    They are the criteria of the filter `of` that are sort keys too (`graph.kit.filtering`), and
    those of the class: related objects, and what no filter compares.
    """
    derived = {
        field.python_name: field.metadata["order"]
        for field in (() if of is None else of.__strawberry_definition__.fields)
        if "order" in field.metadata
    }

    def declare(cls: type[T]) -> type[T]:
        own = get_annotations(cls)
        if twice := derived.keys() & own:
            raise TypeError(f"{cls.__name__} declares {min(twice)}, which its filter declares.")
        cls.__annotations__ = dict.fromkeys(derived, SortOrder | None) | own
        for name, field in derived.items():
            setattr(cls, name, copy(field))
        return strawberry.input(cls, one_of=True, description=description)

    return declare


@cache
def id_source(model: Any) -> Source:
    """The last key of every ordering."""
    return source(inspect(model).attrs["id"].class_attribute)


def ordering_of(
    model: Any, given: Sequence[Any] | None, default: Sequence[Key], path: Path
) -> Ordering:
    """The total order of an `orderBy` argument."""
    return ordering_by(id_source(model), given, default, path)


def ordering_by(
    last: Source, given: Sequence[Any] | None, default: Sequence[Key], path: Path
) -> Ordering:
    """The same for objects without an id: `last` is unique among them."""
    keys = list(default)
    if given:
        if len(given) > MAX_KEYS:
            raise BadInput(
                f"orderBy must have at most {MAX_KEYS} keys; it has {len(given)}.", path=path
            )
        keys = [_key(item, (*path, index)) for index, item in enumerate(given)]
        names = [key.source.name for key in keys]
        for index, name in enumerate(names):
            if name in names[:index]:
                message = f"orderBy contains {_words(given[index])} twice. Remove one of them."
                raise BadInput(message, path=(*path, index))
    if all(key.source.name != last.name for key in keys):
        keys.append(Key(last, descending=keys[-1].descending if keys else False))
    return _only(tuple(keys))


@lru_cache(maxsize=2000)
def _only(keys: tuple[Key, ...]) -> Ordering:
    return Ordering(keys)


# Sources of relations are created once, so that equal orderings are equal and statements are found.
_THROUGH: dict[tuple[Any, str], Source] = {}


def _key(item: Any, path: Path) -> Key:
    for field in item.__strawberry_definition__.fields:
        value = getattr(item, field.python_name)
        if value is strawberry.UNSET:
            continue
        if value is None:
            raise BadInput(
                "A key of orderBy must not be null. Omit it or set its direction.",
                path=(*path, field.python_name),
            )
        if "source" in field.metadata:
            return Key(
                field.metadata["source"],
                descending=value in {SortOrder.DESC, SortOrder.DESC_NULLS_FIRST},
                nulls_first=value in {SortOrder.ASC_NULLS_FIRST, SortOrder.DESC_NULLS_FIRST},
            )
        inner = _key(value, (*path, field.python_name))
        return Key(
            _through(field.metadata["relation"], inner.source), inner.descending, inner.nulls_first
        )
    raise BadInput("A key of orderBy must have exactly one field; it has none.", path=path)


def _words(item: Any) -> str:
    """The field that an ordering names, as the client wrote it: `assignee.fullName`."""
    for field in item.__strawberry_definition__.fields:
        value = getattr(item, field.python_name)
        if value is not strawberry.UNSET:
            inner = "" if "source" in field.metadata else f".{_words(value)}"
            return f"{to_camel_case(field.python_name)}{inner}"
    return ""


def _through(relationship: InstrumentedAttribute[Any], inner: Source) -> Source:
    name = f"{relationship.key}.{inner.name}"
    key = (relationship, inner.name)
    if key not in _THROUGH:

        def sql(viewer: Viewer, entity: Any) -> Any:
            ((local, remote),) = relationship.property.local_remote_pairs
            related = aliased(relationship.property.mapper.class_)
            return (
                select(inner.sql(viewer, related))
                .where(
                    getattr(related, remote.key) == getattr(entity, local.key),
                    access.read(viewer, related),
                )
                .scalar_subquery()
            )

        _THROUGH[key] = Source(name, sql, inner.type, nullable=True, related=(relationship, inner))
    return _THROUGH[key]
