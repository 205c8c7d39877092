"""An ordered list, read as segments that an index serves each.

No index of tasks has the order "by due date, latest first, those without one at the end", "by
status, then by due date" or "by the name of the assignee". But each is a sequence of segments:

- the tasks with a due date, then those without: `due_at IS NOT NULL`, `due_at IS NULL`;
- the tasks of each status, by due date;
- the tasks of each user, by ID, while the users are read by name; then those of no visible user;
- the tasks with tracked time, by this time; then those without, by ID.

In a segment the leading keys are constant or come from a table that is smaller, so the rows come in
order from an index, or from a sort of few rows. The statement puts the segments one after the other
(`UNION ALL`) and is finished when the page is full; PostgreSQL does not begin the other segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, Integer, literal_column

from graph.kit.ordering import Key, Ordering, after, parameters_of


class Value(Enum):
    """What a segment has at a key, or a cursor at a position, unless it is one of few values."""

    NULL = "null"
    ANY = "any"


# Each takes part of a millisecond to plan. Two enums and a date make 40.
MOST_SEGMENTS: Final = 40

# What the leading keys of a segment's rows have: all the same value, or null; at last, perhaps, any
# value. The keys that follow are not restricted.
Segment = tuple[Any, ...]
Position = tuple[Any, ...]


def position_of(ordering: Ordering, place: tuple[Any, ...] | None) -> Position | None:
    """What a statement depends on of a cursor's values: which are null, and those of enums."""
    if place is None:
        return None
    known = [
        Value.NULL if value is None else value if key.source.members else Value.ANY
        for key, value in zip(ordering.keys, place, strict=True)
    ]
    if ordering.keys[0].source.positive is not None and place[0] == 0:
        known[0] = 0
    return tuple(known)


def segments_of(keys: Sequence[Key]) -> list[Segment]:
    """The segments of a list in this order; one that restricts nothing if there is no more."""
    first = keys[0]
    if first.source.positive is not None:
        return [(Value.ANY,), (0,)] if first.descending else [(0,), (Value.ANY,)]
    found = _split(keys)
    return found if len(found) <= MOST_SEGMENTS else [(part,) for part in _parts(first)]


def _split(keys: Sequence[Key]) -> list[Segment]:
    if not keys:
        return [()]
    found: list[Segment] = []
    for part in _parts(keys[0]):
        if part is Value.ANY:
            found.append((part,))
        else:
            found += [(part, *rest) for rest in _split(keys[1:])]
    return found


def _parts(key: Key) -> list[Any]:
    """What a key has, in order."""
    source = key.source
    values: list[Any] = sorted(source.members, reverse=key.descending) or [Value.ANY]
    if not source.nullable:
        return values
    return [Value.NULL, *values] if key.nulls_first else [*values, Value.NULL]


def constant(value: Any) -> ColumnElement[Any]:
    """A value of an enum as text, so that PostgreSQL plans for this value."""
    if isinstance(value, bool):
        return literal_column(str(value).lower(), Boolean())
    return literal_column(str(int(value)), Integer())


@dataclass(frozen=True, slots=True)
class Bound:
    """The predicate "comes after a position" for the rows of one segment. `here` is None if all
    rows of the segment come after it.
    """

    here: ColumnElement[bool] | None
    # The key from which on the rows are compared with the position, if any.
    first: int | None = None


def bound(
    segment: Segment,
    keys: Sequence[Key],
    expressions: Sequence[Any],
    position: Position,
    prefix: str,
    *,
    inclusive: bool,
) -> Bound | None:
    """None if no row of the segment comes after the position."""
    first = len(segment)
    for place, (part, key, known) in enumerate(zip(segment, keys, position, strict=False)):
        side = _side(key, part, known)
        if side:
            return Bound(None) if side > 0 else None
        if part is Value.ANY:
            first = place
    rest = [
        replace(key, source=replace(key.source, nullable=False)) if place < len(segment) else key
        for place, key in enumerate(keys)
    ][first:]
    nulls = [known is Value.NULL for known in position[first:]]
    parameters = parameters_of(keys, prefix)[first:]
    return Bound(after(rest, expressions[first:], nulls, parameters, inclusive), first)


def _side(key: Key, part: Any, known: Any) -> int:
    """1 if a segment comes after a position by this key, -1 if before, 0 if it does not say."""
    if part is Value.NULL or known is Value.NULL:
        if part is known:
            return 0
        return 1 if (part is Value.NULL) != key.nulls_first else -1
    if part == known:
        return 0
    if key.source.positive is not None:
        # One of them is 0, and the other one positive.
        return 1 if (part == 0) == key.descending else -1
    if part is Value.ANY:
        return 0
    return 1 if (part > known) != key.descending else -1


def conditions(segment: Segment, keys: Sequence[Key], expressions: Sequence[Any]) -> Iterator[Any]:
    """What the rows of a segment have in common."""
    for part, key, expression in zip(segment, keys, expressions, strict=False):
        if part is Value.NULL:
            yield expression.is_(None)
        elif part is not Value.ANY:
            yield expression == constant(part)
        elif key.source.nullable:
            yield expression.is_not(None)
