"""Comparators: one input type for each kind of value that filters compare.

Several comparators on one field are combined with AND. An omitted comparator is no condition; one
that is null is an error, since `isNull` expresses that clearly. Comparators that no value can
satisfy together are an error too, because the client must have meant something else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import strawberry
from sqlalchemy import ARRAY, ColumnElement, func

from graph.core.enums import Permission, Role, TaskPriority, TaskStatus
from graph.core.inputs import optional

# An operator takes the column and a bind parameter and returns a predicate. Those in LISTS bind an
# array.
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
    """Whether a column contains a folded text, ignoring case and accents."""
    return func.taskloom_fold(column).like(func.concat("%", _escaped(folded), "%"))


LISTS = frozenset({"in_", "not_in"})


def array_of(type_: Any) -> Any:
    """The array type that list comparators bind."""
    return ARRAY(type_)


# Operators that a missing value satisfies as well.
_TRUE_OF_NULL = frozenset({"is_null", "not_eq", "not_in"})


def contradiction(given: Mapping[str, Any]) -> str | None:
    """Why no value can satisfy these comparators together; None if one can, as far as they show.

    `given`: operands by the names of their operators. An empty list is no contradiction: programs
    write it on purpose.
    """
    if given.get("is_null") and (others := given.keys() - _TRUE_OF_NULL):
        return f"isNull: true and {_shown(min(others))} exclude each other."
    for low in ("gt", "gte"):
        for high in ("lt", "lte"):
            if low in given and high in given:
                strict = (low, high) != ("gte", "lte")
                if given[low] > given[high] or (strict and given[low] == given[high]):
                    return f"No value is between {low} and {high}."
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


_EQ = "Equals this value."
_NOT_EQ = "Does not equal this value. Also matches null."
_IN = "Equals one of these values."
_NOT_IN = "Equals none of these values. Also matches null."
_NULL = "True: has no value. False: has a value."


@strawberry.input(description="Compares text.")
class StringFilter:
    eq: str | None = optional("Equals this text exactly.")
    not_eq: str | None = optional(_NOT_EQ)
    in_: list[str] | None = optional("Equals one of these texts exactly.", name="in")
    not_in: list[str] | None = optional(_NOT_IN)
    contains: str | None = optional("Contains this text. Case-insensitive.")
    starts_with: str | None = optional("Starts with this text. Case-insensitive.")
    is_null: bool | None = optional(_NULL)


@strawberry.input(description="Compares IDs.")
class IDFilter:
    eq: strawberry.ID | None = optional(_EQ)
    not_eq: strawberry.ID | None = optional(_NOT_EQ)
    in_: list[strawberry.ID] | None = optional(_IN, name="in")
    not_in: list[strawberry.ID] | None = optional(_NOT_IN)
    is_null: bool | None = optional(_NULL)


@strawberry.input(description="Compares integers.")
class IntFilter:
    eq: int | None = optional(_EQ)
    not_eq: int | None = optional(_NOT_EQ)
    in_: list[int] | None = optional(_IN, name="in")
    not_in: list[int] | None = optional(_NOT_IN)
    lt: int | None = optional("Less than this number.")
    lte: int | None = optional("Less than or equal to this number.")
    gt: int | None = optional("Greater than this number.")
    gte: int | None = optional("Greater than or equal to this number.")
    is_null: bool | None = optional(_NULL)


@strawberry.input(description="Compares times.")
class DateTimeFilter:
    eq: dt.datetime | None = optional("At exactly this time.")
    lt: dt.datetime | None = optional("Before this time.")
    lte: dt.datetime | None = optional("At or before this time.")
    gt: dt.datetime | None = optional("After this time.")
    gte: dt.datetime | None = optional("At or after this time.")
    is_null: bool | None = optional(_NULL)


@strawberry.input(description="Compares dates.")
class DateFilter:
    eq: dt.date | None = optional("On this day.")
    in_: list[dt.date] | None = optional("On one of these days.", name="in")
    lt: dt.date | None = optional("Before this day.")
    lte: dt.date | None = optional("On or before this day.")
    gt: dt.date | None = optional("After this day.")
    gte: dt.date | None = optional("On or after this day.")
    is_null: bool | None = optional(_NULL)


@strawberry.input(description="Compares task statuses. Their order is TODO to CANCELLED.")
class TaskStatusFilter:
    eq: TaskStatus | None = optional(_EQ)
    not_eq: TaskStatus | None = optional(_NOT_EQ)
    in_: list[TaskStatus] | None = optional(_IN, name="in")
    not_in: list[TaskStatus] | None = optional(_NOT_IN)


@strawberry.input(description="Compares task priorities. Their order is NONE to URGENT.")
class TaskPriorityFilter:
    eq: TaskPriority | None = optional(_EQ)
    not_eq: TaskPriority | None = optional(_NOT_EQ)
    in_: list[TaskPriority] | None = optional(_IN, name="in")
    not_in: list[TaskPriority] | None = optional(_NOT_IN)
    lt: TaskPriority | None = optional("Less urgent than this.")
    lte: TaskPriority | None = optional("This priority or less urgent.")
    gt: TaskPriority | None = optional("More urgent than this.")
    gte: TaskPriority | None = optional("This priority or more urgent.")


@strawberry.input(description="Compares roles. Their order is VIEWER to OWNER.")
class ProjectRoleFilter:
    eq: Role | None = optional(_EQ)
    not_eq: Role | None = optional(_NOT_EQ)
    in_: list[Role] | None = optional(_IN, name="in")
    not_in: list[Role] | None = optional(_NOT_IN)
    gte: Role | None = optional("This role or a higher one.")
    lte: Role | None = optional("This role or a lower one.")


@strawberry.input(description="Compares permissions.")
class TaskSharePermissionFilter:
    eq: Permission | None = optional(_EQ)
    not_eq: Permission | None = optional(_NOT_EQ)
    in_: list[Permission] | None = optional(_IN, name="in")
    not_in: list[Permission] | None = optional(_NOT_IN)
