"""Columns: the values of one field for all objects at a position: read, checked, assembled.

An executor fetches each value and checks whether it is null, a string or an enum member. Here one
pass of C code does this for a whole column: `zip(*rows)` or `map(attrgetter)` fetches,
`set(map(type, column))` checks. A column of the expected types is used unchanged; any other is
*dirty*, and the caller completes it value by value. One generated function per selection assembles
the objects, with a comprehension around a dict literal: the fastest way to make many dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain, islice, repeat
from math import isfinite
from operator import attrgetter, itemgetter
from types import NoneType
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLScalarType,
    GraphQLString,
)
from graphql.pyutils import Undefined, UndefinedType
from graphql.type.scalars import GRAPHQL_MAX_INT, GRAPHQL_MIN_INT
from strawberry.schema.schema_converter import CustomGraphQLEnumType

from db.statements import labels_of
from graph.core.scalars import MAX_WHOLE, WriteText, WriteWhole

Column = Sequence[Any]
# Completes values, given the set of the types of those that are not null; None for a dirty column.
Completer = Callable[[set[type], Column], Column | None]

# After how many objects a function is generated for their keys. To make one takes as long as it
# gains for 150 objects, and many documents do not come again.
GENERATED_AFTER = 100

_LISTS = frozenset({list, tuple})


class Failed:
    """Takes the place of a value that failed in a column. Never leaves the engine."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


class Parents:
    """The objects at a position, as columns.

    `requested`: how many different columns will be read. Many are read at once for all rows, few
    one by one.
    """

    __slots__ = ("_columns", "_labels", "_requested", "rows")

    def __init__(self, rows: Column, requested: int) -> None:
        self.rows = rows
        self._requested = requested
        self._columns: list[tuple[Any, ...]] | None = None
        self._labels = labels_of(rows) if len(rows) > 1 else ()

    def column(self, name: str) -> Column:
        """The attribute of every object; AttributeError if one of them has none."""
        rows, labels = self.rows, self._labels
        if len(rows) == 1:
            return [getattr(rows[0], name)]
        if name not in labels:
            return list(map(attrgetter(name), rows))
        index = labels.index(name)
        # Measured: all at once costs as much as two columns by index, plus a quarter of one for
        # each existing column.
        if self._columns is None and self._requested * 4 <= len(labels) + 8:
            return list(map(itemgetter(index), rows))
        if self._columns is None:
            self._columns = list(zip(*rows, strict=True))
        return self._columns[index]


class LeafColumn:
    """Result coercion of one scalar or enum, for whole columns."""

    __slots__ = ("_complete", "_nulls", "type")

    def __init__(self, type_: GraphQLLeafType) -> None:
        self.type = type_
        # And whether it keeps nulls among the values.
        self._complete, self._nulls = _completer(type_)

    def complete(self, column: Column, *, nonnull: bool) -> Column | None:
        """The completed column, or None if it is dirty."""
        types = set(map(type, column))
        if NoneType not in types:
            return self._complete(types, column)
        if nonnull:
            return None
        types.discard(NoneType)
        if self._nulls:
            return self._complete(types, column)
        present = [value for value in column if value is not None]
        done = self._complete(types, present)
        if done is None:
            return None
        return column if done is present else scatter(column, done)


def complete_lists(
    column: Column, complete: Callable[[Column], Column | None], *, nonnull: bool
) -> Column | None:
    """A column of lists of leaves, with their items completed as one column; None if dirty."""
    types = set(map(type, column))
    present = column
    if NoneType in types:
        if nonnull:
            return None
        types.discard(NoneType)
        present = [value for value in column if value is not None]
    if not types <= _LISTS:
        return None
    flat = list(chain.from_iterable(present))
    done = complete(flat)
    if done is None:
        return None
    if done is flat and tuple not in types:
        return column
    lists = unflatten(present, done)
    return lists if present is column else scatter(column, lists)


def scatter(column: Column, done: Column) -> list[Any]:
    """Put results for the values that are not null back between the nulls."""
    results = iter(done)
    return [None if value is None else next(results) for value in column]


def unflatten(lists: Column, flat: Column) -> list[list[Any]]:
    """Cut a flat column into lists as long as `lists`."""
    if len(lists) == 1:
        return [list(flat)]
    items = iter(flat)
    return [list(islice(items, size)) for size in map(len, lists)]


def special(kind: type) -> bool:
    """Whether values of this type mean something other than themselves: null, failure, later."""
    return (
        kind is NoneType
        or kind is Failed
        or kind is UndefinedType
        or issubclass(kind, Exception)
        or hasattr(kind, "__await__")
    )


# --- leaves --------------------------------------------------------------------------------------


def _completer(type_: GraphQLLeafType) -> tuple[Completer, bool]:
    if isinstance(type_, GraphQLEnumType):
        return _enum(type_), True
    coerce = type_.coerce_output_value
    if type_ in {GraphQLString, GraphQLID} or isinstance(coerce, WriteText):
        return _as_is(str), True
    if type_ is GraphQLBoolean:
        return _as_is(bool), True
    if type_ is GraphQLInt:
        return _ints(GRAPHQL_MIN_INT, GRAPHQL_MAX_INT), False
    if isinstance(coerce, WriteWhole):
        return _ints(-MAX_WHOLE, MAX_WHOLE), False
    if type_ is GraphQLFloat:
        return _floats, False
    return _scalar(coerce)


def _as_is(expected: type) -> Completer:
    allowed = {expected}

    def complete(types: set[type], column: Column) -> Column | None:
        return column if types <= allowed else None

    return complete


def _ints(least: int, most: int) -> Completer:
    def complete(types: set[type], column: Column) -> Column | None:
        if not types:
            return column
        if types != {int} or min(column) < least or max(column) > most:
            return None
        return column

    return complete


def _floats(types: set[type], column: Column) -> Column | None:
    return column if types <= {float} and all(map(isfinite, column)) else None


def _enum(type_: GraphQLEnumType) -> Completer:
    # Both forms of a value: the member, as converters return it, and the member's value.
    names: dict[Any, str | None] = {}
    for name, value in type_.values.items():
        try:
            names[value.value] = name
        except TypeError:  # Unhashable: the slow path finds it by comparison.
            continue
    if isinstance(type_, CustomGraphQLEnumType):
        members: Iterable[Any] = type_.wrapped_cls
        names.update((member, type_.coerce_output_value(member)) for member in members)

    # A null is here only if it is allowed.
    names[None] = None

    def complete(_: set[type], column: Column) -> Column | None:
        try:
            return list(map(names.__getitem__, column))
        except (KeyError, TypeError):
            return None

    return complete


def _scalar(coerce: Callable[[Any], Any]) -> tuple[Completer, bool]:
    passes = coerce is GraphQLScalarType.serialize
    # A serializer that can convert a whole column faster, including nulls, has this method.
    nullable: Callable[[Column], Column] | None = getattr(coerce, "nullable_column", None)
    whole = nullable or partial(_one_by_one, coerce)

    def complete(types: set[type], column: Column) -> Column | None:
        if any(map(special, types)):
            return None
        if passes:
            return column
        try:
            done = whole(column)
        except Exception:  # noqa: BLE001 - the slow path finds out which value it was
            return None
        if nullable is not None:
            return done
        return None if {NoneType, UndefinedType} & set(map(type, done)) else done

    return complete, nullable is not None


def _one_by_one(coerce: Callable[[Any], Any], column: Column) -> Column:
    return list(map(coerce, column))


# --- objects -------------------------------------------------------------------------------------


class Assembler:
    """Makes the dicts of objects of the number of objects and their columns.

    `keys` are the response keys in their order, each with its constant (a `__typename`) or None
    for the next column.
    """

    __slots__ = ("_generated", "_keys", "_made")

    def __init__(self, keys: tuple[tuple[str, str | None], ...]) -> None:
        self._keys = keys
        self._made = 0
        self._generated: Callable[[int, Sequence[Column]], list[dict[str, Any]]] | None = None

    def __call__(self, size: int, columns: Sequence[Column]) -> list[dict[str, Any]]:
        """The objects."""
        if self._generated is None:
            if self._made < GENERATED_AFTER:
                self._made += size
                return self._simply(size, columns)
            self._generated = self._generate()
        return self._generated(size, columns)

    def _simply(self, size: int, columns: Sequence[Column]) -> list[dict[str, Any]]:
        if not self._keys:
            return [{} for _ in range(size)]
        given = iter(columns)
        full = [
            next(given) if constant is None else repeat(constant, size)
            for _, constant in self._keys
        ]
        names = [key for key, _ in self._keys]
        # Strict, so that a column of another length can never shift into a wrong object.
        return [dict(zip(names, values)) for values in zip(*full, strict=True)]  # noqa: B905

    def _generate(self) -> Any:
        entries: list[str] = []
        names: list[str] = []
        for key, constant in self._keys:
            if constant is None:
                names.append(f"v{len(names)}")
                entries.append(f"{key!r}: {names[-1]}")
            else:
                entries.append(f"{key!r}: {constant!r}")
        # The text is made of the keys' and constants' representations alone.
        return for_each(f"{{{', '.join(entries)}}}", names)


@lru_cache(maxsize=4096)
def assembler(keys: tuple[tuple[str, str | None], ...]) -> Assembler:
    """That of these keys, shared by all positions that have them."""
    return Assembler(keys)


def for_each(expression: str, names: Sequence[str]) -> Any:
    """A function of the number of objects and their columns that returns the value of the
    expression for each object; it can use the columns' values by these names.
    """
    match names:
        case []:
            loop = "for _ in range(size)"
        case [name]:
            loop = f"for {name} in columns[0]"
        case _:
            # Strict, so that a column of another length can never shift into a wrong object.
            loop = f"for {', '.join(names)} in zip(*columns, strict=True)"
    text = f"lambda size, columns: [{expression} {loop}]"
    return eval(text, {"range": range, "zip": zip})  # noqa: S307 - written here, see the callers


def is_null(value: Any) -> bool:
    """Whether a resolver's value counts as null, as graphql-core has it."""
    return value is None or value is Undefined


def deduplicate(column: Column) -> Mapping[int, Any]:
    """The different objects of a column, by `id`."""
    return dict(zip(map(id, column), column, strict=True))
