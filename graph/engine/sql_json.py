"""Leaves that PostgreSQL serializes: fields of a row that it returns as the JSON of the answer.

Most of the cost of a list is to make Python objects of ten columns of a thousand rows, only to
serialize them again. If a field is just a column, the statement can serialize it, including its
key; neighbouring fields come as one text, a `JsonSpan`:

    "title":"Weigh the frame","status":"COMPLETED","dueAt":null

This module says how the value of a column is serialized, exactly as `graph.core.scalars` and
graphql-core do it. `graph.engine.serialization` says for which fields of an operation it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import EnumMeta
from functools import lru_cache, partial
from itertools import groupby
from typing import Any, Final, NamedTuple

from graphql import (
    GraphQLField,
    GraphQLID,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLString,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
    is_scalar_type,
)
from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Interval,
    SmallInteger,
    Text,
    Uuid,
    case,
    cast,
    func,
    inspect,
    literal_column,
    type_coerce,
)
from sqlalchemy.orm import aliased
from sqlalchemy.types import TypeEngine
from strawberry.schema.schema_converter import CustomGraphQLEnumType

from auth import access
from auth.viewer import Viewer
from db.base import Base, Ordered
from db.read import select_from
from graph.core import ids
from graph.core.fields import ColumnField
from graph.core.node import foreign_key_of, model_of
from graph.core.selection import DEFINITION, relation_of

# Starts the text for a value that the enum does not have; the value follows. No text in the
# database contains this character, so it cannot mean anything else.
UNKNOWN: Final = "\0"
UNKNOWN_JSON: Final = "\\u0000"
# PostgreSQL calls functions with at most a hundred arguments.
_MOST_ARGUMENTS: Final = 90

_NO_TIME: Final = literal_column("INTERVAL '0'", Interval())

# Constant texts and SQL expressions of type text, in order.
Texts = Sequence["str | ColumnElement[Any]"]


def _quoted(text: str) -> ColumnElement[str]:
    """A constant in the text of the statement; it never comes from clients or rows."""
    return literal_column("'" + text.replace("'", "''") + "'", Text())


def _or_null(text: ColumnElement[Any]) -> Texts:
    return [func.coalesce(text, _quoted("null"))]


# --- values of one column ------------------------------------------------------------------------
# Instances that serialize alike are equal, since they are parts of the keys of statements.


@dataclass(frozen=True, slots=True)
class _Bare:
    """Numbers and booleans: as PostgreSQL prints them."""

    nullable: bool

    def __call__(self, value: Any, _: Viewer) -> Texts:
        text = cast(value, Text())
        return _or_null(text) if self.nullable else [text]


@dataclass(frozen=True, slots=True)
class _Json:
    """Texts and lists of them, with escapes."""

    nullable: bool

    def __call__(self, value: Any, _: Viewer) -> Texts:
        text = cast(func.to_json(value), Text())
        return _or_null(text) if self.nullable else [text]


@dataclass(frozen=True, slots=True)
class _Quoted:
    """Values that need no escapes, between `head` and `tail`."""

    nullable: bool
    write: Callable[[Any], ColumnElement[Any]]
    head: str = '"'
    tail: str = '"'

    def __call__(self, value: Any, _: Viewer) -> Texts:
        text = self.write(value)
        if self.nullable:
            return _or_null(_quoted(self.head).concat(text).concat(_quoted(self.tail)))
        return [self.head, text, self.tail]


@dataclass(frozen=True, slots=True)
class _Name:
    """The members of an enum, by their names in the schema."""

    nullable: bool
    names: tuple[tuple[int, str], ...]

    def __call__(self, value: Any, _: Viewer) -> Texts:
        found = [
            (literal_column(str(member), Integer()), _quoted(f'"{name}"'))
            for member, name in self.names
        ]
        number = cast(type_coerce(value, Integer()), Text())
        unknown = _quoted(f'"{UNKNOWN_JSON}').concat(number).concat(_quoted('"'))
        text = case(*found, value=value, else_=unknown)
        return _or_null(text) if self.nullable else [text]


@dataclass(frozen=True, slots=True)
class _Object:
    """The object that a column refers to, under its own access rule: null if it is not visible."""

    model: type[Base]
    parts: tuple[Part, ...]

    def __call__(self, value: Any, viewer: Viewer) -> Texts:
        entity: Any = aliased(self.model)
        text = _object(self.parts, partial(getattr, entity), viewer)
        found = select_from(entity, text).where(entity.id == value, access.read(viewer, entity))
        return _or_null(found.correlate_except(entity).scalar_subquery())


@dataclass(frozen=True, slots=True)
class _Constant:
    """A constant: the name of a type."""

    text: str

    def __call__(self, _: Any, __: Viewer) -> Texts:
        return [self.text]


def _hex(value: Any) -> ColumnElement[Any]:
    return func.encode(func.uuid_send(value), _quoted("hex"))


def _moment(value: Any) -> ColumnElement[Any]:
    # Independent of the session's time zone. The text has a space where RFC 3339 has a T.
    text = cast(func.timezone(_NO_TIME, value), Text())
    return func.replace(text, _quoted(" "), _quoted("T"))


def _day(value: Any) -> ColumnElement[Any]:
    return cast(value, Text())


Write = _Bare | _Json | _Quoted | _Name | _Object | _Constant


def _is_moment(sql: TypeEngine[Any]) -> bool:
    return isinstance(sql, DateTime) and sql.timezone


def _is_text(sql: TypeEngine[Any]) -> bool:
    return type(sql) is Text


def _is_whole(sql: TypeEngine[Any]) -> bool:
    return type(sql) in {Integer, SmallInteger}


def _is_texts(sql: TypeEngine[Any]) -> bool:
    return isinstance(sql, ARRAY) and isinstance(sql.item_type, Text) and sql.dimensions is None


# By the scalar's name in the schema: for which column types, and how.
_SCALARS: Final[Mapping[str, tuple[Callable[[TypeEngine[Any]], bool], Callable[[bool], Write]]]] = {
    "String": (_is_text, _Json),
    "Int": (_is_whole, _Bare),
    "Boolean": (lambda sql: type(sql) is Boolean, _Bare),
    "DateTime": (_is_moment, partial(_Quoted, write=_moment, tail='Z"')),
    "Date": (lambda sql: type(sql) is Date, partial(_Quoted, write=_day)),
    "Seconds": (_is_whole, _Bare),
    "Milliseconds": (_is_whole, _Bare),
    **dict.fromkeys(("Color", "Markdown", "TimeZone", "URL"), (_is_text, _Json)),
}


def _writer(type_: GraphQLOutputType, sql: TypeEngine[Any], convert: Any) -> Write | None:
    """How a column of this type is serialized as this schema type; None if it cannot be."""
    nullable = not is_non_null_type(type_)
    leaf = get_nullable_type(type_)
    write: Write | None = None
    if isinstance(convert, ids.Encoder):
        if leaf is GraphQLID and isinstance(sql, Uuid):
            write = _Quoted(nullable, _hex, head=f'"{convert.head}')
    elif isinstance(convert, EnumMeta):
        # The result must equal that of Python.
        same = isinstance(leaf, CustomGraphQLEnumType) and leaf.wrapped_cls is convert
        if same and isinstance(sql, Ordered) and sql.enum is convert:
            write = _Name(nullable, _names(leaf, convert))
    elif convert is None and is_list_type(leaf):
        if get_nullable_type(leaf.of_type) is GraphQLString and _is_texts(sql):
            write = _Json(nullable)
    elif convert is None and is_scalar_type(leaf) and leaf.name in _SCALARS:
        fits, made = _SCALARS[leaf.name]
        write = made(nullable) if fits(sql) else None
    return write


def _names(leaf: Any, enum: Any) -> tuple[tuple[int, str], ...]:
    members: Iterable[Any] = enum
    return tuple((int(member), str(leaf.coerce_output_value(member))) for member in members)


# --- spans ---------------------------------------------------------------------------------------


class Part(NamedTuple):
    """One field: its key in the answer, its column if it has one, and how it is serialized."""

    key: str
    label: str | None
    write: Write

    @property
    def objects(self) -> int:
        """How many objects it looks up, each with its whole access rule in the statement."""
        write = self.write
        return 1 + objects_in(write.parts) if isinstance(write, _Object) else 0

    @property
    def may_be_unknown(self) -> bool:
        """Whether the text may contain an `UNKNOWN` value."""
        return isinstance(self.write, _Name)


def objects_in(parts: Iterable[Part]) -> int:
    """How many objects these look up."""
    return sum(part.objects for part in parts)


@lru_cache(maxsize=4096)
def _write_of(type_: GraphQLObjectType, name: str) -> tuple[str, Write] | None:
    definition: GraphQLField = type_.fields[name]
    field = definition.extensions.get(DEFINITION)
    model = model_of(type_.name)
    if model is None or not isinstance(field, ColumnField) or field.whole_row:
        return None
    mapped = inspect(model).columns.get(field.label)
    # A null in a non-null position is an error, which Python reports.
    if mapped is None or (mapped.nullable and is_non_null_type(definition.type)):
        return None
    write = _writer(definition.type, mapped.type, field.convert)
    return None if write is None else (field.label, write)


def part_of(type_: GraphQLObjectType, name: str, key: str) -> Part | None:
    """The field as PostgreSQL serializes it; None if it is more than a column."""
    found = _write_of(type_, name)
    return None if found is None else Part(key, *found)


def constant_part(key: str, name: str) -> Part:
    """The name of a type."""
    return Part(key, None, _Constant(f'"{name}"'))


def object_part_of(
    type_: GraphQLObjectType, name: str, key: str, parts: tuple[Part, ...]
) -> Part | None:
    """A to-one relation with everything requested of its object; None if a null would be an error,
    or a value may be unknown.
    """
    definition: GraphQLField = type_.fields[name]
    model, relation = model_of(type_.name), relation_of(definition)
    if model is None or relation is None or is_non_null_type(definition.type):
        return None
    if any(part.may_be_unknown for part in parts):
        return None
    relationship = getattr(model, relation)
    target = relationship.property.mapper.class_
    return Part(key, foreign_key_of(relationship), _Object(target, parts))


class JsonSpan(NamedTuple):
    """Neighbouring fields. `label` is the column that their text comes in; `whole`: there are no
    others, and the text is the object.
    """

    label: str
    parts: tuple[Part, ...]
    whole: bool

    def text(self, value_of: Callable[[str], Any], viewer: Viewer) -> ColumnElement[Any]:
        """The text, given the row's columns by their names."""
        if self.whole:
            return _object(self.parts, value_of, viewer)
        return _concat(_texts(self.parts, value_of, viewer))


def _object(
    parts: Sequence[Part], value_of: Callable[[str], Any], viewer: Viewer
) -> ColumnElement[Any]:
    return _concat(["{", *_texts(parts, value_of, viewer), "}"])


def _texts(parts: Sequence[Part], value_of: Callable[[str], Any], viewer: Viewer) -> Texts:
    found: list[str | ColumnElement[Any]] = []
    for index, part in enumerate(parts):
        found.append(f'{"," if index else ""}"{part.key}":')
        found += part.write(part.label and value_of(part.label), viewer)
    return found


def _concat(texts: Texts) -> ColumnElement[Any]:
    found: list[ColumnElement[Any]] = []
    for constant, group in groupby(texts, lambda text: isinstance(text, str)):
        if constant:
            found.append(_quoted("".join(str(text) for text in group)))
        else:
            found += group  # type: ignore[arg-type]  # none of them is a constant
    while len(found) > _MOST_ARGUMENTS:
        found = [func.concat(*found[:_MOST_ARGUMENTS]), *found[_MOST_ARGUMENTS:]]
    return func.concat(*found)


@dataclass(frozen=True, slots=True)
class Columns:
    """What is read of a row: columns as they are, and columns that are serialized."""

    labels: frozenset[str]
    spans: tuple[JsonSpan, ...] = ()
    # Each statement is looked up by them, and hashing a span is expensive.
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.labels, self.spans)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def serialized(self) -> frozenset[str]:
        """The columns that the spans are made of."""
        parts = (part for span in self.spans for part in span.parts)
        return frozenset(part.label for part in parts if part.label is not None)


# Nothing but the key, which is always read.
KEY_ONLY: Final = Columns(frozenset())


def serialized_columns(
    value_of: Callable[[str], Any], spans: Iterable[JsonSpan], viewer: Viewer, prefix: str = ""
) -> list[Any]:
    """The spans as columns of a statement, given those of the row by their names."""
    return [span.text(value_of, viewer).label(prefix + span.label) for span in spans]
