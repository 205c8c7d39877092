"""Comparators: one input type for each kind of value that filters compare.

Several comparators on one field are combined with AND. An omitted comparator is no condition; one
that is null is an error, since `isNull` expresses that clearly. Comparators that no value can
satisfy together are an error too, because the client must have meant something else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import strawberry
from sqlalchemy import ARRAY, ColumnElement, Interval, Text, func

from graph.core.enums import (
    Connector,
    DeliveryState,
    EventKind,
    IntegrationStatus,
    JobState,
    NotificationKind,
    Permission,
    Platform,
    Role,
    RuleKind,
    TaskPriority,
    TaskStatus,
    WebhookStatus,
)
from graph.core.inputs import optional
from graph.core.scalars import Duration, Seconds

T = TypeVar("T")
# The longest duration of `within`, in both directions.
MAX_WITHIN = dt.timedelta(days=36_525)

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
    # Both ends are included. They do not depend on the row, so that an index serves them.
    "within": lambda column, value: column.between(func.least(*value), func.greatest(*value)),
    "contains": lambda column, value: func.lower(column).like(
        func.concat("%", _escaped(value), "%")
    ),
    "starts_with": lambda column, value: func.lower(column).like(func.concat(_escaped(value), "%")),
    "ends_with": lambda column, value: func.lower(column).like(func.concat("%", _escaped(value))),
}
# What the operand of an operator is if it is no value of the column.
OPERAND_TYPES: dict[str, Any] = {
    "within": Interval(),
    "contains": Text(),
    "starts_with": Text(),
    "ends_with": Text(),
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
    return {
        "in_": "in",
        "not_in": "notIn",
        "not_eq": "notEq",
        "starts_with": "startsWith",
        "ends_with": "endsWith",
    }.get(name, name)


# --- inputs --------------------------------------------------------------------------------------

_EQUALITY = {
    "eq": "Equals this value.",
    "not_eq": "Does not equal this value. Also matches null.",
    "in_": "Equals one of these values.",
    "not_in": "Equals none of these values. Also matches null.",
}
_NULL = {"is_null": "True: has no value. False: has a value."}
# What some types of values are compared by as well; lists take several values.
ORDER = {
    "lt": "Less than this value.",
    "lte": "Less than or equal to this value.",
    "gt": "Greater than this value.",
    "gte": "Greater than or equal to this value.",
}
_TIMES = {
    "lt": "Before this time.",
    "lte": "At or before this time.",
    "gt": "After this time.",
    "gte": "At or after this time.",
    "within": "From now to then: `P7D` is the next seven days, `-P7D` the last seven.",
}
_DAYS = {
    "lt": "Before this day.",
    "lte": "On or before this day.",
    "gt": "After this day.",
    "gte": "On or after this day.",
    "within": "From today to then, by days in your time zone: `P7D` is today and the next seven "
    "days, `-P7D` today and the last seven.",
}
_TEXT = {
    "contains": "Contains this text. Case-insensitive.",
    "starts_with": "Starts with this text. Case-insensitive.",
    "ends_with": "Ends with this text. Case-insensitive.",
}
_TYPES = {"is_null": bool, "within": Duration}


def comparator(
    description: str, value: Any, more: Mapping[str, str] = MappingProxyType({})
) -> Callable[[type[T]], type[T]]:
    """Declare a comparator of one type of value: equality, `more`, and `isNull`.

    All comparators come from here, so that each has what the others have.
    """

    def declare(cls: type[T]) -> type[T]:
        texts = _EQUALITY | dict(more) | _NULL
        cls.__annotations__ = {
            name: (list[value] if name in LISTS else _TYPES.get(name, value)) | None
            for name in texts
        }
        for name, text in texts.items():
            setattr(cls, name, optional(text, name="in" if name == "in_" else None))
        return strawberry.input(cls, description=description)

    return declare


@comparator(
    "Compares text. `eq`, `notEq`, `in` and `notIn` are exact, but case-insensitive for names, "
    "keys and tags.",
    str,
    _TEXT,
)
class StringFilter: ...


@comparator("Compares IDs.", strawberry.ID)
class IDFilter: ...


@comparator("Compares integers.", int, ORDER)
class IntFilter: ...


@comparator("Compares lengths of time.", Seconds, ORDER)
class SecondsFilter: ...


@comparator("Compares times.", dt.datetime, _TIMES)
class DateTimeFilter: ...


@comparator("Compares dates.", dt.date, _DAYS)
class DateFilter: ...


@comparator("Compares task statuses. Their order is TODO to CANCELLED.", TaskStatus, ORDER)
class TaskStatusFilter: ...


@comparator("Compares task priorities. Their order is NONE to URGENT.", TaskPriority, ORDER)
class TaskPriorityFilter: ...


@comparator("Compares roles. Their order is VIEWER to OWNER.", Role, ORDER)
class ProjectRoleFilter: ...


@comparator("Compares permissions. VIEW is less than EDIT.", Permission, ORDER)
class TaskSharePermissionFilter: ...


@comparator("Compares kinds of events.", EventKind)
class EventKindFilter: ...


@comparator("Compares kinds of notifications.", NotificationKind)
class NotificationKindFilter: ...


@comparator("Compares kinds of reminder rules.", RuleKind)
class ReminderRuleKindFilter: ...


@comparator("Compares statuses of background jobs.", JobState)
class JobStatusFilter: ...


@comparator("Compares statuses of webhooks.", WebhookStatus)
class WebhookStatusFilter: ...


@comparator("Compares statuses of deliveries.", DeliveryState)
class WebhookDeliveryStatusFilter: ...


@comparator("Compares statuses of integrations.", IntegrationStatus)
class IntegrationStatusFilter: ...


@comparator("Compares kinds of integrations.", Connector)
class IntegrationKindFilter: ...


@comparator("Compares platforms of devices.", Platform)
class DevicePlatformFilter: ...
