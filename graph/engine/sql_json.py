"""Leaves that PostgreSQL serializes: fields of a row that it returns as the JSON of the answer.

Most of the cost of a list is to make Python objects of ten columns of a thousand rows, only to
serialize them again. If a field is just a column, the statement can serialize it, including its
key; neighbouring fields come as one text, a `JsonSpan`:

    "title":"Weigh the frame","status":"COMPLETED","dueAt":null

This module says how the value of a column is serialized, exactly as `graph.core.scalars` and
graphql-core do it. `graph.engine.serialization` says for which fields of an operation it is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import EnumMeta
from functools import lru_cache, partial
from itertools import groupby
from typing import Any, Final, NamedTuple, cast

from graphql import (
    GraphQLField,
    GraphQLID,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLString,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
    is_scalar_type,
)
from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    SmallInteger,
    Text,
    Uuid,
    bindparam,
    inspect,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import aliased
from sqlalchemy.types import TypeEngine
from strawberry.schema.schema_converter import CustomGraphQLEnumType

from auth import access
from auth.viewer import ViewerShape, placeholder_viewer
from db.base import Base, Ordered
from db.statements import Sql, Statement, compiled_part, joined_sql, select_from
from graph.core import ids
from graph.core.fields import ColumnField
from graph.core.node import foreign_key_of, model_of
from graph.core.selection import DEFINITION, relation_of, required_columns

# Starts the text for a value that the enum does not have; the value follows. No text in the
# database contains this character, so it cannot mean anything else.
UNKNOWN: Final = "\0"
UNKNOWN_JSON: Final = "\\u0000"
# PostgreSQL calls functions with at most a hundred arguments.
_MOST_ARGUMENTS: Final = 90

Piece = str | Sql
# An SQL expression of type text, in pieces.
Expression = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class _Constant:
    """A part of the answer that is the same for all rows."""

    text: str


# What stands one after the other in the answer.
Texts = Sequence[_Constant | Expression]


def _quoted(text: str) -> str:
    """A constant in the text of the statement; it never comes from clients or rows."""
    return "'" + text.replace("'", "''") + "'"


def _or_null(*text: Piece) -> Texts:
    return [("coalesce(", *text, ", 'null')")]


# --- values of one column ------------------------------------------------------------------------
# Instances that serialize alike are equal, since they are parts of the keys of statements.


@dataclass(frozen=True, slots=True)
class _Bare:
    """Numbers and booleans: as PostgreSQL prints them."""

    nullable: bool

    def __call__(self, value: str, _: Scope) -> Texts:
        text = f"{value}::text"
        return _or_null(text) if self.nullable else [(text,)]


@dataclass(frozen=True, slots=True)
class _Json:
    """Texts and lists of them, with escapes."""

    nullable: bool

    def __call__(self, value: str, _: Scope) -> Texts:
        text = f"to_json({value})::text"
        return _or_null(text) if self.nullable else [(text,)]


@dataclass(frozen=True, slots=True)
class _Quoted:
    """Values that need no escapes, between `head` and `tail`."""

    nullable: bool
    write: Callable[[str], str]
    head: str = '"'
    tail: str = '"'

    def __call__(self, value: str, _: Scope) -> Texts:
        text = self.write(value)
        if self.nullable:
            return _or_null(f"{_quoted(self.head)} || {text} || {_quoted(self.tail)}")
        return [_Constant(self.head), (text,), _Constant(self.tail)]


@dataclass(frozen=True, slots=True)
class _Name:
    """The members of an enum, by their names in the schema."""

    nullable: bool
    names: tuple[tuple[int, str], ...]

    def __call__(self, value: str, _: Scope) -> Texts:
        found = " ".join(
            f"WHEN {number} THEN {_quoted(_string(name))}" for number, name in self.names
        )
        start, end = _quoted(f'"{UNKNOWN_JSON}'), _quoted('"')
        text = f"CASE {value} {found} ELSE {start} || {value}::text || {end} END"
        return _or_null(text) if self.nullable else [(text,)]


@dataclass(frozen=True, slots=True)
class _Object:
    """The object that a column refers to, under its own access rule: null if it is not visible."""

    model: type[Base]
    parts: tuple[Part, ...]

    def __call__(self, value: str, scope: Scope) -> Texts:
        inner = scope.inside()
        start, middle, end = _lookup(self.model, inner)
        text = _object(self.parts, inner.column, inner)
        return _or_null("(", start, *text, middle, value, end, ")")


@dataclass(frozen=True, slots=True)
class _TypeName:
    """A constant: the name of a type."""

    text: str

    def __call__(self, _: str, __: Scope) -> Texts:
        return [_Constant(self.text)]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose access rules apply, and how many objects the expression is inside."""

    viewer: ViewerShape
    depth: int = 0

    def inside(self) -> Scope:
        """That of an object that is looked up here."""
        return Scope(self.viewer, self.depth + 1)

    @property
    def name(self) -> str:
        """The looked up object's name in the statement; different from those around it."""
        return f"object_{self.depth}"

    def column(self, label: str) -> str:
        """A column of the object that is looked up."""
        return f'{self.name}."{label}"'


_TEXT, _KEY = "/*text*/", "/*key*/"


@lru_cache(maxsize=500)
def _lookup(model: type[Base], scope: Scope) -> tuple[Sql, Sql, Sql]:
    """The SELECT of one object's text, up to the text, from there to the key, and after it."""
    entity: Any = aliased(model, name=scope.name)
    sql = compiled_part(
        select_from(entity, literal_column(_TEXT)).where(
            entity.id == literal_column(_KEY, Uuid()),
            access.read(placeholder_viewer(scope.viewer), entity),
        )
    )
    start, _, rest = sql.text.partition(_TEXT)
    # SQLAlchemy names the text, which nothing reads.
    middle, _, end = rest[rest.index("FROM") :].partition(_KEY)
    return replace(sql, text=start), replace(sql, text=f" {middle}"), replace(sql, text=end)


def _string(name: str) -> str:
    return f'"{name}"'


def _hex(value: str) -> str:
    return f"encode(uuid_send({value}), 'hex')"


def _moment(value: str) -> str:
    # Independent of the session's time zone. The text has a space where RFC 3339 has a T.
    return f"replace(({value} AT TIME ZONE INTERVAL '0')::text, ' ', 'T')"


def _day(value: str) -> str:
    return f"{value}::text"


Write = _Bare | _Json | _Quoted | _Name | _Object | _TypeName


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
    return Part(key, None, _TypeName(_string(name)))


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

    def sql(self, value_of: Callable[[str], str], viewer: ViewerShape) -> Sql:
        """The text, given the row's columns by their names."""
        scope = Scope(viewer)
        if self.whole:
            return joined_sql(_object(self.parts, value_of, scope))
        return joined_sql(_concat(_texts(self.parts, value_of, scope)))


def _object(parts: Sequence[Part], value_of: Callable[[str], str], scope: Scope) -> Expression:
    return _concat([_Constant("{"), *_texts(parts, value_of, scope), _Constant("}")])


def _texts(parts: Sequence[Part], value_of: Callable[[str], str], scope: Scope) -> Texts:
    found: list[_Constant | Expression] = []
    for index, part in enumerate(parts):
        found.append(_Constant(f'{"," if index else ""}"{part.key}":'))
        found += part.write(value_of(part.label) if part.label else "", scope)
    return found


def _concat(texts: Texts) -> Expression:
    found: list[Expression] = []
    for constant, group in groupby(texts, lambda text: isinstance(text, _Constant)):
        if constant:
            found.append((_quoted("".join(each.text for each in cast("list[_Constant]", group))),))
        else:
            found += cast("list[Expression]", group)
    while len(found) > _MOST_ARGUMENTS:
        found = [_call("concat", found[:_MOST_ARGUMENTS]), *found[_MOST_ARGUMENTS:]]
    return _call("concat", found)


def _call(name: str, arguments: Sequence[Expression]) -> Expression:
    pieces: list[Piece] = [f"{name}("]
    for index, argument in enumerate(arguments):
        pieces += [", ", *argument] if index else argument
    return (*pieces, ")")


@dataclass(frozen=True, slots=True)
class Columns:
    """What is read of a row: columns as they are, and columns that are serialized.

    `usual`: what the statement below the spans reads as well, so that it is the same for many
    operations (`usual_columns`).
    """

    labels: frozenset[str]
    spans: tuple[JsonSpan, ...] = ()
    usual: frozenset[str] = frozenset()
    # Each statement is looked up by them, and hashing a span is expensive.
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.labels, self.spans, self.usual)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def serialized(self) -> frozenset[str]:
        """The columns that the spans are made of."""
        parts = (part for span in self.spans for part in span.parts)
        return frozenset(part.label for part in parts if part.label is not None)

    def below(self) -> Columns:
        """The columns of the statement that the spans are added to."""
        return Columns(self.labels | self.serialized | self.usual)


# Nothing but the key, which is always read.
KEY_ONLY: Final = Columns(frozenset())


@lru_cache(maxsize=256)
def usual_columns(type_: GraphQLObjectType) -> frozenset[str]:
    """The columns of a type's fields, without long texts.

    They are read together, whatever an operation requests: to read some more columns of a hundred
    rows takes 0.1 ms, but a statement that was not there before takes 5 ms to build and to plan.
    """
    model = model_of(type_.name)
    if model is None:
        return KEY_ONLY.labels
    mapped = inspect(model).columns
    found: set[str] = set()
    long: set[str] = set(_LONG)
    for definition in type_.fields.values():
        labels = required_columns(definition)
        leaf = get_named_type(definition.type)
        (long if leaf.name in _LONG_TYPES else found).update(labels)
    return frozenset(
        label
        for label in found - long
        if label in mapped and not isinstance(mapped[label].type, JSON)
    )


# Scalars, and columns with a String, of up to thousands of characters.
_LONG_TYPES: Final = frozenset({"Markdown", "HTML", "JSON"})
_LONG: Final = frozenset({"message", "notes", "payload", "request_body", "response_body"})


def with_spans(
    statement: Statement,
    columns: Sequence[str | tuple[str, JsonSpan]],
    viewer: ViewerShape,
    model: type[Base],
) -> Statement:
    """A statement that reads the rows of another one: of each some columns, by their labels, and
    spans, each with the prefix of the columns that it is made of and of its own label.

    The other statement is the same for whatever is serialized, and is compiled already: joining
    texts takes microseconds where compiling takes milliseconds.
    """
    pieces: list[Piece] = ["SELECT "]
    labels: list[str] = []
    for index, column in enumerate(columns):
        if index:
            pieces.append(", ")
        if isinstance(column, str):
            pieces.append(f'rows."{column}"')
            labels.append(column)
            continue
        prefix, span = column
        pieces.append(span.sql(f'rows."{prefix}{{}}"'.format, viewer))
        labels.append(f"{prefix}{span.label}")
        pieces.append(f' AS "{labels[-1]}"')
    pieces += [" FROM (", statement.sql, ") AS rows"]
    return Statement(
        joined_sql(pieces),
        model,
        labels=labels,
        plan=statement.plan,
        ordering=statement.row.ordering,
    )


class SqlColumn(ColumnElement[Any]):
    """A span in a statement of SQLAlchemy."""

    type = Text()
    inherit_cache = False

    def __init__(self, sql: Sql) -> None:
        self.sql = sql


@compiles(SqlColumn)
def _write_column(element: SqlColumn, compiler: Any, **_: Any) -> str:
    sql = element.sql

    def parameter(found: re.Match[str]) -> str:
        name = sql.names[int(found[1]) - 1]
        value = sql.constants.get(name)
        bind = bindparam(name, type_=sql.types[name], **({} if value is None else {"value": value}))
        return str(compiler.process(bind))

    return _TYPED_PARAMETER.sub(parameter, sql.text)


# As SQLAlchemy writes it: with its type.
_TYPED_PARAMETER: Final = re.compile(r"\$(\d+)(?:::\w+(?:\[\])?)?")


def span_columns(
    value_of: Callable[[str], str], spans: Iterable[JsonSpan], viewer: ViewerShape
) -> list[Any]:
    """The spans as columns of a statement of SQLAlchemy, given those of the row by their names."""
    return [SqlColumn(span.sql(value_of, viewer)).label(span.label) for span in spans]
