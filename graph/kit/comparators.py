"""Comparators: one input type for each kind of value that filters compare.

Several comparators on one field are and-ed. A comparator that was left out is not there; one that
is null is an error, since `isNull` says that clearly. Comparators that no value can satisfy
together are an error too: whoever wrote them meant something else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import strawberry
from sqlalchemy import ARRAY, ColumnElement, func

from graph.core.enums import Permission, Role, TaskPriority, TaskStatus
from graph.core.inputs import optional

# An operator: (the column, a bind parameter) to a predicate. Those in LISTS take an array.
Operator = Callable[[Any, Any], ColumnElement[bool]]


def _escaped(value: Any) -> Any:
    return func.replace(
        func.replace(func.replace(func.lower(value), "\\", "\\\\"), "%", "\\%"), "_", "\\_"
    )


OPERATORS: dict[str, Operator] = {
    "eq": lambda column, value: column == value,
    "not_eq": lambda column, value: column.is_distinct_from(value),
    "in_": lambda column, value: column == value.any_(),
    "not_in": lambda column, value: func.coalesce(column != value.all_(), True),
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "contains": lambda column, value: func.lower(column).like(
        func.concat("%", _escaped(value), "%")
    ),
    "starts_with": lambda column, value: func.lower(column).like(func.concat(_escaped(value), "%")),
}


def folded_contains(column: Any, folded: Any) -> ColumnElement[bool]:
    """Whether a column, without case and accents, contains a text that has none."""
    return func.taskloom_fold(column).like(func.concat("%", _escaped(folded), "%"))


LISTS = frozenset({"in_", "not_in"})


def array_of(type_: Any) -> Any:
    """The array type that list comparators bind."""
    return ARRAY(type_)


# Those that a missing value satisfies as well.
_TRUE_OF_NULL = frozenset({"is_null", "not_eq", "not_in"})


def contradiction(given: Mapping[str, Any]) -> str | None:
    """Why no value can satisfy these comparators together; None if one can, as far as they tell.

    `given`: operands by the names of their operators. An empty list is no contradiction: programs
    write it, and mean it.
    """
    if given.get("is_null") and (others := given.keys() - _TRUE_OF_NULL):
        return f"isNull: true and {_shown(min(others))} exclude each other."
    for low in ("gt", "gte"):
        for high in ("lt", "lte"):
            if low in given and high in given:
                strict = (low, high) != ("gte", "lte")
                if given[low] > given[high] or (strict and given[low] == given[high]):
                    return f"Nothing lies between {low} and {high}."
    if "eq" in given:
        value = given["eq"]
        for name, holds in _HOLDS.items():
            if name in given and not holds(value, given[name]):
                return f"eq and {_shown(name)} exclude each other."
    return None


_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "not_eq": lambda value, other: bool(value != other),
    "in_": lambda value, others: not others or value in others,
    "not_in": lambda value, others: value not in others,
    "lt": lambda value, other: bool(value < other),
    "lte": lambda value, other: bool(value <= other),
    "gt": lambda value, other: bool(value > other),
    "gte": lambda value, other: bool(value >= other),
}


def _shown(name: str) -> str:
    return {"in_": "in", "not_in": "notIn", "not_eq": "notEq", "starts_with": "startsWith"}.get(
        name, name
    )


_EQ = "Equal to this value."
_NOT_EQ = "Different from this value; null counts as different."
_IN = "Equal to one of these values."
_NOT_IN = "Equal to none of these values; null counts as none of them."
_NULL = "True: has no value. False: has one."


@strawberry.input(description="Compares text.")
class StringFilter:
    """Comparators of text."""

    eq: str | None = optional("Exactly this text.")
    not_eq: str | None = optional(_NOT_EQ)
    in_: list[str] | None = optional("Exactly one of these texts.", name="in")
    not_in: list[str] | None = optional(_NOT_IN)
    contains: str | None = optional("Contains this text, without regard to case.")
    starts_with: str | None = optional("Begins with this text, without regard to case.")
    is_null: bool | None = optional(_NULL)


@strawberry.input(description="Compares ids.")
class IDFilter:
    """Comparators of global ids."""

    eq: strawberry.ID | None = optional(_EQ)
    not_eq: strawberry.ID | None = optional(_NOT_EQ)
    in_: list[strawberry.ID] | None = optional(_IN, name="in")
    not_in: list[strawberry.ID] | None = optional(_NOT_IN)
    is_null: bool | None = optional(_NULL)


@strawberry.input(description="Compares whole numbers.")
class IntFilter:
    """Comparators of integers."""

    eq: int | None = optional(_EQ)
    not_eq: int | None = optional(_NOT_EQ)
    in_: list[int] | None = optional(_IN, name="in")
    not_in: list[int] | None = optional(_NOT_IN)
    lt: int | None = optional("Less than this number.")
    lte: int | None = optional("This number or less.")
    gt: int | None = optional("More than this number.")
    gte: int | None = optional("This number or more.")
    is_null: bool | None = optional(_NULL)


@strawberry.input(description="Compares moments.")
class DateTimeFilter:
    """Comparators of moments."""

    eq: dt.datetime | None = optional("At exactly this moment.")
    lt: dt.datetime | None = optional("Before this moment.")
    lte: dt.datetime | None = optional("At this moment or before.")
    gt: dt.datetime | None = optional("After this moment.")
    gte: dt.datetime | None = optional("At this moment or after.")
    is_null: bool | None = optional(_NULL)


@strawberry.input(description="Compares dates.")
class DateFilter:
    """Comparators of calendar dates."""

    eq: dt.date | None = optional("On this day.")
    in_: list[dt.date] | None = optional("On one of these days.", name="in")
    lt: dt.date | None = optional("Before this day.")
    lte: dt.date | None = optional("On this day or before.")
    gt: dt.date | None = optional("After this day.")
    gte: dt.date | None = optional("On this day or after.")
    is_null: bool | None = optional(_NULL)


@strawberry.input(description="Compares task statuses, ordered TODO to CANCELLED.")
class TaskStatusFilter:
    """Comparators of `TaskStatus`."""

    eq: TaskStatus | None = optional(_EQ)
    not_eq: TaskStatus | None = optional(_NOT_EQ)
    in_: list[TaskStatus] | None = optional(_IN, name="in")
    not_in: list[TaskStatus] | None = optional(_NOT_IN)


@strawberry.input(description="Compares task priorities, ordered NONE to URGENT.")
class TaskPriorityFilter:
    """Comparators of `TaskPriority`."""

    eq: TaskPriority | None = optional(_EQ)
    not_eq: TaskPriority | None = optional(_NOT_EQ)
    in_: list[TaskPriority] | None = optional(_IN, name="in")
    not_in: list[TaskPriority] | None = optional(_NOT_IN)
    lt: TaskPriority | None = optional("Less urgent than this.")
    lte: TaskPriority | None = optional("As urgent as this, or less.")
    gt: TaskPriority | None = optional("More urgent than this.")
    gte: TaskPriority | None = optional("As urgent as this, or more.")


@strawberry.input(description="Compares roles, ordered VIEWER to OWNER.")
class RoleFilter:
    """Comparators of `Role`."""

    eq: Role | None = optional(_EQ)
    not_eq: Role | None = optional(_NOT_EQ)
    in_: list[Role] | None = optional(_IN, name="in")
    not_in: list[Role] | None = optional(_NOT_IN)
    gte: Role | None = optional("This role or one that may do more.")
    lte: Role | None = optional("This role or one that may do less.")


@strawberry.input(description="Compares permissions.")
class PermissionFilter:
    """Comparators of `Permission`."""

    eq: Permission | None = optional(_EQ)
    not_eq: Permission | None = optional(_NOT_EQ)
    in_: list[Permission] | None = optional(_IN, name="in")
    not_in: list[Permission] | None = optional(_NOT_IN)
